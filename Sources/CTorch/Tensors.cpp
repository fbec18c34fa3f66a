// Tensor memory in and out, and the counting of live references.
#include "Support.h"

#include <ATen/Functions.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

namespace ctorch {

std::atomic<int64_t> liveTensors{0};

static thread_local std::string lastError;
void setLastError(std::string message) { lastError = std::move(message); }

}  // namespace ctorch

const char *ct_last_error(void) { return ctorch::lastError.c_str(); }

int ct_tensor_borrow(void *data, const int64_t *sizes, int32_t rank, int32_t dtype,
                     void (*release)(void *), void *context, CTTensor *result) {
  return ctorch::catching([&] {
    *result = ctorch::give(at::from_blob(
        data, at::IntArrayRef(sizes, rank), [release, context](void *) { release(context); },
        at::dtype(static_cast<at::ScalarType>(dtype))));
  });
}

int ct_tensor_empty(const int64_t *sizes, int32_t rank, int32_t dtype, int32_t device,
                    CTTensor *result) {
  return ctorch::catching([&] {
    auto options =
        at::dtype(static_cast<at::ScalarType>(dtype)).device(ctorch::device(device));
    *result = ctorch::give(at::empty(at::IntArrayRef(sizes, rank), options));
  });
}

CTTensor ct_tensor_retain(CTTensor tensor) { return ctorch::give(ctorch::borrow(tensor)); }
void ct_tensor_release(CTTensor tensor) { ctorch::take(tensor); }

int32_t ct_tensor_rank(CTTensor tensor) {
  return static_cast<int32_t>(ctorch::impl(tensor)->dim());
}

void ct_tensor_sizes(CTTensor tensor, int64_t *sizes) {
  auto all = ctorch::impl(tensor)->sizes();
  std::copy(all.begin(), all.end(), sizes);
}

int32_t ct_tensor_dtype(CTTensor tensor) {
  return static_cast<int32_t>(c10::typeMetaToScalarType(ctorch::impl(tensor)->dtype()));
}

int32_t ct_tensor_device(CTTensor tensor) {
  auto device = ctorch::impl(tensor)->device();
  int32_t index = device.has_index() ? device.index() : 0;
  return static_cast<int32_t>(device.type()) << 8 | (index & 0xff);
}

void ct_tensor_strides(CTTensor tensor, int64_t *strides) {
  auto all = ctorch::impl(tensor)->strides();
  std::copy(all.begin(), all.end(), strides);
}

const void *ct_tensor_storage(CTTensor tensor) {
  return ctorch::impl(tensor)->storage().unsafeGetStorageImpl();
}

int64_t ct_tensor_count(CTTensor tensor) { return ctorch::impl(tensor)->numel(); }
int ct_tensor_is_contiguous(CTTensor tensor) { return ctorch::impl(tensor)->is_contiguous(); }
void *ct_tensor_data(CTTensor tensor) { return ctorch::impl(tensor)->mutable_data(); }

int ct_tensor_real(CTTensor tensor, double *value) {
  return ctorch::catching([&] { *value = ctorch::borrow(tensor).item().toDouble(); });
}

// Tensors made for inference have no version.
int64_t ct_tensor_version(CTTensor tensor) {
  auto &counter = ctorch::impl(tensor)->version_counter();
  return counter.enabled() ? counter.current_version() : -1;
}

void ct_tensor_touch(CTTensor tensor) {
  auto &counter = ctorch::impl(tensor)->version_counter();
  if (counter.enabled()) ctorch::impl(tensor)->bump_version();
}

int64_t ct_live_tensors(void) { return ctorch::liveTensors.load(std::memory_order_relaxed); }
