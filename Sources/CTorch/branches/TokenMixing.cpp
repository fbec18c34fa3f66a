// Token mixing as functions with gradients, for each channel of x [B, S, C]:
// `y = x + f (W2 a(W1 norm(x) + b1) + b2)`, and with one matrix `y = x + f * scale * (W norm(x) + b)`.
//
// Matrices multiply from the left where the tokens lie, nothing is transposed. With m = norm(x) and, for
// each image, dh = (W2^T dy) a'(h), dm = W1^T dh:
//
//     dW1 = sum of dh m^T    db1 = sum of dh    dW2 = sum of dy a(h)^T    db2 = sum of dy
//
// over images and channels. The layer scale belongs to channels, so it commutes with W: dm is left
// without it, and its gradient needs no product of its own:
//
//     dscale_c = sum of (m W^T dy)_c + (b^T dy)_c = gain_c sum of (n dm)_c + shift_c sum of dm_c + ...
#include "Branch.h"

namespace ctorch {
namespace {

Tensor overTokens(const Tensor &weight, const Tensor &bias, const Tensor &x) {
  Tensor weights = weight.expand({x.size(0), -1, -1});
  return bias.defined() ? at::baddbmm(bias.unsqueeze(1), weights, x) : at::bmm(weights, x);
}

struct TokenMixing {
  Tensor x;  // [B, S, C]
  Norm norm;
  Tensor w1, b1;           // [T, S], [T]; undefined for one matrix
  Tensor w2, b2;           // [S, T or S], [S]
  Tensor scale, factors;   // [C] (for one matrix), [B]
  CTActivation activation;

  int64_t batch() const { return x.size(0); }
  int64_t tokens() const { return x.size(1); }
  int64_t channels() const { return x.size(2); }
  int64_t hidden() const { return w1.defined() ? w1.size(0) : 0; }

  Tensor plain() const {
    Tensor m = norm.plain(x);
    if (w1.defined()) m = plainActivation(activation, overTokens(w1, b1, m));
    Tensor y = overTokens(w2, b2, m);
    return x + timesFactors(scale.defined() ? y * scale : y, factors);
  }

  Tensor forward(const Tensor &h, const Tensor &moments) const {
    Tensor y = at::empty_like(x), weight = tilesOfRows(w2), hiddenWeight, hiddenBias;
    if (w1.defined()) {
      hiddenWeight = tilesOfRows(w1);
      hiddenBias = b1.defined() ? b1 : at::zeros({hidden()}, at::kFloat);
    }
    int64_t stride = tokens() * channels();
    kernels().mixColumns({
        .batch = batch(), .tokens = tokens(), .channels = channels(), .hidden = hidden(),
        .rows = tokens(), .x = read(x), .xBatchStride = stride, .xStride = channels(),
        .normalization = norm.normalizes ? CT_ROW_NORM : CT_NO_NORM,
        .epsilon = static_cast<float>(norm.epsilon), .scale = read(norm.gain),
        .shift = read(norm.shift), .hiddenWeight = read(hiddenWeight),
        .hiddenBias = read(hiddenBias), .hiddenActivation = activation, .weight = read(weight),
        .bias = read(b2), .resultScale = read(scale), .residual = read(x),
        .residualBatchStride = stride, .residualStride = channels(), .y = write(y),
        .yBatchStride = stride, .yStride = channels(), .factors = read(factors),
        .moments = write(moments), .preactivation = write(h),
    });
    return y;
  }

  /// The gradients of a matrix that takes `b` to something of gradient `a`, and of its bias.
  std::pair<Tensor, Tensor> weightGradient(const Tensor &weight, TokenWeightGradient g) const {
    g.batch = batch();
    g.channels = channels();
    g.m = weight.size(0);
    g.n = weight.size(1);
    Tensor gradient = at::empty_like(weight), sums = at::empty({g.m}, at::kFloat);
    g.gradient = write(gradient);
    g.sums = write(sums);
    kernels().tokenWeightGradient(g);
    return {gradient, sums};
  }

  variable_list backward(const Tensor &dy, const Tensor &h, const Tensor &moments) const {
    Tensor branch = timesFactors(dy, factors);
    Tensor dx = at::empty_like(x), dh, activated;
    if (w1.defined()) dh = at::empty_like(h), activated = at::empty_like(h);
    Tensor weight = tilesOfColumns(w2), hiddenWeight = w1.defined() ? tilesOfColumns(w1) : Tensor();
    kernels().columnGradients({
        .batch = batch(), .tokens = tokens(), .channels = channels(), .hidden = hidden(),
        .rows = tokens(), .dy = read(branch), .weight = read(weight),
        .hiddenWeight = read(hiddenWeight), .h = read(h), .activation = activation,
        .activated = write(activated), .dh = write(dh), .dn = write(dx),
    });
    int64_t rows = batch() * tokens();
    Tensor parts = at::empty({(rows + kRowChunk - 1) / kRowChunk, 2, channels()}, at::kFloat);
    kernels().normGradients({
        .rows = rows, .width = channels(), .dm = read(dx), .x = read(x), .moments = read(moments),
        .gain = read(norm.gain), .scale = read(scale), .residual = read(dy), .dx = write(dx),
        .sums = write(parts),
    });
    Tensor sums = parts.sum(0), dGain = sums[0], dShift = sums[1], dScale;
    if (scale.defined()) {
      dScale = norm.gain.defined() ? dGain * norm.gain + dShift * norm.shift : dGain.clone();
      if (b2.defined()) dScale += at::matmul(b2, branch.sum(0));
      dGain = dGain * scale;
      dShift = dShift * scale;
    }
    Tensor dW1, db1, dW2, db2;
    TokenWeightGradient ofInput = {.b = read(x), .moments = read(moments), .gain = read(norm.gain),
                                   .shift = read(norm.shift)};
    if (isWanted(w2) || isWanted(b2)) {
      TokenWeightGradient of = w1.defined()
                                   ? TokenWeightGradient{.b = read(activated), .bHasPanels = true}
                                   : ofInput;
      of.a = read(branch);
      of.scale = read(scale);
      std::tie(dW2, db2) = weightGradient(w2, of);
    }
    activated = Tensor();
    if (isWanted(w1) || isWanted(b1)) {
      ofInput.a = read(dh);
      ofInput.aHasPanels = true;
      std::tie(dW1, db1) = weightGradient(w1, ofInput);
    }
    auto wanted = [](const Tensor &gradient, const Tensor &input) {
      return isWanted(input) ? gradient.contiguous() : Tensor();
    };
    return {dx, wanted(dGain, norm.gain), wanted(dShift, norm.shift), wanted(dW1, w1),
            wanted(db1, b1), wanted(dW2, w2), wanted(db2, b2), wanted(dScale, scale)};
  }
};

struct TokenMixingFunction : torch::autograd::Function<TokenMixingFunction> {
  static Tensor forward(AutogradContext *context, Tensor x, Maybe gain, Maybe shift, Maybe w1,
                        Maybe b1, Tensor w2, Maybe b2, Maybe scale, Maybe factors, bool normalizes,
                        double epsilon, int64_t activation) {
    TokenMixing mixing = {x, {orNone(gain), orNone(shift), normalizes, epsilon}, orNone(w1),
                          orNone(b1), w2, orNone(b2), orNone(scale), orNone(factors),
                          static_cast<CTActivation>(activation)};
    Tensor h, moments;
    if (w1) {
      // In panels of channels, as kernels write and read it.
      h = at::empty({mixing.batch(), padded(mixing.channels()), mixing.hidden()}, at::kFloat);
    }
    if (normalizes) moments = at::empty({mixing.batch(), mixing.tokens(), 2}, at::kFloat);
    context->save_for_backward({x, mixing.norm.gain, mixing.norm.shift, mixing.w1, mixing.b1, w2,
                                mixing.b2, mixing.scale, mixing.factors, h, moments});
    context->saved_data["normalizes"] = normalizes;
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["activation"] = activation;
    return mixing.forward(h, moments);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto s = context->get_saved_variables();
    auto &data = context->saved_data;
    TokenMixing mixing = {
        s[0], {s[1], s[2], data["normalizes"].toBool(), data["epsilon"].toDouble()}, s[3], s[4], s[5],
        s[6], s[7], s[8], static_cast<CTActivation>(data["activation"].toInt())};
    auto found = at::GradMode::is_enabled()
                     ? recordedGradients({s.begin(), s.begin() + 9}, gradients[0],
                                         [&] { return mixing.plain(); })
                     : mixing.backward(gradients[0].contiguous(), s[9], s[10]);
    found.resize(12);
    return found;
  }
};

void run(const TokenMixing &t, CTTensor *y) {
  if (!isRecorded({t.x, t.norm.gain, t.norm.shift, t.w1, t.b1, t.w2, t.b2, t.scale})) {
    *y = give(t.forward({}, {}));
    return;
  }
  *y = give(TokenMixingFunction::apply(
      t.x, maybe(t.norm.gain), maybe(t.norm.shift), maybe(t.w1), maybe(t.b1), t.w2, maybe(t.b2),
      maybe(t.scale), maybe(t.factors), t.norm.normalizes, t.norm.epsilon,
      static_cast<int64_t>(t.activation)));

}

}  // namespace
}  // namespace ctorch

int ct_token_mlp(CTTensor x, CTNorm norm, CTTensor w1, CTTensor b1, CTTensor w2, CTTensor b2,
                 CTTensor factors, CTActivation activation, CTTensor *y) {
  using namespace ctorch;
  return catching([&] {
    run({borrow(x).contiguous(), ctorch::norm(norm), borrow(w1), borrow(b1), borrow(w2), borrow(b2),
         {}, borrow(factors), activation}, y);
  });
}

int ct_token_linear(CTTensor x, CTNorm norm, CTTensor weight, CTTensor bias, CTTensor scale,
                    CTTensor factors, CTTensor *y) {
  using namespace ctorch;
  return catching([&] {
    run({borrow(x).contiguous(), ctorch::norm(norm), {}, {}, borrow(weight), borrow(bias),
         borrow(scale), borrow(factors), CT_IDENTITY}, y);
  });
}
