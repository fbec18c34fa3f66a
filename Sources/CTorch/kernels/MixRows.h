// Channel mixing: one or two linear layers over the rows of a matrix, with everything between.
// No include guard: included once for each kind of processor, after Product.h.

/// Rows that one thread takes at once, as tiles whose heights are nearly equal.
struct RowTiles {
  int64_t first, rows, count;

  int64_t start(int64_t i) const { return tileStart(rows, count, i); }
  int height(int64_t i) const { return static_cast<int>(start(i + 1) - start(i)); }
};

/// Packs the rows of `x`, normalised if asked for, in tiles [depth][kTileRows].
static void packRows(const CTRowMix &mix, const RowTiles &tiles, float *packed) {
  for (int64_t i = 0; i < tiles.count; ++i) {
    const float *x = mix.x + (tiles.first + tiles.start(i)) * mix.xStride;
    int height = tiles.height(i);
    float *tile = packed + i * tileStride(mix.depth);
    auto at = [&](int r, int64_t k) {
      const float *p = x + r * mix.xStride + k;
      return k + kWidth <= mix.depth ? load(p) : loadPart(p, mix.depth - k);
    };
    if (mix.normalizes) {
      Moments of[kTileRows];
      for (int r = 0; r < height; ++r) {
        of[r] = moments(x + r * mix.xStride, mix.depth, mix.epsilon);
      }
      if (mix.moments) {
        std::memcpy(mix.moments + 2 * (tiles.first + tiles.start(i)), of, height * sizeof(Moments));
      }
      packColumns(height, mix.depth, tile, [&](int r, int64_t k) {
        return (at(r, k) - splat(of[r].mean)) * splat(of[r].scale);
      });
    } else {
      packColumns(height, mix.depth, tile, at);
    }
  }
}

/// results[i] [kTileRows][kPanel] = or += tile i . panel, for all tiles, `kDepth` of K at a time.
static void multiply(const RowTiles &tiles, const float *packed, int64_t tileSize,
                     const float *panel, int64_t depth, float *results, int64_t resultSize,
                     bool accumulates) {
  int64_t parts = (depth + kDepth - 1) / kDepth;
  for (int64_t part = 0; part < parts; ++part) {
    int64_t start = depth * part / parts, end = depth * (part + 1) / parts;
    const float *next = panel + end * kPanel;
    for (int64_t i = 0; i < tiles.count; ++i) {
      const float *share = next + (end - start) * kPanel * i / tiles.count;
      productOf(tiles.height(i))(packed + i * tileSize + start * kTileRows,
                                 panel + start * kPanel, end - start, results + i * resultSize,
                                 accumulates || part > 0, share);
    }
  }
}

/// Writes a tile of results to where they belong: `(y + bias)`, activated, times the gate, times the
/// row's factor, plus the residual.
static void finishTile(const CTRowMix &mix, int64_t firstRow, int rows, int64_t firstColumn,
                       int64_t columns, CTActivation activation, const float *bias,
                       const float *tile) {
  for (int half = 0; half < 2; ++half) {
    int64_t c = firstColumn + half * kWidth;
    int64_t count = std::min<int64_t>(kWidth, columns - half * kWidth);
    if (count <= 0) return;
    bool whole = count == kWidth;
    auto read = [&](const float *p) { return whole ? load(p) : loadPart(p, count); };
    Vec shift = bias ? load(bias + c) : splat(0);
    for (int r = 0; r < rows; ++r) {
      Vec y = load(tile + r * kPanel + half * kWidth) + shift;
      if (mix.preactivation && mix.hidden == 0) {
        float *target = mix.preactivation + (firstRow + r) * mix.preactivationStride + c;
        if (whole) store(target, y); else storePart(target, y, count);
      }
      y = activate(activation, y);
      if (mix.factors) y *= splat(mix.factors[(firstRow + r) / mix.rowsOfFactor]);
      if (mix.gate) y *= read(mix.gate + (firstRow + r) * mix.gateStride + c);
      if (mix.residual) y += read(mix.residual + (firstRow + r) * mix.residualStride + c);
      float *target = mix.y + (firstRow + r) * mix.yStride + c;
      if (whole) store(target, y); else storePart(target, y, count);
    }
  }
}

/// One linear layer.
static void linearRows(const CTRowMix &mix, const RowTiles &tiles, Scratch &scratch) {
  int64_t tileSize = tileStride(mix.depth);
  float *packed = scratch.floats(0, tiles.count * tileSize);
  float *results = scratch.floats(1, tiles.count * kTileSize);
  packRows(mix, tiles, packed);
  for (int64_t c = 0; c < mix.columns; c += kPanel) {
    multiply(tiles, packed, tileSize, mix.weight + c * mix.depth, mix.depth, results, kTileSize,
             false);
    for (int64_t i = 0; i < tiles.count; ++i) {
      finishTile(mix, tiles.first + tiles.start(i), tiles.height(i), c,
                 std::min<int64_t>(kPanel, mix.columns - c), mix.activation, mix.bias,
                 results + i * kTileSize);
    }
  }
}

/// The product of rows with a packed weight of `columns` columns, for which `fill(first, width,
/// tiles)` packs a part of K at a time: at most `kHiddenPart` of them. Calls `finish(i, results)` for
/// each tile i with its results, a tile for each panel of columns.
constexpr int64_t kHiddenPart = kDepth / kPanel * kPanel;

template <typename Fill, typename Finish>
INLINE void productOfParts(const RowTiles &tiles, int64_t depth, const float *weight,
                           int64_t columns, Scratch &scratch, Fill fill, Finish finish) {
  int64_t panels = panelCount(columns), tileSize = tileStride(kHiddenPart);
  int64_t resultSize = panels * kTileSize;
  float *filled = scratch.floats(2, tiles.count * tileSize);
  float *results = scratch.floats(3, tiles.count * resultSize);
  for (int64_t first = 0; first < depth; first += kHiddenPart) {
    int64_t width = std::min(kHiddenPart, depth - first);
    fill(first, width, filled, tileSize);
    for (int64_t panel = 0; panel < panels; ++panel) {
      multiply(tiles, filled, tileSize, weight + (panel * depth + first) * kPanel, width,
               results + panel * kTileSize, resultSize, first > 0);
    }
  }
  for (int64_t i = 0; i < tiles.count; ++i) finish(i, results + i * resultSize);
}

/// Two products, of which what lies between never leaves the cache: some panels of the first are
/// computed, changed by `between(row, column, numbers)`, and multiplied into all of the second's.
template <typename Between, typename Finish>
INLINE void twoProducts(const RowTiles &tiles, const float *packed, int64_t depth,
                        const float *hiddenWeight, int64_t hidden, const float *weight,
                        int64_t columns, Scratch &scratch, Between between, Finish finish) {
  int64_t tileSize = tileStride(depth);
  float *tile = scratch.floats(1, tiles.count * kTileSize);
  productOfParts(
      tiles, padded(hidden), weight, columns, scratch,
      [&](int64_t first, int64_t width, float *filled, int64_t filledSize) {
        for (int64_t c = 0; c < width; c += kPanel) {
          multiply(tiles, packed, tileSize, hiddenWeight + (first + c) * depth, depth, tile,
                   kTileSize, false);
          for (int64_t i = 0; i < tiles.count; ++i) {
            float *numbers = tile + i * kTileSize;
            int64_t row = tiles.first + tiles.start(i);
            // Not while packing, whose unrolled loop would hold the activations' code many times.
#pragma clang loop unroll(disable)
            for (int at = 0; at < tiles.height(i) * kPanel; at += kWidth) {
              store(numbers + at, between(row + at / kPanel, first + c + at % kPanel,
                                          load(numbers + at)));
            }
            packColumns(tiles.height(i), kPanel, filled + i * filledSize + c * kTileRows,
                        [&](int r, int64_t k) { return load(numbers + r * kPanel + k); });
          }
        }
      },
      finish);
}

/// Two linear layers with an activation between.
static void mlpRows(const CTRowMix &mix, const RowTiles &tiles, Scratch &scratch) {
  float *packed = scratch.floats(0, tiles.count * tileStride(mix.depth));
  packRows(mix, tiles, packed);
  twoProducts(
      tiles, packed, mix.depth, mix.hiddenWeight, mix.hidden, mix.weight, mix.columns, scratch,
      [&](int64_t row, int64_t c, Vec h) {
        h += load(mix.hiddenBias + c);
        if (mix.preactivation && c < mix.hidden) {
          float *target = mix.preactivation + row * mix.preactivationStride + c;
          if (c + kWidth <= mix.hidden) store(target, h); else storePart(target, h, mix.hidden - c);
        }
        return activate(mix.hiddenActivation, h);
      },
      [&](int64_t i, const float *results) {
        for (int64_t c = 0; c < mix.columns; c += kPanel) {
          finishTile(mix, tiles.first + tiles.start(i), tiles.height(i), c,
                     std::min<int64_t>(kPanel, mix.columns - c), mix.activation, mix.bias,
                     results + c * kTileRows);
        }
      });
}

/// Calls `body(tiles)` for blocks of rows, each so large that what a thread works on, `floatsInRow` for
/// each row, stays in a second-level cache of 1 MiB that two threads share.
template <typename Body>
INLINE void forRowTiles(int64_t rows, int64_t floatsInRow, Body body) {
  int64_t tilesAtOnce = std::clamp<int64_t>((96 << 10) / (floatsInRow * kTileRows), 2, 16);
  int64_t blocks = (tileCount(rows) + tilesAtOnce - 1) / tilesAtOnce;
  int64_t threads = at::get_num_threads();
  blocks = std::min(tileCount(rows), (blocks + threads - 1) / threads * threads);
  parallelFor(blocks, [&](int64_t block) {
    int64_t first = tileStart(rows, blocks, block);
    int64_t count = tileStart(rows, blocks, block + 1) - first;
    body(RowTiles{first, count, tileCount(count)});
  });
}
