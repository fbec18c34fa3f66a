// Token mixing with products of bytes. No include guard: included once for each kind of processor,
// after Bytes.h and before MixColumns.h.

/// A panel of integers [lanes][kPanel][kInLane] and the ranges of its columns, by group.
struct BytePanel {
  uint8_t *values;
  float *lows, *steps;  // [group][kPanel]
};

static BytePanel bytePanel(Scratch &scratch, int slot, int64_t depth) {
  int64_t ranges = groupCount(depth) * kPanel;
  float *memory = scratch.floats(slot, 2 * ranges + byteLaneCount(depth) * kPanel);
  return {reinterpret_cast<uint8_t *>(memory + 2 * ranges), memory, memory + ranges};
}

/// Writes a panel [depth][kPanel] as bytes, by the range that is known, or by that of each column's
/// group.
template <bool IsKnown>
static void packBytePanel(const float *panel, int64_t depth, Range known, const BytePanel &bytes) {
  for (int64_t group = 0; group < groupCount(depth); ++group) {
    int64_t start = group * kDepth, end = std::min(depth, start + kDepth);
    for (int half = 0; half < kPanel; half += kWidth) {
      auto at = [&](int64_t k) { return load(panel + k * kPanel + half); };
      Vec low = splat(known.low), step = splat(known.step), zero = splat(0);
      if (!IsKnown) {
        low = at(start);
        Vec high = low;
        for (int64_t k = start; k < end; ++k) {
          low = min(low, at(k));
          high = max(high, at(k));
        }
        step = (high - low) / splat(kSteps);
        step = step > splat(0) ? step : splat(1);
      }
      Vec inverse = splat(1) / step;
      int64_t lanesEnd = start + byteLaneCount(end - start) * kInLane;
      for (int64_t k = start; k < lanesEnd; k += kInLane) {
        IntVec lane = (IntVec)(0);
        Vec none = splat(0);
        for (int64_t j = 0; j < std::min(kInLane, end - k); ++j) {
          Vec v = at(k + j);
          none = fma(v, splat(0), none);
          lane |= quantized<IsKnown>(v, low, inverse) << static_cast<int>(32 / kInLane * j);
        }
        zero += none;
        __builtin_memcpy(bytes.values + (k / kInLane * kPanel + half) * 4, &lane, sizeof lane);
      }
      // Not a number where one of them is none or infinite.
      store(bytes.lows + group * kPanel + half, low + zero);
      store(bytes.steps + group * kPanel + half, step);
    }
  }
}

/// The same for the products with `weight`.
INLINE void packBytePanel(const float *panel, int64_t depth, const CTByteWeight &weight,
                          const BytePanel &bytes) {
  auto pack = hasRange(weight) ? packBytePanel<true> : packBytePanel<false>;
  pack(panel, depth, rangeBetween(weight.low, weight.high), bytes);
}

/// As `multiplyPanels`, of one panel, with bytes.
template <typename Finish>
INLINE void multiplyBytePanel(const CTByteWeight &weight, int64_t rows, int64_t depth,
                              const BytePanel &panel, float *results, Finish finish) {
  alignas(64) int32_t products[kTileSize];
  int64_t count = tileCount(rows), groups = groupCount(depth);
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t first = tileStart(rows, count, i);
      int height = static_cast<int>(tileStart(rows, count, i + 1) - first);
      const int8_t *tile =
          weight.values + i * byteLaneCount(depth) * kTileRows * 4 + groupOffset(group, kTileRows);
      byteProductOf<true>(height)(reinterpret_cast<const uint8_t *>(tile),
                                  panel.values + groupOffset(group, kPanel),
                                  lanesOfGroup(depth, group), products);
      for (int half = 0; half < kPanel; half += kWidth) {
        Vec low = load(panel.lows + group * kPanel + half);
        Vec step = load(panel.steps + group * kPanel + half);
        for (int r = 0; r < height; ++r) {
          IntVec product;
          __builtin_memcpy(&product, products + r * kPanel + half, sizeof product);
          Vec y = fma(__builtin_convertvector(product, Vec), step,
                      low * splat(weight.sums[(first + r) * groups + group])) *
                  splat(weight.scales[first + r]);
          float *target = results + (first + r) * kPanel + half;
          store(target, group > 0 ? load(target) + y : y);
        }
      }
      if (group + 1 == groups) finish(first, height, results + first * kPanel);
    }
  }
}
