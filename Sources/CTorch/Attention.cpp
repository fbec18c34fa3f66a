// Attention to keys that are read where they lie; what the kernel does not take, libtorch's operator computes.
#include "Support.h"
#include "kernels/Kernels.h"

#include <ATen/ATen.h>

#include <cmath>

namespace ctorch {
namespace {

using at::Tensor;

HeadStrides strides(const Tensor &x) { return {x.stride(0), x.stride(1), x.stride(2)}; }

/// Whether it is [B, H, rows, numbers] and has rows without gaps.
bool hasHeads(const Tensor &x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided && x.dim() == 4 &&
         x.numel() > 0 && (x.stride(3) == 1 || x.size(3) == 1);
}

Tensor attention(const Tensor &q, const Tensor &k, const Tensor &v, const Tensor &bias) {
  bool fits = hasHeads(q) && hasHeads(k) && hasHeads(v) &&
              k.sizes() == at::IntArrayRef({q.size(0), q.size(1), k.size(2), q.size(3)}) &&
              v.sizes().slice(0, 3) == k.sizes().slice(0, 3);
  Tensor turned;
  if (fits && bias.defined()) {
    turned = bias.expand({q.size(0), q.size(1), k.size(2), q.size(2)});
    fits = hasHeads(turned);
  }
  if (!fits) {
    return at::scaled_dot_product_attention(
        q, k, v, bias.defined() ? std::optional<Tensor>(bias.transpose(-2, -1)) : std::nullopt);
  }
  Tensor y = at::empty({q.size(0), q.size(2), q.size(1), v.size(3)}, at::kFloat).transpose(1, 2);
  Attention of = {q.size(0), q.size(1), q.size(2), k.size(2), q.size(3), v.size(3)};
  of.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(of.depth)));
  of.queriesAt = q.const_data_ptr<float>();
  of.keysAt = k.const_data_ptr<float>();
  of.valuesAt = v.const_data_ptr<float>();
  of.resultsAt = y.data_ptr<float>();
  of.q = strides(q);
  of.k = strides(k);
  of.v = strides(v);
  of.y = strides(y);
  if (bias.defined()) {
    of.biasAt = turned.const_data_ptr<float>();
    of.bias = strides(turned);
  }
  kernels().attend(of);
  return y;
}

}  // namespace
}  // namespace ctorch

using namespace ctorch;

int ct_attention(CTTensor q, CTTensor k, CTTensor v, CTTensor bias, CTTensor *y) {
  return catching([&] {
    *y = give(attention(borrow(q), borrow(k), borrow(v), bias ? borrow(bias) : Tensor()));
  });
}
