// Shared by the residual branches that have kernels: weights in the order of the kernels, and tensors
// as these take them.
#pragma once

#include "../Support.h"
#include "../kernels/Kernels.h"
#include "../kernels/Parallel.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace ctorch {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
typedef std::optional<Tensor> Maybe;

inline const float *read(const Tensor &t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }
inline float *write(const Tensor &t) { return t.defined() ? t.data_ptr<float>() : nullptr; }

inline int64_t padded(int64_t count) {
  int64_t width = kernels().panelWidth;
  return (count + width - 1) / width * width;
}

inline MatrixPacking packing(const Tensor &matrix, const Tensor &rowScale, const Tensor &columnScale) {
  return {.matrix = read(matrix), .rows = matrix.size(0), .columns = matrix.size(1),
          .rowScale = read(rowScale), .columnScale = read(columnScale)};
}

inline Tensor pack(MatrixPacking m, int64_t size, int64_t depth,
                   void (*kernel)(const MatrixPacking &)) {
  Tensor packed = at::empty({size}, at::kFloat);
  m.depth = depth;
  m.packed = write(packed);
  kernel(m);
  return packed;
}

/// `diag(rowScale) matrix diag(columnScale)` in panels of rows or columns, for channel mixing, by Strassen's
/// products or not. `depth`: K of the panels where it is more than the matrix's.
inline Tensor panelsOfRows(bool strassen, const Tensor &matrix, const Tensor &rowScale = {},
                           const Tensor &columnScale = {}, int64_t depth = 0) {
  const Kernels &k = kernels();
  depth = std::max(depth, matrix.size(1));
  return pack(packing(matrix, rowScale, columnScale),
              (strassen ? k.strassenPanelsSize : k.panelsSize)(matrix.size(0), depth), depth,
              strassen ? k.packStrassenPanelsOfRows : k.packPanelsOfRows);
}

inline Tensor panelsOfColumns(bool strassen, const Tensor &matrix, const Tensor &rowScale = {},
                              const Tensor &columnScale = {}, int64_t depth = 0) {
  const Kernels &k = kernels();
  depth = std::max(depth, matrix.size(0));
  return pack(packing(matrix, rowScale, columnScale),
              (strassen ? k.strassenPanelsSize : k.panelsSize)(matrix.size(1), depth), depth,
              strassen ? k.packStrassenPanelsOfColumns : k.packPanelsOfColumns);
}

/// A matrix in tiles of rows or columns, for token mixing.
inline Tensor tilesOfRows(const Tensor &matrix) {
  return pack(packing(matrix, {}, {}), kernels().tilesSize(matrix.size(0), matrix.size(1)),
              matrix.size(1), kernels().packTilesOfRows);
}

inline Tensor tilesOfColumns(const Tensor &matrix) {
  return pack(packing(matrix, {}, {}), kernels().tilesSize(matrix.size(1), matrix.size(0)),
              matrix.size(0), kernels().packTilesOfColumns);
}

/// `scale * (bias + weight shift)`, with zeros up to whole panels; each part may be undefined.
inline Tensor foldedBias(const Tensor &bias, const Tensor &weight, const Tensor &shift,
                         const Tensor &scale = {}) {
  Tensor result = at::zeros({padded(weight.size(0))}, at::kFloat);
  Tensor used = result.narrow(0, 0, weight.size(0));
  if (bias.defined()) used.copy_(bias);
  if (shift.defined()) {
    constexpr int64_t kRows = 128;
    parallelFor((weight.size(0) + kRows - 1) / kRows, [&](int64_t i) {
      // Other threads do not know that no gradients are recorded here.
      at::AutoDispatchBelowADInplaceOrView guard;
      int64_t first = i * kRows, end = std::min(weight.size(0), first + kRows);
      used.slice(0, first, end).addmv_(weight.slice(0, first, end), shift);
    });
  }
  if (scale.defined()) used.mul_(scale);
  return result;
}

/// The norm at the start of a branch: gain and shift for each channel, after the normalisation of rows
/// if there is one.
struct Norm {
  Tensor gain, shift;
  bool normalizes;
  double epsilon;

  Tensor plain(const Tensor &x) const {
    if (normalizes) return at::layer_norm(x, {x.size(-1)}, gain, shift, epsilon);
    return gain.defined() ? x * gain + shift : x;
  }
};

/// Gain and shift as vectors, whatever their shape.
inline Norm norm(const CTNorm &n) {
  Tensor gain = borrow(n.gain), shift = borrow(n.shift);
  return {gain.defined() ? gain.view(-1) : gain, shift.defined() ? shift.view(-1) : shift,
          n.normalizes != 0, n.epsilon};
}

/// Whether a function of these tensors is recorded for gradients.
inline bool isRecorded(const variable_list &inputs) {
  return at::GradMode::is_enabled() && torch::autograd::any_variable_requires_grad(inputs);
}

inline Tensor plainActivation(CTActivation activation, const Tensor &x) {
  switch (activation) {
    case CT_IDENTITY: return x;
    case CT_GELU: return at::gelu(x);
    case CT_GELU_TANH: return at::gelu(x, "tanh");
    case CT_RELU: return at::relu(x);
    case CT_SILU: return at::silu(x);
  }
  return x;
}

/// The branch times one factor for each sample, or its gradient.
inline Tensor timesFactors(const Tensor &branch, const Tensor &factors) {
  if (!factors.defined()) return branch;
  std::vector<int64_t> shape(branch.dim(), 1);
  shape[0] = -1;
  return branch * factors.view(shape);
}

inline Maybe maybe(const Tensor &t) { return t.defined() ? Maybe(t) : std::nullopt; }
inline Tensor orNone(const Maybe &t) { return t.value_or(Tensor()); }
inline bool isWanted(const Tensor &t) { return t.defined() && t.requires_grad(); }
/// Gradients that themselves can be differentiated: `plain` computes the branch once more, recorded.
template <typename Plain>
variable_list recordedGradients(const variable_list &inputs, const Tensor &dy, Plain plain) {
  Tensor y = plain();
  variable_list wanted;
  for (auto &input : inputs) {
    if (isWanted(input)) wanted.push_back(input);
  }
  auto found = torch::autograd::grad({y}, wanted, {dy}, /*retain_graph=*/true,
                                     /*create_graph=*/true, /*allow_unused=*/true);
  variable_list gradients;
  size_t next = 0;
  for (auto &input : inputs) gradients.push_back(isWanted(input) ? found[next++] : Tensor());
  return gradients;
}

/// Gain's and shift's gradients from the products of the next weight's gradient, or from sums over
/// chunks of rows: parts [n, 2, C].
inline void normGradientsFromParts(const Tensor &parts, const Norm &norm, Tensor &dGain,
                                   Tensor &dShift) {
  if (!isWanted(norm.gain) && !isWanted(norm.shift)) return;
  Tensor total = parts.sum(0);
  if (isWanted(norm.gain)) dGain = total[0].clone();
  if (isWanted(norm.shift)) dShift = total[1].clone();
}

/// Gradients of a linear layer over rows, of bias and norm: `a` [rows, m] is the result's gradient, and
/// the norm of `b` [rows, n] the layer's input.
struct LinearGradients {
  Tensor weight, bias, gain, shift, scale;
};

LinearGradients linearGradients(bool strassen, const Tensor &a, const Tensor &b, int64_t bStride,
                                const Tensor &weight, const Tensor &bias, const Norm &norm,
                                const Tensor &moments, const Tensor &scale);

}  // namespace ctorch
