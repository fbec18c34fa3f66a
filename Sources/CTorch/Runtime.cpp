// Random generators, devices, threads, version.
#include "Support.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/empty.h>
#include <torch/version.h>

#include <future>
#include <thread>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace {

at::Generator &generatorOf(CTGenerator generator) {
  return *reinterpret_cast<at::Generator *>(generator);
}

}  // namespace

int ct_generator(int32_t device, uint64_t seed, CTGenerator *result) {
  return ctorch::catching([&] {
    auto where = ctorch::device(device);
    auto generator =
        where.is_cpu()
            ? at::detail::createCPUGenerator(seed)
            : at::globalContext().getAcceleratorHooksInterface(where.type()).getNewGenerator(
                  where.index());
    generator.set_current_seed(seed);
    *result = reinterpret_cast<CTGenerator>(new at::Generator(std::move(generator)));
  });
}

void ct_generator_release(CTGenerator generator) { delete &generatorOf(generator); }

int ct_generator_state(CTGenerator generator, CTTensor *result) {
  return ctorch::catching([&] { *result = ctorch::give(generatorOf(generator).get_state()); });
}

int ct_generator_set_state(CTGenerator generator, CTTensor state) {
  return ctorch::catching([&] { generatorOf(generator).set_state(ctorch::borrow(state)); });
}

int32_t ct_device_count(int32_t deviceType) {
  auto type = static_cast<c10::DeviceType>(deviceType);
  int32_t count = 0;
  ctorch::catching([&] {
    if (type == c10::kCPU) {
      count = 1;
    } else if (type == c10::kCUDA && at::hasCUDA()) {
      count = static_cast<int32_t>(at::detail::getCUDAHooks().deviceCount());
    } else if (type == c10::kMPS && at::hasMPS()) {
      count = 1;
    }
  });
  return count;
}

int ct_synchronize(int32_t device) {
  return ctorch::catching([&] {
    auto where = ctorch::device(device);
    if (where.is_cuda()) at::detail::getCUDAHooks().deviceSynchronize(where.index());
    if (where.is_mps()) at::detail::getMPSHooks().deviceSynchronize();
  });
}

// GNU OpenMP's threads spin for 3 ms at the end of each parallel region, which stalls whoever else
// needs the core: the threads that load data, another process. They spin only briefly when there
// are more of them than cores, so a second pool, which never works again, is made here.
void ct_share_cores(void) {
  std::thread([] {
    ctorch::catching([] { at::empty({1 << 18}).fill_(0); });
    std::promise<void>().get_future().wait();
  }).detach();
}

// GNU's allocator gives large pieces of memory back to the system as soon as they are free, and takes
// them again, page by page, in the next step of a training: three to four percent of its time.
void ct_keep_memory(void) {
#if defined(__GLIBC__)
  // Some versions take no more than half of a heap.
  if (mallopt(M_MMAP_THRESHOLD, 1 << 30) == 0) mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

void ct_set_threads(int32_t count) { at::set_num_threads(count); }
int32_t ct_threads(void) { return at::get_num_threads(); }
const char *ct_version(void) { return TORCH_VERSION; }

const char *ct_build_description(void) {
  static const std::string description = at::show_config() + at::get_parallel_info();
  return description.c_str();
}
