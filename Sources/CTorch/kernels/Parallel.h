// Work shared by libtorch's own threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

#if defined(__APPLE__)
#include <dispatch/dispatch.h>
#else
#include <dlfcn.h>
#endif

namespace ctorch {

#if !defined(__APPLE__)
/// The pool of GNU's OpenMP, which libtorch loads and `at::parallel_for` uses where a compiler knows OpenMP:
/// what the compiler's directive calls. Looked up, as some linkers take a weak symbol for none.
typedef void (*OpenMPParallel)(void (*body)(void *), void *context, unsigned threads, unsigned flags);
inline OpenMPParallel openMPParallel() {
  static const auto found = reinterpret_cast<OpenMPParallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return found;
}
#endif

/// Calls `body(i)` for each i below `count`, on as many threads as libtorch has. A thread takes the
/// next i when it is done with one, so that no thread waits for a slow one for long. What an i
/// computes must not depend on the thread.
template <typename Body>
void parallelFor(int64_t count, Body body) {
  struct Work {
    std::atomic<int64_t> next = 0;
    std::atomic<bool> hasFailed = false;
    std::exception_ptr failure;
    int64_t count;
    Body &body;

    static void run(void *context) {
      auto &work = *static_cast<Work *>(context);
      try {
        for (int64_t i; (i = work.next.fetch_add(1, std::memory_order_relaxed)) < work.count;) {
          work.body(i);
        }
      } catch (...) {
        if (!work.hasFailed.exchange(true)) work.failure = std::current_exception();
      }
      // For what was written past the caches: both x86's and ARM's full fences order that too.
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
  };
  Work work{.count = count, .body = body};
  auto threads = static_cast<unsigned>(std::min<int64_t>(count, at::get_num_threads()));
  if (threads <= 1 || at::in_parallel_region()) {
    Work::run(&work);
#if defined(__APPLE__)
  } else {
    dispatch_apply_f(threads, DISPATCH_APPLY_AUTO, &work,
                     [](void *context, size_t) { Work::run(context); });
#else
  } else if (openMPParallel() != nullptr) {
    openMPParallel()(Work::run, &work, threads, 0);
  } else {
    Work::run(&work);
#endif
  }
  if (work.failure) std::rethrow_exception(work.failure);
}

/// Calls `body(first, end)` for parts of `count`, one for each thread where every part has `least`: what
/// lies side by side stays with one thread, for work that waits for memory.
template <typename Body>
void parallelParts(int64_t count, int64_t least, Body body) {
  int64_t parts = std::clamp<int64_t>(count / std::max<int64_t>(1, least), 1, at::get_num_threads());
  parallelFor(parts, [&](int64_t i) { body(count * i / parts, count * (i + 1) / parts); });
}

}  // namespace ctorch
