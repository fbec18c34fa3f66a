// What a lane of 32 bits holds of a product's factors. No include guard: included once for each kind of
// processor, after Simd.h.
//
// Tiles [lanes][kTileRows] and panels [lanes][kPanel] consist of lanes, which are loaded, stored and
// exchanged as floats whatever they hold.

/// The first `count` lanes; zeros behind them.
template <typename V>
INLINE V leading(V v, int64_t count) {
  typedef decltype(bits(v)) Integers;
  Integers lane;
  for (int i = 0; i < static_cast<int>(sizeof(V) / sizeof(float)); ++i) lane[i] = i;
  return bits(bits(v) & (lane < (Integers)(static_cast<int32_t>(count))));
}

/// One number.
struct Singles {
  static constexpr int64_t kNumbers = 1;
  static constexpr int kGroup = 1;

  /// sum + x y
  INLINE Vec add(Vec sum, Vec x, Vec y) { return fma(x, y, sum); }

  /// A register of lanes, from the k-th on, of `depth` numbers along K. `read(i)` loads numbers from the
  /// i-th on, with anything behind the last.
  template <typename Read>
  INLINE Vec along(int64_t k, int64_t, Read read) { return read(k); }
};

/// Two neighbours along K in bfloat16, the first in the lower half. Behind an odd number of them is a
/// zero.
struct Pairs {
  static constexpr int64_t kNumbers = 2;
  static constexpr int kGroup = 1;

  /// sum + x . y
  INLINE Vec add(Vec sum, Vec x, Vec y) { return addPairs(sum, x, y); }

  template <typename Read>
  INLINE Vec along(int64_t k, int64_t depth, Read read) {
    int64_t left = depth - 2 * k;
    if (left >= 2 * kWidth) return bfloat16(read(2 * k), read(2 * k + kWidth));
    Vec first = leading(read(2 * k), left);
    return bfloat16(first, left > kWidth ? leading(read(2 * k + kWidth), left - kWidth) : splat(0));
  }

  /// The lanes of two rows that are neighbours along K.
  INLINE Vec across(Vec first, Vec second) {
    return interleaved(bfloat16(first, second), std::make_integer_sequence<int, 2 * kWidth>());
  }

 private:
  template <int... Half>
  INLINE Vec interleaved(Vec v, std::integer_sequence<int, Half...>) {
    typedef int16_t Halves __attribute__((ext_vector_type(2 * kWidth)));
    Halves halves = __builtin_bit_cast(Halves, v);
    return __builtin_bit_cast(
        Vec, __builtin_shufflevector(halves, halves, (Half / 2 + Half % 2 * kWidth)...));
  }
};

/// How many lanes K takes.
template <typename Lanes>
INLINE int64_t laneCount(int64_t depth) { return (depth + Lanes::kNumbers - 1) / Lanes::kNumbers; }
