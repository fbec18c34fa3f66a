// Vectors of floats as wide as the registers of one kind of processor, and the functions of numbers
// that kernels need. No include guard: `Kernels.cpp` includes this once for each kind, inside a
// namespace of its own where `kWidth` (floats in a register) and `kTileRows` are defined.

/// One register of floats, and as many integers and truth values.
typedef float Vec __attribute__((ext_vector_type(kWidth)));
typedef int32_t IntVec __attribute__((ext_vector_type(kWidth)));

#define INLINE static inline __attribute__((always_inline))

INLINE Vec load(const float *p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }

/// The first `count` < kWidth numbers; zeros behind them.
template <int Width = kWidth>
INLINE Vec loadPart(const float *p, int64_t count) {
#if defined(__x86_64__)
  if constexpr (Width == 16) {
    auto loaded = _mm512_maskz_loadu_ps((1u << count) - 1, p);
    Vec v;
    __builtin_memcpy(&v, &loaded, sizeof v);
    return v;
  }
#endif
  alignas(64) float all[kWidth] = {};
  __builtin_memcpy(all, p, sizeof(float) * count);
  return load(all);
}

template <int Width = kWidth>
INLINE void storePart(float *p, Vec v, int64_t count) {
#if defined(__x86_64__)
  if constexpr (Width == 16) {
    __m512 stored = {};
    __builtin_memcpy(&stored, &v, sizeof v);
    return _mm512_mask_storeu_ps(p, (1u << count) - 1, stored);
  }
#endif
  alignas(64) float all[kWidth];
  store(all, v);
  __builtin_memcpy(p, all, sizeof(float) * count);
}

INLINE Vec splat(float x) { return (Vec)(x); }
INLINE Vec fma(Vec a, Vec b, Vec c) { return __builtin_elementwise_fma(a, b, c); }
INLINE Vec max(Vec a, Vec b) { return __builtin_elementwise_max(a, b); }
INLINE Vec min(Vec a, Vec b) { return __builtin_elementwise_min(a, b); }
INLINE Vec bits(IntVec v) { return __builtin_bit_cast(Vec, v); }
INLINE IntVec bits(Vec v) { return __builtin_bit_cast(IntVec, v); }

INLINE float sum(Vec v) {
  alignas(64) float lanes[kWidth];
  store(lanes, v);
  for (int width = kWidth / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

/// 1 / x within 2^-22, for x that are neither huge nor tiny.
INLINE Vec reciprocal(Vec x) {
  Vec y = reciprocalEstimate(x);
  return fma(y, fma(-x, y, splat(1.0f)), y);
}

/// 2^x within 2e-7 of itself, for x in [-110, 127]; what is outside counts as its end. Smaller results
/// would become denormal numbers in a product, which cost a hundred times as much.
INLINE Vec powerOfTwo(Vec x) {
  x = min(max(x, splat(-110.0f)), splat(127.0f));
  // x = n + r; adding 1.5 * 2^23 rounds x to an integer in the last bits.
  const Vec rounder = splat(12582912.0f);
  Vec shifted = x + rounder;
  Vec r = x - (shifted - rounder);
  // The polynomial in r of least relative error for |r| <= 1/2.
  Vec p = splat(0.0013276472f);
  p = fma(p, r, splat(0.00967554133f));
  p = fma(p, r, splat(0.0555071327f));
  p = fma(p, r, splat(0.240221197f));
  p = fma(p, r, splat(0.693146967f));
  p = fma(p, r, splat(1.00000007f));
  return bits(bits(p) + (bits(shifted) << 23));
}

INLINE Vec exp(Vec x) { return powerOfTwo(x * splat(1.44269504f)); }

/// Of the normal distribution: e^(-x^2 / 2), and the probability of what is further out than |x| on one
/// side, by Abramowitz and Stegun 7.1.26, whose exponential is the former. Absolute error of the
/// latter below 1.5e-7.
struct Normal {
  Vec bell, tail;
};

INLINE Normal normal(Vec x) {
  Vec bell = powerOfTwo(x * x * splat(-0.721347520f));  // -1 / (2 ln 2)
  // 0.3275911 / sqrt(2); the coefficients are halved.
  Vec t = reciprocal(fma(__builtin_elementwise_abs(x), splat(0.231641888f), splat(1.0f)));
  Vec p = splat(0.5307027145f);
  p = fma(p, t, splat(-0.7265760135f));
  p = fma(p, t, splat(0.7107068705f));
  p = fma(p, t, splat(-0.142248368f));
  p = fma(p, t, splat(0.127414796f));
  return {bell, p * t * bell};
}

/// x Phi(x)
INLINE Vec gelu(Vec x) {
  return max(x, splat(0.0f)) - __builtin_elementwise_abs(x) * normal(x).tail;
}

INLINE Vec sigmoid(Vec x) { return reciprocal(splat(1.0f) + exp(-x)); }

/// 1/2 x (1 + tanh(y)) = x sigmoid(2 y) with y = sqrt(2 / pi) (x + 0.044715 x^3).
INLINE Vec geluTanh(Vec x) {
  Vec twice = splat(1.59576912f) * x * fma(x * x, splat(0.044715f), splat(1.0f));
  return x * sigmoid(twice);
}

/// max(x, 0); what is no number stays so.
INLINE Vec relu(Vec x) { return x < splat(0.0f) ? splat(0.0f) : x; }

INLINE Vec activate(CTActivation activation, Vec x) {
  switch (activation) {
    case CT_IDENTITY: return x;
    case CT_GELU: return gelu(x);
    case CT_GELU_TANH: return geluTanh(x);
    case CT_RELU: return relu(x);
    case CT_SILU: return x * sigmoid(x);
  }
  return x;
}

/// An activation's value and its derivative.
struct Activated {
  Vec value, slope;
};

INLINE Activated activateWithSlope(CTActivation activation, Vec x) {
  const Vec one = splat(1.0f);
  switch (activation) {
    case CT_IDENTITY: return {x, one};
    case CT_GELU: {
      Normal n = normal(x);  // x Phi(x); Phi(x) + x phi(x)
      Vec distribution = x < splat(0.0f) ? n.tail : one - n.tail;
      return {x * distribution, fma(x * n.bell, splat(0.398942280f), distribution)};
    }
    case CT_GELU_TANH: {  // x s(t(x)); s + x s (1 - s) t'
      Vec square = x * x;
      Vec s = sigmoid(splat(1.59576912f) * x * fma(square, splat(0.044715f), one));
      Vec inner = splat(1.59576912f) * fma(square, splat(0.134145f), one);
      return {x * s, fma(x * s * (one - s), inner, s)};
    }
    case CT_RELU: return {relu(x), x > splat(0.0f) ? one : splat(0.0f)};
    case CT_SILU: {
      Vec s = sigmoid(x);  // s + x s (1 - s)
      return {x * s, fma(x * s, one - s, s)};
    }
  }
  return {x, one};
}

/// Mean and reciprocal standard deviation of a row.
struct Moments {
  float mean, scale;
};

INLINE Moments moments(const float *x, int64_t count, float epsilon) {
  Vec sums[4] = {splat(0), splat(0), splat(0), splat(0)};
  int64_t k = 0;
  for (; k + 4 * kWidth <= count; k += 4 * kWidth) {
    for (int i = 0; i < 4; ++i) sums[i] += load(x + k + i * kWidth);
  }
  for (; k + kWidth <= count; k += kWidth) sums[0] += load(x + k);
  float total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (int64_t i = k; i < count; ++i) total += x[i];
  float mean = total / static_cast<float>(count);

  Vec squares[4] = {splat(0), splat(0), splat(0), splat(0)};
  for (k = 0; k + 4 * kWidth <= count; k += 4 * kWidth) {
    for (int i = 0; i < 4; ++i) {
      Vec d = load(x + k + i * kWidth) - splat(mean);
      squares[i] = fma(d, d, squares[i]);
    }
  }
  for (; k + kWidth <= count; k += kWidth) {
    Vec d = load(x + k) - splat(mean);
    squares[0] = fma(d, d, squares[0]);
  }
  float variance = sum((squares[0] + squares[1]) + (squares[2] + squares[3]));
  for (; k < count; ++k) variance += (x[k] - mean) * (x[k] - mean);
  variance /= static_cast<float>(count);
  return {mean, 1.0f / std::sqrt(variance + epsilon)};
}
