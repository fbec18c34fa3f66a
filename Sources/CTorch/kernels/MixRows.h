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

/// Writes a tile of results to where they belong: `(y + bias)`, activated, times the gate, plus the
/// residual.
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
      Vec y = activate(activation, load(tile + r * kPanel + half * kWidth) + shift);
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

/// Two linear layers with an activation between. The hidden numbers never leave the cache: some
/// panels of them are computed, activated, and multiplied into all of the results.
static void mlpRows(const CTRowMix &mix, const RowTiles &tiles, Scratch &scratch) {
  int64_t hidden = padded(mix.hidden), panels = panelCount(mix.columns);
  int64_t part = std::max<int64_t>(kPanel, kDepth / kPanel * kPanel);
  int64_t tileSize = tileStride(mix.depth), hiddenTileSize = tileStride(part);
  int64_t resultSize = panels * kTileSize;
  float *packed = scratch.floats(0, tiles.count * tileSize);
  float *tile = scratch.floats(1, tiles.count * kTileSize);
  float *activated = scratch.floats(2, tiles.count * hiddenTileSize);
  float *results = scratch.floats(3, tiles.count * resultSize);
  packRows(mix, tiles, packed);
  for (int64_t first = 0; first < hidden; first += part) {
    int64_t width = std::min(part, hidden - first);
    for (int64_t c = 0; c < width; c += kPanel) {
      multiply(tiles, packed, tileSize, mix.hiddenWeight + (first + c) * mix.depth, mix.depth, tile,
               kTileSize, false);
      for (int64_t i = 0; i < tiles.count; ++i) {
        const float *from = tile + i * kTileSize;
        const float *bias = mix.hiddenBias + first + c;
        packColumns(tiles.height(i), kPanel, activated + i * hiddenTileSize + c * kTileRows,
                    [&](int r, int64_t k) {
                      return activate(mix.hiddenActivation,
                                      load(from + r * kPanel + k) + load(bias + k));
                    });
      }
    }
    for (int64_t panel = 0; panel < panels; ++panel) {
      multiply(tiles, activated, hiddenTileSize,
               mix.weight + (panel * hidden + first) * kPanel, width,
               results + panel * kTileSize, resultSize, first > 0);
    }
  }
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t i = 0; i < tiles.count; ++i) {
      finishTile(mix, tiles.first + tiles.start(i), tiles.height(i), panel * kPanel,
                 std::min<int64_t>(kPanel, mix.columns - panel * kPanel), mix.activation, mix.bias,
                 results + i * resultSize + panel * kTileSize);
    }
  }
}
