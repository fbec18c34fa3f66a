// Shared by the C++ files of CTorch: references, dtypes, devices, and the catching of exceptions.
#pragma once

#include "CTorch.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <string>

namespace ctorch {

extern std::atomic<int64_t> liveTensors;
void setLastError(std::string message);

/// Hands an owned reference to the caller; an undefined tensor becomes null.
inline CTTensor give(at::Tensor tensor) {
  if (!tensor.defined()) return nullptr;
  liveTensors.fetch_add(1, std::memory_order_relaxed);
  return reinterpret_cast<CTTensor>(tensor.unsafeReleaseTensorImpl());
}

/// A second reference to the caller's tensor; null becomes an undefined tensor.
inline at::Tensor borrow(CTTensor tensor) {
  if (tensor == nullptr) return at::Tensor();
  return at::Tensor(c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>::reclaim_copy(
      reinterpret_cast<at::TensorImpl *>(tensor)));
}

/// Takes over the caller's owned reference.
inline at::Tensor take(CTTensor tensor) {
  if (tensor == nullptr) return at::Tensor();
  liveTensors.fetch_sub(1, std::memory_order_relaxed);
  return at::Tensor(c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>::reclaim(
      reinterpret_cast<at::TensorImpl *>(tensor)));
}

inline at::TensorImpl *impl(CTTensor tensor) { return reinterpret_cast<at::TensorImpl *>(tensor); }

inline c10::Device device(int32_t code) {
  auto type = static_cast<c10::DeviceType>(code >> 8);
  if (type == c10::kCPU) return c10::Device(type);
  return c10::Device(type, static_cast<c10::DeviceIndex>(code & 0xff));
}

/// Runs `body`; an exception becomes -1 and this thread's last error.
template <typename Body>
int catching(Body &&body) {
  try {
    body();
    return 0;
  } catch (const c10::Error &error) {
    setLastError(error.what_without_backtrace());
  } catch (const std::exception &error) {
    setLastError(error.what());
  } catch (...) {
    setLastError("unknown C++ exception");
  }
  return -1;
}

}  // namespace ctorch
