// Sums of tensors that are read where they lie: their memory becomes what the kernels take, and where
// these do not take it, the operators of libtorch compute the same.
#include "Support.h"
#include "kernels/Kernels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace ctorch {
namespace {

using at::Tensor;

std::vector<Tensor> borrowed(const CTTensor *tensors, int32_t count) {
  std::vector<Tensor> all;
  for (int32_t i = 0; i < count; ++i) all.push_back(borrow(tensors[i]));
  return all;
}

bool isFloats(const Tensor &x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided;
}

/// The stride in the last dimension of more than one position.
int64_t innerStride(const Tensor &x) {
  int64_t d = x.dim() - 1;
  while (d >= 0 && x.size(d) == 1) --d;
  return d < 0 ? 1 : x.stride(d);
}

/// Whether a tensor can be read run by run: it has this stride in its last dimension.
bool isReadable(const Tensor &x, int64_t stride = 1) {
  return isFloats(x) && x.dim() <= kMostDimensions && x.numel() > 0 && innerStride(x) == stride;
}

Tensor plainSum(const std::vector<Tensor> &x, const std::vector<Tensor> &weights) {
  Tensor sum = weights[0].defined() ? x[0] * weights[0] : x[0].contiguous();
  for (size_t j = 1; j < x.size(); ++j) {
    sum = weights[j].defined() ? at::addcmul(sum, x[j], weights[j]) : sum + x[j];
  }
  return sum;
}

/// Shape and strides of the terms and their weights; none where the kernel does not take them.
std::optional<WeightedSum> layout(const std::vector<Tensor> &x, const std::vector<Tensor> &weights,
                                  at::IntArrayRef shape) {
  static const float one = 1;
  if (x.empty() || x.size() > kMostTerms || shape.size() > kMostDimensions) return std::nullopt;
  WeightedSum sum = {.terms = static_cast<int>(x.size())};
  sum.stride = x.size() == 1 && !weights[0].defined() ? innerStride(x[0].expand(shape)) : 1;
  if (sum.stride < 1 || sum.stride > kMostStride) return std::nullopt;
  int64_t strides[kMostDimensions][2 * kMostTerms] = {};
  for (size_t j = 0; j < x.size(); ++j) {
    Tensor term = x[j].expand(shape);
    if (!isReadable(term, sum.stride)) return std::nullopt;
    sum.tensors[2 * j] = term.const_data_ptr<float>();
    sum.tensors[2 * j + 1] = &one;
    for (size_t d = 0; d < shape.size(); ++d) strides[d][2 * j] = term.stride(d);
    if (!weights[j].defined()) continue;
    if (!isFloats(weights[j])) return std::nullopt;
    Tensor weight = weights[j].expand(shape);
    sum.tensors[2 * j + 1] = weight.const_data_ptr<float>();
    for (size_t d = 0; d < shape.size(); ++d) strides[d][2 * j + 1] = weight.stride(d);
  }
  // A run is short enough that there are others for other threads.
  for (size_t d = 0; d < shape.size(); ++d) sum.dimensions.add(shape[d], strides[d], 4096);
  sum.dimensions.fill(2);
  const int64_t *steps = sum.dimensions.strides[sum.dimensions.rank - 1];
  sum.weightsVary = steps[1] != 0;
  for (int j = 0; j < sum.terms; ++j) {
    if (steps[2 * j + 1] != (sum.weightsVary ? 1 : 0)) return std::nullopt;
  }
  return sum;
}

Tensor weightedSum(const std::vector<Tensor> &x, const std::vector<Tensor> &weights) {
  std::vector<int64_t> shape;
  for (size_t j = 0; j < x.size(); ++j) {
    shape = at::infer_size(shape, x[j].sizes());
    if (weights[j].defined()) shape = at::infer_size(shape, weights[j].sizes());
  }
  auto sum = layout(x, weights, shape);
  if (!sum) return plainSum(x, weights);
  Tensor y = at::empty(shape, at::kFloat);
  sum->y = y.data_ptr<float>();
  kernels().weightedSum(*sum);
  return y;
}

Tensor plainMeans(const std::vector<Tensor> &x, at::IntArrayRef dimensions, bool keepsDimensions) {
  Tensor sum = at::mean(x[0], dimensions, keepsDimensions);
  for (size_t j = 1; j < x.size(); ++j) sum = sum + at::mean(x[j], dimensions, keepsDimensions);
  return sum;
}

Tensor sumOfMeans(const std::vector<Tensor> &x, at::IntArrayRef dimensions, bool keepsDimensions) {
  const Tensor &first = x[0];
  const bool canRead =
      x.size() <= kMostTerms && !dimensions.empty() && std::all_of(x.begin(), x.end(), [&](const Tensor &term) {
        return isReadable(term) && term.sizes() == first.sizes();
      });
  if (!canRead) return plainMeans(x, dimensions, keepsDimensions);
  std::vector<bool> isSummed(first.dim());
  for (int64_t d : dimensions) isSummed[at::maybe_wrap_dim(d, first.dim())] = true;
  std::vector<int64_t> shape, kept, summed;
  for (int64_t d = 0; d < first.dim(); ++d) {
    if (!isSummed[d] || keepsDimensions) shape.push_back(isSummed[d] ? 1 : first.size(d));
    (isSummed[d] ? summed : kept).push_back(d);
  }
  Tensor y = at::empty(shape, at::kFloat);
  ReducedSum sum = {.terms = static_cast<int>(x.size()), .count = y.numel(), .run = y.numel(),
                    .y = y.data_ptr<float>()};
  sum.factor = static_cast<float>(y.numel()) / static_cast<float>(first.numel());
  for (size_t j = 0; j < x.size(); ++j) {
    auto &term = sum.term[j];
    term.x = x[j].const_data_ptr<float>();
    for (int64_t d : kept) term.kept.add(first.size(d), {x[j].stride(d)});
    // In the order in which they lie, what is read again and again outermost.
    auto distance = [&](int64_t d) { return x[j].stride(d) == 0 ? INT64_MAX : x[j].stride(d); };
    std::stable_sort(summed.begin(), summed.end(),
                     [&](int64_t a, int64_t b) { return distance(a) > distance(b); });
    for (int64_t d : summed) term.summed.add(first.size(d), {x[j].stride(d)});
    term.kept.fill(1);
    term.summed.fill(1);
    sum.run = std::min(sum.run, term.kept.sizes[term.kept.rank - 1]);
  }
  kernels().reducedSum(sum);
  return y;
}

Tensor packed(const Tensor &x) {
  return x.is_contiguous() ? x : weightedSum({x}, {Tensor()});
}

}  // namespace
}  // namespace ctorch

using namespace ctorch;

int ct_weighted_sum(const CTTensor *x, const CTTensor *weights, int32_t terms, CTTensor *y) {
  return catching([&] {
    *y = give(weightedSum(borrowed(x, terms), borrowed(weights, terms)));
  });
}

int ct_sum_of_means(const CTTensor *x, int32_t terms, const int64_t *dimensions, int32_t count,
                    int32_t keepsDimensions, CTTensor *y) {
  return catching([&] {
    *y = give(sumOfMeans(borrowed(x, terms), {dimensions, static_cast<size_t>(count)},
                         keepsDimensions != 0));
  });
}

int ct_reshape(CTTensor x, const int64_t *shape, int32_t rank, CTTensor *y) {
  return catching([&] {
    *y = give(packed(borrow(x)).view({shape, static_cast<size_t>(rank)}));
  });
}
