// Vectors of floats as wide as the registers of one kind of processor, and the functions of numbers
// that kernels need. No include guard: `Kernels.cpp` includes this once for each kind, inside a
// namespace of its own where `kWidth` (floats in a register) and `kTileRows` are defined.

/// One register of floats, and as many integers and truth values.
typedef float Vec __attribute__((ext_vector_type(kWidth)));
typedef int32_t IntVec __attribute__((ext_vector_type(kWidth)));

#define INLINE static inline __attribute__((always_inline))
#define INLINE_MEMBER __attribute__((always_inline))

/// Several registers at once: the compiler computes each step of a long formula for all of them, with
/// its constant loaded once.
constexpr int kWide = 2;
typedef float Wide __attribute__((ext_vector_type(kWide * kWidth)));
typedef int32_t IntWide __attribute__((ext_vector_type(kWide * kWidth)));

template <typename V = Vec>
INLINE V load(const float *p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <typename V>
INLINE void store(float *p, V v) { __builtin_memcpy(p, &v, sizeof v); }

/// As many numbers as a vector has, or `count` if that is less, with zeros behind them.
template <typename V = Vec>
INLINE V loadUpTo(const float *p, int64_t count) {
  constexpr int kParts = sizeof(V) / sizeof(Vec);
  if (count >= kParts * kWidth) return load<V>(p);
  Vec parts[kParts];
  for (int i = 0; i < kParts; ++i) {
    parts[i] = loadFirst(p + i * kWidth, std::clamp<int64_t>(count - i * kWidth, 0, kWidth));
  }
  V v;
  __builtin_memcpy(&v, parts, sizeof v);
  return v;
}

template <typename V>
INLINE void storeUpTo(float *p, V v, int64_t count) {
  constexpr int kParts = sizeof(V) / sizeof(Vec);
  if (count >= kParts * kWidth) return store(p, v);
  Vec parts[kParts];
  __builtin_memcpy(parts, &v, sizeof v);
  for (int i = 0; i < kParts; ++i) {
    storeFirst(p + i * kWidth, parts[i], std::clamp<int64_t>(count - i * kWidth, 0, kWidth));
  }
}

/// As `storeUpTo`, past the caches where it writes whole lines of them: for what is read much later, so
/// that it neither is read before it is written, nor takes the place of what is read soon. Another thread
/// may read it after a fence.
INLINE void streamUpTo(float *p, Wide v, int64_t count) {
  constexpr size_t kLine = 64;
  if (sizeof v < kLine || count < kWide * kWidth || reinterpret_cast<uintptr_t>(p) % kLine != 0) {
    return storeUpTo(p, v, count);
  }
  Vec parts[kWide];
  __builtin_memcpy(parts, &v, sizeof v);
  for (int i = 0; i < kWide; ++i) {
    __builtin_nontemporal_store(parts[i], reinterpret_cast<Vec *>(p + i * kWidth));
  }
}

template <typename V = Vec>
INLINE V splat(float x) { return (V)(x); }
template <typename V>
INLINE V fma(V a, V b, V c) { return __builtin_elementwise_fma(a, b, c); }
/// The second where one is no number, as the processor's instruction has it.
template <typename V>
INLINE V max(V a, V b) { return a > b ? a : b; }
template <typename V>
INLINE V min(V a, V b) { return a < b ? a : b; }
template <typename V>
INLINE V abs(V v) { return __builtin_elementwise_abs(v); }
INLINE Vec bits(IntVec v) { return __builtin_bit_cast(Vec, v); }
INLINE IntVec bits(Vec v) { return __builtin_bit_cast(IntVec, v); }
INLINE Wide bits(IntWide v) { return __builtin_bit_cast(Wide, v); }
INLINE IntWide bits(Wide v) { return __builtin_bit_cast(IntWide, v); }

INLINE float sum(Vec v) {
  alignas(64) float lanes[kWidth];
  store(lanes, v);
  for (int width = kWidth / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

INLINE float sum(Wide v) {
  Vec parts[kWide];
  __builtin_memcpy(parts, &v, sizeof v);
  for (int i = 1; i < kWide; ++i) parts[0] += parts[i];
  return sum(parts[0]);
}

/// 1 / x within 2^-22, for x that are neither huge nor tiny.
INLINE Vec reciprocal(Vec x) {
  Vec y = reciprocalEstimate(x);
  return fma(y, fma(-x, y, splat(1.0f)), y);
}

INLINE Wide reciprocal(Wide x) {
  Vec parts[kWide];
  __builtin_memcpy(parts, &x, sizeof x);
  for (Vec &part : parts) part = reciprocalEstimate(part);
  Wide y;
  __builtin_memcpy(&y, parts, sizeof y);
  return fma(y, fma(-x, y, splat<Wide>(1.0f)), y);
}

/// 2^x within 2e-7 of itself, for x in [-110, 127]; what is outside counts as its end. Smaller results
/// would become denormal numbers in a product, which cost a hundred times as much.
template <typename V>
INLINE V powerOfTwo(V x) {
  x = min(max(x, splat<V>(-110.0f)), splat<V>(127.0f));
  // x = n + r; adding 1.5 * 2^23 rounds x to an integer in the last bits.
  const V rounder = splat<V>(12582912.0f);
  V shifted = x + rounder;
  V r = x - (shifted - rounder);
  // The polynomial in r of least relative error for |r| <= 1/2.
  V p = splat<V>(0.0013276472f);
  p = fma(p, r, splat<V>(0.00967554133f));
  p = fma(p, r, splat<V>(0.0555071327f));
  p = fma(p, r, splat<V>(0.240221197f));
  p = fma(p, r, splat<V>(0.693146967f));
  p = fma(p, r, splat<V>(1.00000007f));
  return bits(bits(p) + (bits(shifted) << 23));
}

template <typename V>
INLINE V exp(V x) { return powerOfTwo(x * splat<V>(1.44269504f)); }

/// Of the normal distribution: e^(-x^2 / 2), and the probability of what is further out than |x| on one
/// side, by Abramowitz and Stegun 7.1.26, whose exponential is the former. Absolute error of the
/// latter below 1.5e-7.
template <typename V>
struct Normal {
  V bell, tail;
};

template <typename V>
INLINE Normal<V> normal(V x) {
  V bell = powerOfTwo(x * x * splat<V>(-0.721347520f));  // -1 / (2 ln 2)
  // 0.3275911 / sqrt(2); the coefficients are halved.
  V t = reciprocal(fma(abs(x), splat<V>(0.231641888f), splat<V>(1.0f)));
  V p = splat<V>(0.5307027145f);
  p = fma(p, t, splat<V>(-0.7265760135f));
  p = fma(p, t, splat<V>(0.7107068705f));
  p = fma(p, t, splat<V>(-0.142248368f));
  p = fma(p, t, splat<V>(0.127414796f));
  return {bell, p * t * bell};
}

/// max(x, 0); what is no number stays so.
template <typename V>
INLINE V relu(V x) { return x < splat<V>(0.0f) ? splat<V>(0.0f) : x; }

/// x Phi(x) = max(x, 0) - a T(a), where a = |x|, and T(a) = Phi(-a) is nearly P(a)^-16: the polynomial of
/// degree 6 for which a T(a) has the least error, 2.2e-7. The power makes a rounding error of P 16 times as
/// large: 5e-7 in all. From 6.5 on T is smaller than that, and stays what it is there.
template <typename V>
INLINE V gelu(V x) {
  V a = min(abs(x), splat<V>(6.5f));
  V p = splat<V>(6.97850146e-06f);
  p = fma(p, a, splat<V>(3.97412841e-05f));
  p = fma(p, a, splat<V>(7.49806641e-05f));
  p = fma(p, a, splat<V>(0.00337112439f));
  p = fma(p, a, splat<V>(0.022113163f));
  p = fma(p, a, splat<V>(0.0520642102f));
  p = fma(p, a, splat<V>(1.04427481f));
  p *= p;
  p *= p;
  p *= p;
  p *= p;
  return fma(-a, reciprocal(p), relu(x));
}

template <typename V>
INLINE V sigmoid(V x) { return reciprocal(splat<V>(1.0f) + exp(-x)); }

/// 1/2 x (1 + tanh(y)) = x sigmoid(2 y) with y = sqrt(2 / pi) (x + 0.044715 x^3).
template <typename V>
INLINE V geluTanh(V x) {
  V twice = splat<V>(1.59576912f) * x * fma(x * x, splat<V>(0.044715f), splat<V>(1.0f));
  return x * sigmoid(twice);
}

template <typename V>
INLINE V activate(CTActivation activation, V x) {
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
template <typename V>
struct Activated {
  V value, slope;
};

template <typename V>
INLINE Activated<V> activateWithSlope(CTActivation activation, V x) {
  const V one = splat<V>(1.0f);
  switch (activation) {
    case CT_IDENTITY: return {x, one};
    case CT_GELU: {
      Normal<V> n = normal(x);  // x Phi(x); Phi(x) + x phi(x)
      V distribution = x < splat<V>(0.0f) ? n.tail : one - n.tail;
      return {x * distribution, fma(x * n.bell, splat<V>(0.398942280f), distribution)};
    }
    case CT_GELU_TANH: {  // x s(t(x)); s + x s (1 - s) t'
      V square = x * x;
      V s = sigmoid(splat<V>(1.59576912f) * x * fma(square, splat<V>(0.044715f), one));
      V inner = splat<V>(1.59576912f) * fma(square, splat<V>(0.134145f), one);
      return {x * s, fma(x * s * (one - s), inner, s)};
    }
    case CT_RELU: return {relu(x), x > splat<V>(0.0f) ? one : splat<V>(0.0f)};
    case CT_SILU: {
      V s = sigmoid(x);  // s + x s (1 - s)
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
