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
INLINE Vec loadPart(const float *p, int64_t count) {
  alignas(64) float all[kWidth] = {};
  __builtin_memcpy(all, p, sizeof(float) * count);
  return load(all);
}

INLINE void storePart(float *p, Vec v, int64_t count) {
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

/// e^x within 2 units in the last place, for x in [-87, 88]; what is outside counts as its end.
INLINE Vec exp(Vec x) {
  x = min(max(x, splat(-87.0f)), splat(88.0f));
  // x = n ln 2 + r; adding 1.5 * 2^23 rounds x / ln 2 to an integer in the last bits.
  const Vec rounder = splat(12582912.0f);
  Vec shifted = fma(x, splat(1.44269504f), rounder);
  Vec n = shifted - rounder;
  Vec r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  // Taylor's coefficients of e^r to r^7, for |r| <= ln 2 / 2.
  Vec p = splat(1.0f / 5040);
  p = fma(p, r, splat(1.0f / 720));
  p = fma(p, r, splat(1.0f / 120));
  p = fma(p, r, splat(1.0f / 24));
  p = fma(p, r, splat(1.0f / 6));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  return bits(bits(p) + (bits(shifted) << 23));
}

/// The normal distribution function, and its density times sqrt(2 pi): Abramowitz and Stegun 7.1.26,
/// whose exponential is the density's own. Absolute error of the former below 1e-7.
struct Normal {
  Vec distribution, bell;
};

INLINE Normal normal(Vec x) {
  Vec magnitude = __builtin_elementwise_abs(x);
  Vec bell = exp(x * x * splat(-0.5f));
  // 0.3275911 / sqrt(2)
  Vec t = splat(1.0f) / fma(magnitude, splat(0.231641888f), splat(1.0f));
  Vec p = splat(1.061405429f);
  p = fma(p, t, splat(-1.453152027f));
  p = fma(p, t, splat(1.421413741f));
  p = fma(p, t, splat(-0.284496736f));
  p = fma(p, t, splat(0.254829592f));
  Vec tail = splat(0.5f) * p * t * bell;
  return {x < splat(0.0f) ? tail : splat(1.0f) - tail, bell};
}

/// x Phi(x)
INLINE Vec gelu(Vec x) { return x * normal(x).distribution; }

/// The derivative of `gelu`: Phi(x) + x phi(x).
INLINE Vec geluSlope(Vec x) {
  Normal n = normal(x);
  return fma(x * n.bell, splat(0.398942280f), n.distribution);
}

INLINE Vec sigmoid(Vec x) { return splat(1.0f) / (splat(1.0f) + exp(-x)); }

/// 1/2 x (1 + tanh(y)) = x sigmoid(2 y) with y = sqrt(2 / pi) (x + 0.044715 x^3).
INLINE Vec geluTanh(Vec x) {
  Vec twice = splat(1.59576912f) * x * fma(x * x, splat(0.044715f), splat(1.0f));
  return x * sigmoid(twice);
}

INLINE Vec activate(CTActivation activation, Vec x) {
  switch (activation) {
    case CT_IDENTITY: return x;
    case CT_GELU: return gelu(x);
    case CT_GELU_TANH: return geluTanh(x);
    case CT_RELU: return max(x, splat(0.0f));
    case CT_SILU: return x * sigmoid(x);
  }
  return x;
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
