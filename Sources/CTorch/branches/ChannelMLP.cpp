// Channel mixing as one function with gradients: `y = x + f * scale * (W2 a(W1 norm(x) + b1) + b2)`.
//
// Gain and shift of the norm are folded into W1 and b1, the layer scale into W2 and b2, so the kernels
// see `y = x + W2' a(W1' n + b1') + b2'` with n the rows of x, normalised or as they are. From the
// gradients of the folded weights, G = dh^T n and s = the column sums of dh, follow those of the parts:
//
//     dW1 = G diag(gain) + s shift^T     dgain_c = sum_f W1_fc G_fc     dshift_c = sum_f W1_fc s_f
//
// and behind the activation, with G = dy^T a and s = the column sums of dy,
//
//     dW2 = diag(scale) G,  db2 = scale s     dscale_c = sum_f W2_cf G_cf + b2_c s_c
//
// Kept for the backward pass: x, the pre-activation h and each row's mean and deviation.
#include "Branch.h"

namespace ctorch {

LinearGradients linearGradients(bool strassen, const Tensor &a, const Tensor &b, int64_t bStride,
                                const Tensor &weight, const Tensor &bias, const Norm &norm,
                                const Tensor &moments, const Tensor &scale) {
  LinearGradients result;
  int64_t m = weight.size(0), n = weight.size(1), rows = a.numel() / m;
  bool wantsNorm = isWanted(norm.gain) || isWanted(norm.shift);
  if (!wantsNorm && !isWanted(weight) && !isWanted(bias) && !isWanted(scale)) return result;
  result.weight = at::empty({m, n}, at::kFloat);
  Tensor sums = at::empty({m}, at::kFloat);
  Tensor columnProducts, rowProducts;
  // One part for each tile, whose number Strassen's products make even, and one for each panel.
  int64_t pair = 2 * kernels().tileRows;
  if (wantsNorm) columnProducts = at::zeros({2 * ((m + pair - 1) / pair), 2, n}, at::kFloat);
  if (isWanted(scale)) rowProducts = at::empty({padded(n) / kernels().panelWidth, m}, at::kFloat);
  kernels().weightGradient({
      .rows = rows, .m = m, .n = n, .strassen = strassen, .a = read(a), .b = read(b), .aStride = m,
      .bStride = bStride, .moments = read(moments), .rowScale = read(scale),
      .columnScale = read(norm.gain),
      .columnShift = read(norm.shift), .gradient = write(result.weight), .sums = write(sums),
      .weight = wantsNorm || isWanted(scale) ? read(weight) : nullptr,
      .columnProducts = write(columnProducts), .rowProducts = write(rowProducts),
  });
  if (wantsNorm) normGradientsFromParts(columnProducts, norm, result.gain, result.shift);
  if (isWanted(scale)) {
    result.scale = rowProducts.sum(0);
    if (bias.defined()) result.scale.addcmul_(bias, sums);
  }
  if (isWanted(bias)) result.bias = scale.defined() ? sums.mul_(scale) : sums;
  if (!isWanted(weight)) result.weight = Tensor();
  return result;
}

namespace {

struct ChannelMLP {
  Tensor x;                // [..., C]
  Norm norm;
  Tensor w1, b1, w2, b2;   // [F, C], [F], [C, F], [C]
  Tensor scale, factors;   // [C], [B]
  CTActivation activation;
  bool strassen;

  int64_t channels() const { return x.size(-1); }
  int64_t rows() const { return x.numel() / channels(); }
  int64_t hidden() const { return w1.size(0); }

  Tensor plain() const {
    Tensor y = at::linear(plainActivation(activation, at::linear(norm.plain(x), w1, b1)), w2, b2);
    return x + timesFactors(scale.defined() ? y * scale : y, factors);
  }

  /// Also writes h [rows, F] and moments [rows, 2] where they are defined.
  Tensor forward(const Tensor &h, const Tensor &moments) const {
    Tensor y = at::empty_like(x);
    Tensor hiddenWeight = panelsOfRows(strassen, w1, {}, norm.gain);
    Tensor hiddenBias = foldedBias(b1, w1, norm.shift);
    Tensor weight = panelsOfRows(strassen, w2, scale, {}, padded(hidden()));
    Tensor bias = foldedBias(b2, w2, {}, scale);
    int64_t samples = factors.defined() ? factors.size(0) : 1;
    kernels().mixRows({
        .rows = rows(), .depth = channels(), .hidden = hidden(), .columns = channels(),
        .x = read(x), .xStride = channels(), .normalizes = norm.normalizes,
        .epsilon = static_cast<float>(norm.epsilon), .hiddenWeight = read(hiddenWeight),
        .hiddenBias = read(hiddenBias), .hiddenActivation = activation, .weight = read(weight),
        .strassen = strassen, .bias = read(bias), .residual = read(x), .residualStride = channels(),
        .y = write(y), .yStride = channels(), .factors = read(factors),
        .rowsOfFactor = rows() / samples,
        .moments = write(moments), .preactivation = write(h), .preactivationStride = hidden(),
    });
    return y;
  }

  variable_list backward(const Tensor &dy, const Tensor &h, const Tensor &moments) const {
    Tensor branch = timesFactors(dy, factors);
    Tensor dh = at::empty_like(h), activated = at::empty_like(h), dx = at::empty_like(x);
    Tensor weight = panelsOfColumns(strassen, w2, scale);
    Tensor hiddenWeight = panelsOfColumns(strassen, w1, {}, norm.gain, padded(hidden()));
    kernels().rowGradients({
        .rows = rows(), .hidden = hidden(), .depth = channels(), .columns = channels(),
        .dy = read(branch), .strassen = strassen, .weight = read(weight), .h = read(h),
        .activation = activation, .activated = write(activated), .dh = write(dh), .hiddenWeight = read(hiddenWeight),
        .x = read(x), .moments = read(moments), .residual = read(dy), .dx = write(dx),
    });
    auto second = linearGradients(strassen, branch, activated, hidden(), w2, b2, {}, {}, scale);
    activated = Tensor();
    auto first = linearGradients(strassen, dh, x, channels(), w1, b1, norm, moments, {});
    return {dx, first.gain, first.shift, first.weight, first.bias, second.weight, second.bias,
            second.scale, {}, {}, {}, {}, {}};
  }
};

struct ChannelMLPFunction : torch::autograd::Function<ChannelMLPFunction> {
  static Tensor forward(AutogradContext *context, Tensor x, Maybe gain, Maybe shift, Tensor w1,
                        Maybe b1, Tensor w2, Maybe b2, Maybe scale, Maybe factors, bool normalizes,
                        double epsilon, int64_t activation, bool strassen) {
    ChannelMLP mlp = {x, {orNone(gain), orNone(shift), normalizes, epsilon}, w1, orNone(b1), w2,
                      orNone(b2), orNone(scale), orNone(factors),
                      static_cast<CTActivation>(activation), strassen};
    Tensor h = at::empty({mlp.rows(), mlp.hidden()}, at::kFloat), moments;
    if (normalizes) moments = at::empty({mlp.rows(), 2}, at::kFloat);
    context->save_for_backward({x, mlp.norm.gain, mlp.norm.shift, w1, mlp.b1, w2, mlp.b2, mlp.scale,
                                mlp.factors, h, moments});
    context->saved_data["normalizes"] = normalizes;
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["activation"] = activation;
    context->saved_data["strassen"] = strassen;
    return mlp.forward(h, moments);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto s = context->get_saved_variables();
    auto &data = context->saved_data;
    ChannelMLP mlp = {s[0], {s[1], s[2], data["normalizes"].toBool(), data["epsilon"].toDouble()},
                      s[3], s[4], s[5], s[6], s[7], s[8],
                      static_cast<CTActivation>(data["activation"].toInt()),
                      data["strassen"].toBool()};
    if (at::GradMode::is_enabled()) {
      auto found = recordedGradients({s.begin(), s.begin() + 9}, gradients[0],
                                     [&] { return mlp.plain(); });
      found.resize(13);
      return found;
    }
    return mlp.backward(gradients[0].contiguous(), s[9], s[10]);
  }
};

}  // namespace
}  // namespace ctorch

int ct_channel_mlp(CTTensor x, CTNorm norm, CTTensor w1, CTTensor b1, CTTensor w2, CTTensor b2,
                   CTTensor scale, CTTensor factors, CTActivation activation, int32_t strassen,
                   CTTensor *y) {
  using namespace ctorch;
  return catching([&] {
    Norm n = ctorch::norm(norm);
    ChannelMLP mlp = {borrow(x).contiguous(), n, borrow(w1), borrow(b1), borrow(w2), borrow(b2),
                      borrow(scale), borrow(factors), activation, strassen != 0};
    if (!isRecorded({mlp.x, n.gain, n.shift, mlp.w1, mlp.b1, mlp.w2, mlp.b2, mlp.scale})) {
      *y = give(mlp.forward({}, {}));
      return;
    }
    *y = give(ChannelMLPFunction::apply(
        mlp.x, maybe(n.gain), maybe(n.shift), mlp.w1, maybe(mlp.b1), mlp.w2, maybe(mlp.b2),
        maybe(mlp.scale), maybe(mlp.factors), n.normalizes, n.epsilon,
        static_cast<int64_t>(activation), mlp.strassen));
  });
}
