// Products of bytes: activations as whole numbers of steps of their range, weights as those of their
// row's. No include guard: included once for each kind of processor, after Product.h.
//
// For a group of at most kDepth numbers x of a row, q = round((x - low) / step) with step = (high - low)
// / kSteps, where the range is known beforehand or is that of the group's own numbers; a weight is
// v = scale * w for an integer w from -127 to 127. Then
//
//     sum x v = scale * (step * sum q w + low * sum w),
//
// whose first sum is exact in 32 bits and whose second is known beforehand. Groups add up in float32.
// Tiles and panels hold kInLane neighbours along K side by side in a lane of 32 bits, and products take
// two lanes at once.
//
// Where the processor has no instruction that adds four products of bytes in 32 bits (kSumsShort), it adds
// them in 16 bits, two lanes at once, and these sums in 32: five instructions for 64 products on AVX2,
// against eight of float32. For a sum of four products to fit, kSteps and four neighbours' |w| are at
// most 181, of which the square is less than 2^15; a row's scale is as large as its neighbours need. That
// leaves 7.5 bits to activations, and to weights 7.5 mostly and 6.5 where four neighbours are the row's
// largest. 255 steps and weights of half the size, or the other way round, would have larger errors in all.

constexpr int64_t kInLane = 4 / sizeof(Weight8), kInStep = 2 * kInLane;
constexpr int kSteps = kSumsShort ? 181 : 255;
typedef Activation8 ActivationVec __attribute__((ext_vector_type(kWidth)));

/// How many lanes of bytes K takes: an even number.
INLINE int64_t byteLaneCount(int64_t depth) { return (depth + kInStep - 1) / kInStep * 2; }
INLINE int64_t groupCount(int64_t depth) { return (depth + kDepth - 1) / kDepth; }
INLINE int64_t lanesOfGroup(int64_t depth, int64_t group) {
  return std::min(kDepth / kInLane, byteLaneCount(depth) - group * (kDepth / kInLane));
}
/// From the start of a tile or a panel [lane][width] to a group, in bytes.
INLINE int64_t groupOffset(int64_t group, int64_t width) { return group * (kDepth / kInLane) * width * 4; }

/// A group's range.
struct Range {
  float low, step;
};

INLINE Range rangeBetween(float low, float high) {
  float step = (high - low) / kSteps;
  return {low, step > 0 ? step : 1};
}

/// Whether the range of what the weight multiplies is known beforehand.
INLINE bool hasRange(const CTByteWeight &weight) { return weight.low < weight.high; }

/// `result` [Rows][kPanel] = tile . panel over `lanes` lanes of K; weights are in the panel, or, with
/// SignedTile, in the tile. Takes as many rows at once as leave registers for what is not yet added.
template <int Rows, bool SignedTile>
static void byteProduct(const uint8_t *tile, const uint8_t *panel, int64_t lanes, int32_t *result) {
  constexpr int kPasses = (Rows + kByteRows - 1) / kByteRows, kMost = (Rows + kPasses - 1) / kPasses;
#pragma clang loop unroll(full)
  for (int first = 0; first < Rows; first += kMost) {
    IntVec sums[kMost][2] = {};
    const uint8_t *x = tile + 4 * first, *y = panel;
    for (int64_t k = 0; k < lanes; k += 2) {
      IntVec across[2][2];  // [lane][half of the panel]
      __builtin_memcpy(across, y, sizeof across);
#pragma clang loop unroll(full)
      for (int r = 0; r < kMost && first + r < Rows; ++r) {
        IntVec down[2];
        for (int lane = 0; lane < 2; ++lane) {
          int32_t number;
          __builtin_memcpy(&number, x + 4 * (lane * kTileRows + r), sizeof number);
          down[lane] = (IntVec)(number);
        }
        for (int half = 0; half < 2; ++half) {
          IntVec a = across[0][half], b = across[1][half];
          sums[r][half] = SignedTile ? addProducts(sums[r][half], a, down[0], b, down[1])
                                     : addProducts(sums[r][half], down[0], a, down[1], b);
        }
      }
      x += 4 * 2 * kTileRows;
      y += 4 * 2 * kPanel;
    }
    for (int r = 0; r < kMost && first + r < Rows; ++r) {
      __builtin_memcpy(result + (first + r) * kPanel, sums[r], sizeof sums[r]);
    }
  }
}

typedef void (*ByteProduct)(const uint8_t *, const uint8_t *, int64_t, int32_t *);

template <bool SignedTile, int... Rows>
static ByteProduct byteProductOf(int rows, std::integer_sequence<int, Rows...>) {
  static const ByteProduct all[] = {byteProduct<Rows + 1, SignedTile>...};
  return all[rows - 1];
}

template <bool SignedTile>
INLINE ByteProduct byteProductOf(int rows) {
  return byteProductOf<SignedTile>(rows, std::make_integer_sequence<int, kTileRows>());
}

// MARK: Weights

/// Bytes of a weight [rows, depth] in panels or tiles.
static int64_t bytePanelsSize(int64_t rows, int64_t depth) {
  return padded(rows) * byteLaneCount(depth) * 4;
}
static int64_t byteTilesSize(int64_t rows, int64_t depth) {
  return tileCount(rows) * kTileRows * byteLaneCount(depth) * 4;
}

/// The scale by which a row's weights are rounded to integers.
static float byteScale(const float *row, int64_t depth) {
  float largest = 0;
  for (int64_t k = 0; k < depth; ++k) largest = std::max(largest, std::abs(row[k]));
  float scale = largest / 127;
  if (kSumsShort) {
    // Those that are added in 16 bits: two neighbours of each of two lanes. Rounding adds up to a half
    // each.
    for (int64_t step = 0; step < depth; step += kInStep) {
      for (int64_t first = step; first < step + kInLane; first += 2) {
        float sum = 0;
        for (int64_t k : {first, first + 1, first + kInLane, first + kInLane + 1}) {
          if (k < depth) sum += std::abs(row[k]);
        }
        scale = std::max(scale, sum / (kSteps - 2));
      }
    }
  }
  return scale > 0 ? scale : 1;
}

/// Calls `put(k, value)` for each number of a row as an integer, and `sum(group, value)` for each group.
template <typename Put, typename Sum>
static float packByteRow(const float *row, int64_t depth, Put put, Sum sum) {
  float scale = byteScale(row, depth);
  for (int64_t group = 0; group < groupCount(depth); ++group) {
    int32_t total = 0;
    int64_t end = std::min(depth, (group + 1) * kDepth);
    for (int64_t k = group * kDepth; k < end; ++k) {
      auto value = static_cast<Weight8>(std::lrint(row[k] / scale));
      total += value;
      put(k, value);
    }
    sum(group, static_cast<float>(total));
  }
  return scale;
}

/// [rows, depth] to panels [lanes][kPanel][kInLane]; scales [padded rows], sums [panel][group][kPanel].
static void packBytePanels(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                           float *scales, float *sums) {
  std::memset(values, 0, bytePanelsSize(rows, depth));
  std::fill(scales, scales + padded(rows), 0.0f);
  std::fill(sums, sums + padded(rows) * groupCount(depth), 0.0f);
  parallelFor(rows, [&](int64_t row) {
    int64_t panel = row / kPanel, lane = row % kPanel;
    auto target =
        reinterpret_cast<Weight8 *>(values + (panel * byteLaneCount(depth) * kPanel + lane) * 4);
    scales[row] = packByteRow(
        weight + row * depth, depth,
        [&](int64_t k, Weight8 value) { target[k / kInLane * kInLane * kPanel + k % kInLane] = value; },
        [&](int64_t group, float sum) {
          sums[(panel * groupCount(depth) + group) * kPanel + lane] = sum;
        });
  });
}

/// [rows, depth] to tiles [lanes][kTileRows][kInLane]; scales [rows], sums [row][group].
static void packByteTiles(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                          float *scales, float *sums) {
  std::memset(values, 0, byteTilesSize(rows, depth));
  int64_t count = tileCount(rows);
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = tileStart(rows, count, i), end = tileStart(rows, count, i + 1);
    auto tile = reinterpret_cast<Weight8 *>(values + i * kTileRows * byteLaneCount(depth) * 4);
    for (int64_t row = first; row < end; ++row) {
      scales[row] = packByteRow(
          weight + row * depth, depth,
          [&](int64_t k, Weight8 value) {
            tile[(k / kInLane * kTileRows + row - first) * kInLane + k % kInLane] = value;
          },
          [&](int64_t group, float sum) { sums[row * groupCount(depth) + group] = sum; });
    }
  }
}

// MARK: Rows of activations

/// Numbers as steps: round((x - low) / step). With HasOutside, what is outside of the range counts as
/// its end.
template <bool HasOutside>
INLINE IntVec quantized(Vec x, Vec low, Vec inverse) {
  // Adding 1.5 * 2^23 rounds to an integer in the last bits.
  constexpr float rounder = 12582912.0f;
  Vec shifted = fma(x - low, inverse, splat(rounder));
  if (HasOutside) shifted = min(max(shifted, splat(rounder)), splat(rounder + kSteps));
  return bits(shifted) & 255;
}

/// From the smallest to the largest of `count` numbers.
static Range rangeOf(const float *x, int64_t count) {
  Vec lows = splat(x[0]), highs = lows;
  int64_t k = 0;
  for (; k + kWidth <= count; k += kWidth) {
    Vec v = load(x + k);
    lows = min(lows, v);
    highs = max(highs, v);
  }
  float low = lows[0], high = highs[0];
  for (int i = 1; i < kWidth; ++i) {
    low = std::min(low, lows[i]);
    high = std::max(high, highs[i]);
  }
  for (; k < count; ++k) {
    low = std::min(low, x[k]);
    high = std::max(high, x[k]);
  }
  return rangeBetween(low, high);
}

/// Writes a group of a row [count] as integers to row `r` of a tile; what lacks to whole lanes, whose
/// weights are zero, is any. Their range is `known`, or their own. A number that is not finite makes the
/// range's start, and so all results, not a number.
template <bool IsKnown>
static Range packByteGroup(const float *x, int64_t count, Range known, int r, uint8_t *tile) {
  Range range = IsKnown ? known : rangeOf(x, count);
  Vec low = splat(range.low), inverse = splat(1 / range.step), zeros = splat(0);
  int64_t end = byteLaneCount(count) * kInLane;
  for (int64_t k = 0; k < end; k += kWidth) {
    int64_t left = std::clamp<int64_t>(count - k, 0, kWidth);
    Vec v = left == kWidth ? load(x + k) : loadFirst(x + k, left);
    zeros = fma(v, splat(0), zeros);
    auto q = __builtin_convertvector(quantized<IsKnown>(v, low, inverse), ActivationVec);
    for (int64_t i = 0; i < std::min<int64_t>(kWidth, end - k); i += kInLane) {
      __builtin_memcpy(tile + ((k + i) / kInLane * kTileRows + r) * 4,
                       reinterpret_cast<const uint8_t *>(&q) + i * sizeof(Activation8), 4);
    }
  }
  range.low += sum(zeros);
  return range;
}

/// The same for the products with `weight`, by the range that is known of these.
INLINE Range packByteGroup(const float *x, int64_t count, const CTByteWeight &weight, int r,
                           uint8_t *tile) {
  auto pack = hasRange(weight) ? packByteGroup<true> : packByteGroup<false>;
  return pack(x, count, rangeBetween(weight.low, weight.high), r, tile);
}
