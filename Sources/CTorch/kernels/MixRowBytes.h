// Channel mixing with products of bytes. No include guard: included once for each kind of processor,
// after Bytes.h and MixRows.h.

/// Tiles of integers: `groups` ranges for each of a tile's rows, in [group][kTileRows].
struct ByteTiles {
  uint8_t *values;
  Range *ranges;
  int64_t size, groups;

  uint8_t *tile(int64_t i) const { return values + i * size; }
  Range *range(int64_t i, int64_t group) const { return ranges + (i * groups + group) * kTileRows; }
};

static ByteTiles byteTiles(Scratch &scratch, int slot, int64_t count, int64_t depth) {
  int64_t size = kTileRows * byteLaneCount(depth) * 4, groups = groupCount(depth);
  float *memory = scratch.floats(slot, count * (size / 4 + 2 * groups * kTileRows) + 64);
  return {reinterpret_cast<uint8_t *>(memory + 2 * count * groups * kTileRows),
          reinterpret_cast<Range *>(memory), size, groups};
}

/// Packs the rows of `x`, normalised if asked for, for the products with `weight`.
static void packByteRows(const RowMix &mix, const CTByteWeight &weight, const RowTiles &rows,
                         const ByteTiles &tiles, Scratch &scratch) {
  float *row = scratch.floats(4, mix.depth + kWidth);
  for (int64_t i = 0; i < rows.count; ++i) {
    for (int r = 0; r < rows.height(i); ++r) {
      const float *x = mix.x + (rows.first + rows.start(i) + r) * mix.xStride;
      if (mix.normalizes) {
        Moments of = moments(x, mix.depth, mix.epsilon);
        for (int64_t k = 0; k < mix.depth; ++k) row[k] = (x[k] - of.mean) * of.scale;
        x = row;
      }
      for (int64_t group = 0; group < tiles.groups; ++group) {
        int64_t start = group * kDepth;
        tiles.range(i, group)[r] =
            packByteGroup(x + start, std::min(kDepth, mix.depth - start), weight, r,
                          tiles.tile(i) + groupOffset(group, kTileRows));
      }
    }
  }
}

/// results[i] [kTileRows][kPanel] = or += tile i . panel for one group of K.
static void multiplyBytes(const RowTiles &rows, const ByteTiles &tiles, int64_t group,
                          const int8_t *panel, int64_t lanes, const float *scales,
                          const float *sums, float *results, int64_t resultSize,
                          bool accumulates) {
  alignas(64) int32_t products[kTileSize];
  for (int64_t i = 0; i < rows.count; ++i) {
    int height = rows.height(i);
    byteProductOf<false>(height)(tiles.tile(i) + groupOffset(group, kTileRows),
                                 reinterpret_cast<const uint8_t *>(panel), lanes, products);
    const Range *ranges = tiles.range(i, group);
    float *result = results + i * resultSize;
    for (int half = 0; half < kPanel; half += kWidth) {
      Vec scale = load(scales + half), sum = load(sums + half);
      for (int r = 0; r < height; ++r) {
        IntVec product;
        __builtin_memcpy(&product, products + r * kPanel + half, sizeof product);
        Vec y = fma(__builtin_convertvector(product, Vec), splat(ranges[r].step),
                    splat(ranges[r].low) * sum) * scale;
        float *target = result + r * kPanel + half;
        store(target, accumulates ? load(target) + y : y);
      }
    }
  }
}

static void linearRowBytes(const RowMix &mix, const RowTiles &rows, Scratch &scratch) {
  ByteTiles tiles = byteTiles(scratch, 0, rows.count, mix.depth);
  float *results = scratch.floats(1, rows.count * kTileSize);
  const CTByteWeight &weight = mix.weightBytes;
  packByteRows(mix, weight, rows, tiles, scratch);
  for (int64_t c = 0; c < mix.columns; c += kPanel) {
    for (int64_t group = 0; group < tiles.groups; ++group) {
      multiplyBytes(rows, tiles, group,
                    weight.values + c * byteLaneCount(mix.depth) * 4 + groupOffset(group, kPanel),
                    lanesOfGroup(mix.depth, group), weight.scales + c,
                    weight.sums + (c * tiles.groups + group * kPanel), results, kTileSize,
                    group > 0);
    }
    for (int64_t i = 0; i < rows.count; ++i) {
      finishTile(mix, rows.first + rows.start(i), rows.height(i), c,
                 std::min<int64_t>(kPanel, mix.columns - c), mix.activation, mix.bias,
                 results + i * kTileSize);
    }
  }
}

static void mlpRowBytes(const RowMix &mix, const RowTiles &rows, Scratch &scratch) {
  int64_t hidden = padded(mix.hidden), panels = panelCount(mix.columns);
  int64_t resultSize = panels * kTileSize, hiddenGroups = groupCount(hidden);
  ByteTiles tiles = byteTiles(scratch, 0, rows.count, mix.depth);
  ByteTiles activated = byteTiles(scratch, 2, rows.count, kDepth);
  float *tile = scratch.floats(1, rows.count * kTileSize);
  float *results = scratch.floats(3, rows.count * resultSize);
  float *numbers = scratch.floats(5, rows.count * kTileRows * kDepth);
  const CTByteWeight &before = mix.hiddenBytes, &last = mix.weightBytes;
  packByteRows(mix, before, rows, tiles, scratch);
  for (int64_t part = 0; part < hiddenGroups; ++part) {
    int64_t first = part * kDepth, width = std::min(kDepth, hidden - first);
    for (int64_t c = first; c < first + width; c += kPanel) {
      for (int64_t group = 0; group < tiles.groups; ++group) {
        multiplyBytes(rows, tiles, group,
                      before.values + c * byteLaneCount(mix.depth) * 4 + groupOffset(group, kPanel),
                      lanesOfGroup(mix.depth, group), before.scales + c,
                      before.sums + (c * tiles.groups + group * kPanel), tile, kTileSize,
                      group > 0);
      }
      for (int64_t i = 0; i < rows.count; ++i) {
        for (int r = 0; r < rows.height(i); ++r) {
          for (int half = 0; half < kPanel; half += kWidth) {
            Vec y = load(tile + i * kTileSize + r * kPanel + half) + load(mix.hiddenBias + c + half);
            store(numbers + (i * kTileRows + r) * kDepth + c - first + half,
                  activate(mix.hiddenActivation, y));
          }
        }
      }
    }
    for (int64_t i = 0; i < rows.count; ++i) {
      for (int r = 0; r < rows.height(i); ++r) {
        activated.range(i, 0)[r] = packByteGroup(numbers + (i * kTileRows + r) * kDepth, width,
                                                 last, r, activated.tile(i));
      }
    }
    for (int64_t panel = 0; panel < panels; ++panel) {
      multiplyBytes(rows, activated, 0,
                    last.values +
                        (panel * byteLaneCount(hidden) + byteLaneCount(first)) * kPanel * 4,
                    byteLaneCount(width), last.scales + panel * kPanel,
                    last.sums + (panel * hiddenGroups + part) * kPanel,
                    results + panel * kTileSize, resultSize, part > 0);
    }
  }
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t i = 0; i < rows.count; ++i) {
      finishTile(mix, rows.first + rows.start(i), rows.height(i), panel * kPanel,
                 std::min<int64_t>(kPanel, mix.columns - panel * kPanel), mix.activation, mix.bias,
                 results + i * resultSize + panel * kTileSize);
    }
  }
}

template <typename Lanes>
static void mixRows(const RowMix &mix) {
  bool hasHidden = mix.hidden > 0;
  if constexpr (!isStrassen<Lanes>) {
    if (hasFewRows(mix)) return hasHidden ? mlpFewRows<Lanes>(mix) : linearFewRows<Lanes>(mix);
  }
  forRowTiles<Lanes>(mix.rows, floatsInRow<Lanes>(mix), [&](const RowTiles &tiles) {
    (hasHidden ? mlpRows<Lanes> : linearRows<Lanes>)(mix, tiles, Scratch::ofThread());
  });
}

static void mixRows(const RowMix &mix) {
  if (mix.weightBytes.values) {
    return forRowTiles<Singles>(mix.rows, floatsInRow<Singles>(mix), [&](const RowTiles &tiles) {
      (mix.hidden > 0 ? mlpRowBytes : linearRowBytes)(mix, tiles, Scratch::ofThread());
    });
  }
  if (mix.bfloat16) return mixRows<Pairs>(mix);
  mix.strassen ? mixRows<Strassen>(mix) : mixRows<Singles>(mix);
}

static void mixRows(const CTRowMix &mix) { mixRows(RowMix{mix}); }
