// gMLP's branch as one function with gradients: `y = x + f (W2 p + b2)` with
//
//     h = W1 norm(x) + b1    [u, v] = a(h)    m = gateNorm(v)    g = W m + b    p = u * g
//
// where W mixes tokens. Kept for the backward pass: x, h, g and the moments of both norms; u, v, m, p are
// computed again from h where they are needed. The backward pass, each line one kernel:
//
//     dp = W2^T dy,  dg = dp u,  dh_u = dp g a'(h_u)          with p, for dW2
//     dm = W^T dg                                             this and the next for few images at a time
//     dv through the gate's norm,  dh_v = dv a'(h_v)          with m, for dW
//     dx = dy + W1^T dh through the norm
//     dW2 = dy^T p,  dW = sum of dg m^T,  dW1 = dh^T norm(x), and the biases' sums
#include "Branch.h"

#include <ATen/Parallel.h>

namespace ctorch {
namespace {

struct GatedMLP {
  Tensor x;                // [B, S, C]
  Norm norm;
  Tensor w1, b1;           // [F, C], [F]
  Norm gateNorm;
  Tensor w, b;             // [S, S], [S]
  Tensor w2, b2;           // [C, F / 2], [C]
  Tensor factors;          // [B]
  CTActivation activation;
  bool strassen;           // what mixes channels is multiplied by Strassen's products

  int64_t batch() const { return x.size(0); }
  int64_t tokens() const { return x.size(1); }
  int64_t channels() const { return x.size(2); }
  int64_t rows() const { return batch() * tokens(); }
  int64_t hidden() const { return w1.size(0); }
  int64_t width() const { return hidden() / 2; }

  Tensor plain() const {
    auto halves = plainActivation(activation, at::linear(norm.plain(x), w1, b1)).chunk(2, -1);
    Tensor weights = w.expand({batch(), -1, -1}), m = gateNorm.plain(halves[1]);
    Tensor g = b.defined() ? at::baddbmm(b.unsqueeze(1), weights, m) : at::bmm(weights, m);
    return x + timesFactors(at::linear(halves[0] * g, w2, b2), factors);
  }

  /// Also writes h [B, S, F], g [B, S, F / 2] and moments [B S, 2] where they are defined.
  Tensor forward(const Tensor &h, const Tensor &g, const Tensor &moments,
                 const Tensor &gateMoments) const {
    Tensor hiddenWeight = panelsOfRows(strassen, w1, {}, norm.gain);
    Tensor hiddenBias = foldedBias(b1, w1, norm.shift);
    Tensor activated = at::empty({batch(), tokens(), hidden()}, at::kFloat);
    float *u = write(activated), *v = u + width();
    kernels().mixRows({
        .rows = rows(), .depth = channels(), .columns = hidden(), .x = read(x),
        .xStride = channels(), .normalizes = norm.normalizes,
        .epsilon = static_cast<float>(norm.epsilon), .weight = read(hiddenWeight),
        .strassen = strassen, .bias = read(hiddenBias), .activation = activation, .y = u, .yStride = hidden(),
        .moments = write(moments), .preactivation = write(h), .preactivationStride = hidden(),
    });
    Tensor gateWeight = tilesOfRows(w);
    int64_t stride = tokens() * hidden();
    kernels().mixColumns({
        .batch = batch(), .tokens = tokens(), .channels = width(), .rows = tokens(), .x = v,
        .xBatchStride = stride, .xStride = hidden(), .normalization = CT_ROW_NORM,
        .epsilon = static_cast<float>(gateNorm.epsilon), .scale = read(gateNorm.gain),
        .shift = read(gateNorm.shift), .weight = read(gateWeight), .bias = read(b), .gate = u,
        .gateBatchStride = stride, .gateStride = hidden(), .y = u, .yBatchStride = stride,
        .yStride = hidden(), .moments = write(gateMoments), .ungated = write(g),
    });
    Tensor y = at::empty_like(x), weight = panelsOfRows(strassen, w2), bias = foldedBias(b2, w2, {});
    kernels().mixRows({
        .rows = rows(), .depth = width(), .columns = channels(), .x = u, .xStride = hidden(),
        .weight = read(weight), .strassen = strassen, .bias = read(bias), .residual = read(x),
        .residualStride = channels(), .y = write(y), .yStride = channels(),
        .factors = read(factors), .rowsOfFactor = tokens(),
    });
    return y;
  }

  variable_list backward(const Tensor &dy, const Tensor &h, const Tensor &g, const Tensor &moments,
                         const Tensor &gateMoments) const {
    Tensor branch = timesFactors(dy, factors);
    Tensor dh = at::empty_like(h), dg = at::empty_like(g), p = at::empty_like(g);
    kernels().gateGradients({
        .rows = rows(), .columns = channels(), .width = width(), .dy = read(branch),
        .strassen = strassen, .weight = read(panelsOfColumns(strassen, w2)), .h = read(h),
        .activation = activation, .g = read(g), .p = write(p), .dg = write(dg), .dh = write(dh),
    });
    auto second = linearGradients(strassen, branch, p, width(), w2, b2, {}, {}, {});
    Tensor m = p;  // no longer needed: first dm, then m
    Tensor gateWeight = tilesOfColumns(w);
    int64_t chunks = (tokens() + kRowChunk - 1) / kRowChunk;
    Tensor parts = at::empty({batch() * chunks, 2, width()}, at::kFloat);
    // Few images at a time, so that dm is still in the caches, but enough for all threads.
    int64_t atOnce = (at::get_num_threads() + chunks - 1) / chunks;
    for (int64_t image = 0; image < batch(); image += atOnce) {
      int64_t first = image * tokens(), count = std::min(atOnce, batch() - image);
      kernels().columnGradients({
          .batch = count, .tokens = tokens(), .channels = width(), .rows = tokens(),
          .dy = read(dg) + first * width(), .weight = read(gateWeight),
          .dn = write(m) + first * width(),
      });
      kernels().gateNormGradients({
          .batch = count, .rows = tokens(), .width = width(),
          .h = read(h) + first * hidden() + width(), .activation = activation,
          .moments = read(gateMoments) + 2 * first, .gain = read(gateNorm.gain),
          .shift = read(gateNorm.shift),
          .m = write(m) + first * width(), .dh = write(dh) + first * hidden() + width(),
          .sums = write(parts) + image * chunks * 2 * width(),
      });
    }
    Tensor dGateGain, dGateShift;
    normGradientsFromParts(parts, gateNorm, dGateGain, dGateShift);
    Tensor dW = at::empty_like(w), db = at::empty({tokens()}, at::kFloat);
    kernels().tokenWeightGradient({
        .batch = batch(), .channels = width(), .m = tokens(), .n = tokens(), .a = read(dg),
        .b = read(m), .gradient = write(dW), .sums = write(db),
    });
    dg = p = m = Tensor();
    Tensor dx = at::empty_like(x);
    kernels().rowGradients({
        .rows = rows(), .hidden = hidden(), .depth = channels(), .strassen = strassen,
        .dh = write(dh),
        .hiddenWeight = read(panelsOfColumns(strassen, w1, {}, norm.gain, padded(hidden()))),
        .x = read(x), .moments = read(moments), .residual = read(dy), .dx = write(dx),
    });
    auto first = linearGradients(strassen, dh, x, channels(), w1, b1, norm, moments, {});
    return {dx, first.gain, first.shift, first.weight, first.bias, dGateGain, dGateShift,
            isWanted(w) ? dW : Tensor(), isWanted(b) ? db : Tensor(), second.weight, second.bias};
  }
};

struct GatedMLPFunction : torch::autograd::Function<GatedMLPFunction> {
  static Tensor forward(AutogradContext *context, Tensor x, Maybe gain, Maybe shift, Tensor w1,
                        Maybe b1, Tensor gateGain, Tensor gateShift, Tensor w, Maybe b, Tensor w2,
                        Maybe b2, Maybe factors, bool normalizes, double epsilon, double gateEpsilon,
                        int64_t activation, bool strassen) {
    GatedMLP mlp = {x, {orNone(gain), orNone(shift), normalizes, epsilon}, w1, orNone(b1),
                    {gateGain, gateShift, true, gateEpsilon}, w, orNone(b), w2, orNone(b2),
                    orNone(factors), static_cast<CTActivation>(activation), strassen};
    Tensor h = at::empty({mlp.batch(), mlp.tokens(), mlp.hidden()}, at::kFloat), moments;
    Tensor g = at::empty({mlp.batch(), mlp.tokens(), mlp.width()}, at::kFloat);
    if (normalizes) moments = at::empty({mlp.rows(), 2}, at::kFloat);
    Tensor gateMoments = at::empty({mlp.rows(), 2}, at::kFloat);
    context->save_for_backward({x, mlp.norm.gain, mlp.norm.shift, w1, mlp.b1, gateGain, gateShift, w,
                                mlp.b, w2, mlp.b2, mlp.factors, h, g, moments, gateMoments});
    context->saved_data["normalizes"] = normalizes;
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["gateEpsilon"] = gateEpsilon;
    context->saved_data["activation"] = activation;
    context->saved_data["strassen"] = strassen;
    return mlp.forward(h, g, moments, gateMoments);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto s = context->get_saved_variables();
    auto &data = context->saved_data;
    GatedMLP mlp = {
        s[0], {s[1], s[2], data["normalizes"].toBool(), data["epsilon"].toDouble()}, s[3], s[4],
        {s[5], s[6], true, data["gateEpsilon"].toDouble()}, s[7], s[8], s[9], s[10], s[11],
        static_cast<CTActivation>(data["activation"].toInt()), data["strassen"].toBool()};
    auto found = at::GradMode::is_enabled()
                     ? recordedGradients({s.begin(), s.begin() + 12}, gradients[0],
                                         [&] { return mlp.plain(); })
                     : mlp.backward(gradients[0].contiguous(), s[12], s[13], s[14], s[15]);
    found.resize(17);
    return found;
  }
};

}  // namespace
}  // namespace ctorch

int ct_gated_mlp(CTTensor x, CTNorm norm, CTTensor w1, CTTensor b1, CTNorm gateNorm,
                 CTTensor gateWeight, CTTensor gateBias, CTTensor w2, CTTensor b2, CTTensor factors,
                 CTActivation activation, int32_t strassen, CTTensor *y) {
  using namespace ctorch;
  return catching([&] {
    Norm n = ctorch::norm(norm), gn = ctorch::norm(gateNorm);
    GatedMLP mlp = {borrow(x).contiguous(), n, borrow(w1), borrow(b1), gn, borrow(gateWeight),
                    borrow(gateBias), borrow(w2), borrow(b2), borrow(factors), activation,
                    strassen != 0};
    if (!isRecorded({mlp.x, n.gain, n.shift, mlp.w1, mlp.b1, gn.gain, gn.shift, mlp.w, mlp.b, mlp.w2,
                     mlp.b2})) {
      *y = give(mlp.forward({}, {}, {}, {}));
      return;
    }
    *y = give(GatedMLPFunction::apply(
        mlp.x, maybe(n.gain), maybe(n.shift), mlp.w1, maybe(mlp.b1), gn.gain, gn.shift, mlp.w,
        maybe(mlp.b), mlp.w2, maybe(mlp.b2), maybe(mlp.factors), n.normalizes, n.epsilon, gn.epsilon,
        static_cast<int64_t>(activation), mlp.strassen));
  });
}

int ct_has_kernels(const CTTensor *tensors, int32_t count) {
  if (at::autocast::is_autocast_enabled(at::kCPU)) return false;
  for (int32_t i = 0; i < count; ++i) {
    if (tensors[i] == nullptr) continue;
    auto *tensor = ctorch::impl(tensors[i]);
    bool isPlain = tensor->device_type() == at::kCPU && tensor->layout() == at::kStrided &&
                   tensor->dtype() == caffe2::TypeMeta::Make<float>() && tensor->numel() > 0 &&
                   (i == 0 || tensor->is_contiguous());
    if (!isPlain) return false;
  }
  return true;
}
