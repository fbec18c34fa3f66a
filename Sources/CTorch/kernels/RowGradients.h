// The backward pass of channel mixing down to its input; the formulas stand at the structs in
// Training.h. No include guard: included once for each kind of processor, after MixRows.h.

/// Packs the first `width` columns of rows of a matrix.
template <typename Lanes>
INLINE void packMatrixRows(const RowTiles &tiles, const float *matrix, int64_t stride, int64_t width,
                           const PackedTiles<Lanes> &packed) {
  packed.fill(tiles, 0, width, [&](int64_t i, float *tile) {
    const float *from = matrix + (tiles.first + tiles.start(i)) * stride;
    packColumns<kLaneStride<Lanes>>(tiles.height(i), width, tile, [&](int r, int64_t k) {
      const float *p = from + r * stride + k;
      return k + kWidth <= width ? load(p) : loadFirst(p, width - k);
    });
  });
}

/// Through the norm of one row: `dn(c)` gives the gradient of the normalised row at column c.
template <typename Gradient>
INLINE void normRowBackward(const RowGradients &g, int64_t row, Gradient dn) {
  const float *x = g.x + row * g.depth;
  const float *residual = g.residual ? g.residual + row * g.depth : nullptr;
  float *dx = g.dx + row * g.depth;
  if (g.moments == nullptr) {
    for (int64_t c = 0; c < g.depth; c += kPanel) {
      Wide v = dn(c);
      if (residual) v += loadUpTo<Wide>(residual + c, g.depth - c);
      storeUpTo(dx + c, v, g.depth - c);
    }
    return;
  }
  Wide mean = splat<Wide>(g.moments[2 * row]), scale = splat<Wide>(g.moments[2 * row + 1]);
  Wide sums = splat<Wide>(0), products = splat<Wide>(0);
  for (int64_t c = 0; c < g.depth; c += kPanel) {
    Wide d = dn(c), n = (loadUpTo<Wide>(x + c, g.depth - c) - mean) * scale;
    sums += d;
    products = fma(d, n, products);
  }
  Wide first = splat<Wide>(sum(sums) / static_cast<float>(g.depth));
  Wide second = splat<Wide>(sum(products) / static_cast<float>(g.depth));
  for (int64_t c = 0; c < g.depth; c += kPanel) {
    Wide n = (loadUpTo<Wide>(x + c, g.depth - c) - mean) * scale;
    Wide v = scale * (dn(c) - first - n * second);
    if (residual) v += loadUpTo<Wide>(residual + c, g.depth - c);
    storeUpTo(dx + c, v, g.depth - c);
  }
}

template <typename Lanes>
static void rowGradients(const RowGradients &g) {
  auto finish = [&](const RowTiles &tiles, int64_t i, const float *results) {
    for (int r = 0; r < tiles.height(i); ++r) {
      normRowBackward(g, tiles.first + tiles.start(i) + r, [&](int64_t c) {
        return load<Wide>(results + c / kPanel * kTileSize + r * kPanel);
      });
    }
  };
  int64_t floatsInRow = packedFloats<Lanes>(g.columns + kDepth) + g.depth;
  forRowTiles<Lanes>(g.rows, floatsInRow, [&](const RowTiles &tiles) {
    Scratch &scratch = Scratch::ofThread();
    auto prepare = [&](int64_t i, int64_t c) {
      int64_t at = (tiles.first + tiles.start(i)) * g.depth + c;
      fetch(g.dx + at, g.depth, tiles.height(i));
      if (g.residual) fetch(g.residual + at, g.depth, tiles.height(i));
      if (g.moments) fetch(g.x + at, g.depth, tiles.height(i));
    };
    if (g.weight == nullptr) {
      productOfParts<Lanes>(
          tiles, padded(g.hidden), g.hiddenWeight, g.depth, scratch,
          [&](int64_t first, int64_t width, const PackedTiles<Lanes> &filled) {
            int64_t count = std::min(width, g.hidden - first);
            filled.fill(tiles, 0, width, [&](int64_t i, float *tile) {
              const float *from = g.dh + (tiles.first + tiles.start(i)) * g.hidden + first;
              packColumns<kLaneStride<Lanes>>(tiles.height(i), count, tile, [&](int r, int64_t k) {
                const float *p = from + r * g.hidden + k;
                return k + kWidth <= count ? load(p) : loadFirst(p, count - k);
              });
              constexpr int stride = kLaneStride<Lanes>;
              if (count < width) std::fill(tile + count * stride, tile + width * stride, 0.0f);
            });
          },
          prepare, [&](int64_t i, const float *results) { finish(tiles, i, results); });
      return;
    }
    PackedTiles<Lanes> packed(scratch, 0, tiles.count, g.columns);
    packMatrixRows(tiles, g.dy, g.columns, g.columns, packed);
    twoProducts<Lanes>(
        tiles, packed, g.columns, g.weight, g.hidden, g.hiddenWeight, g.depth, scratch,
        [&](int64_t row, int rows, int64_t c) {
          fetch(g.h + row * g.hidden + c, g.hidden, rows);
        },
        [&](int64_t row, int64_t c, Wide da) {
          int64_t at = row * g.hidden + c, count = g.hidden - c;
          Activated<Wide> a = activateWithSlope(g.activation, loadUpTo<Wide>(g.h + at, count));
          Wide dh = da * a.slope;
          streamUpTo(g.activated + at, a.value, count);
          streamUpTo(g.dh + at, dh, count);
          return dh;
        },
        prepare, [&](int64_t i, const float *results) { finish(tiles, i, results); });
  });
}

static void rowGradients(const RowGradients &g) {
  g.strassen ? rowGradients<Strassen>(g) : rowGradients<Singles>(g);
}

template <typename Lanes>
static void gateGradients(const GateGradients &g) {
  constexpr int64_t kColumns = Lanes::kGroup * kPanel;
  forRowTiles<Lanes>(g.rows, packedFloats<Lanes>(g.columns), [&](const RowTiles &tiles) {
    Scratch &scratch = Scratch::ofThread();
    PackedTiles<Lanes> packed(scratch, 0, tiles.count, g.columns);
    ResultTiles results = {scratch.floats(1, tiles.count * Lanes::kGroup * kTileSize),
                           Lanes::kGroup * kTileSize};
    packMatrixRows(tiles, g.dy, g.columns, g.columns, packed);
    for (int64_t c = 0; c < g.width; c += kColumns) {
      multiply<Lanes>(tiles, packed, PackedPanel::of<Lanes>(g.weight, g.columns, g.width, c), g.columns,
                      results, false, [&](int64_t i) {
                        int64_t row = tiles.first + tiles.start(i);
                        int rows = tiles.height(i);
                        for (int64_t at = c; at < std::min(g.width, c + kColumns); at += kPanel) {
                          fetch(g.g + row * g.width + at, g.width, rows);
                          fetch(g.h + 2 * row * g.width + at, 2 * g.width, rows);
                        }
                      });
      forTiles<Lanes>(tiles, c, g.width, [&](int64_t i, int half) {
        int64_t column = c + half * kPanel, count = g.width - column;
        for (int r = 0; r < tiles.height(i); ++r) {
          int64_t row = tiles.first + tiles.start(i) + r;
          int64_t at = row * g.width + column, wide = 2 * row * g.width + column;
          Wide dp = load<Wide>(results.at(i, half) + r * kPanel);
          Activated<Wide> u = activateWithSlope(g.activation, loadUpTo<Wide>(g.h + wide, count));
          Wide gate = loadUpTo<Wide>(g.g + at, count);
          streamUpTo(g.p + at, u.value * gate, count);
          streamUpTo(g.dg + at, dp * u.value, count);
          streamUpTo(g.dh + wide, dp * gate * u.slope, count);
        }
      });
    }
  });
}

static void gateGradients(const GateGradients &g) {
  g.strassen ? gateGradients<Strassen>(g) : gateGradients<Singles>(g);
}

/// Calls `body(first row, behind the last, chunk)` for chunks of the rows of each of a batch.
template <typename Body>
INLINE void forRowChunks(int64_t batch, int64_t rows, Body body) {
  int64_t chunks = (rows + kRowChunk - 1) / kRowChunk;
  parallelFor(batch * chunks, [&](int64_t task) {
    int64_t first = task / chunks * rows, chunk = task % chunks;
    body(first + chunk * kRowChunk, first + std::min(rows, (chunk + 1) * kRowChunk), task);
  });
}

static void gateNormGradients(const GateNormGradients &g) {
  forRowChunks(g.batch, g.rows, [&](int64_t begin, int64_t end, int64_t chunk) {
    Scratch &scratch = Scratch::ofThread();
    float *normalized = scratch.floats(0, padded(g.width));
    float *slopes = scratch.floats(1, padded(g.width));
    float *dGain = g.sums + chunk * 2 * g.width, *dShift = dGain + g.width;
    std::fill(dGain, dGain + 2 * g.width, 0.0f);
    for (int64_t row = begin; row < end; ++row) {
      const float *h = g.h + 2 * row * g.width;
      float *m = g.m + row * g.width, *dh = g.dh + 2 * row * g.width;
      Wide mean = splat<Wide>(g.moments[2 * row]), scale = splat<Wide>(g.moments[2 * row + 1]);
      Wide sums = splat<Wide>(0), products = splat<Wide>(0);
      for (int64_t c = 0; c < g.width; c += kPanel) {
        int64_t count = g.width - c;
        Activated<Wide> v = activateWithSlope(g.activation, loadUpTo<Wide>(h + c, count));
        Wide n = (v.value - mean) * scale, dm = loadUpTo<Wide>(m + c, count);
        store(normalized + c, n);
        store(slopes + c, v.slope);
        storeUpTo(dGain + c, fma(dm, n, loadUpTo<Wide>(dGain + c, count)), count);
        storeUpTo(dShift + c, loadUpTo<Wide>(dShift + c, count) + dm, count);
        Wide dn = dm * loadUpTo<Wide>(g.gain + c, count);
        sums += dn;
        products = fma(dn, n, products);
      }
      Wide first = splat<Wide>(sum(sums) / static_cast<float>(g.width));
      Wide second = splat<Wide>(sum(products) / static_cast<float>(g.width));
      for (int64_t c = 0; c < g.width; c += kPanel) {
        int64_t count = g.width - c;
        Wide n = load<Wide>(normalized + c), gain = loadUpTo<Wide>(g.gain + c, count);
        Wide dn = loadUpTo<Wide>(m + c, count) * gain;
        storeUpTo(dh + c, scale * (dn - first - n * second) * load<Wide>(slopes + c), count);
        storeUpTo(m + c, fma(n, gain, loadUpTo<Wide>(g.shift + c, count)), count);
      }
    }
  });
}

static void normGradients(const NormGradients &g) {
  forRowChunks(1, g.rows, [&](int64_t begin, int64_t end, int64_t chunk) {
    float *dGain = g.sums + chunk * 2 * g.width, *dShift = dGain + g.width;
    std::fill(dGain, dGain + 2 * g.width, 0.0f);
    for (int64_t row = begin; row < end; ++row) {
      const float *x = g.x + row * g.width, *dm = g.dm + row * g.width;
      float *dx = g.dx + row * g.width;
      bool normalizes = g.moments != nullptr;
      Wide mean = splat<Wide>(normalizes ? g.moments[2 * row] : 0);
      Wide scale = splat<Wide>(normalizes ? g.moments[2 * row + 1] : 1);
      auto gradient = [&](int64_t c) {
        Wide d = loadUpTo<Wide>(dm + c, g.width - c);
        if (g.gain) d *= loadUpTo<Wide>(g.gain + c, g.width - c);
        return g.scale ? d * loadUpTo<Wide>(g.scale + c, g.width - c) : d;
      };
      Wide sums = splat<Wide>(0), products = splat<Wide>(0);
      for (int64_t c = 0; c < g.width; c += kPanel) {
        int64_t count = g.width - c;
        Wide n = (loadUpTo<Wide>(x + c, count) - mean) * scale, d = loadUpTo<Wide>(dm + c, count);
        storeUpTo(dGain + c, fma(d, n, loadUpTo<Wide>(dGain + c, count)), count);
        storeUpTo(dShift + c, loadUpTo<Wide>(dShift + c, count) + d, count);
        Wide dn = gradient(c);
        sums += dn;
        products = fma(dn, n, products);
      }
      Wide first = splat<Wide>(normalizes ? sum(sums) / static_cast<float>(g.width) : 0);
      Wide second = splat<Wide>(normalizes ? sum(products) / static_cast<float>(g.width) : 0);
      for (int64_t c = 0; c < g.width; c += kPanel) {
        int64_t count = g.width - c;
        Wide n = (loadUpTo<Wide>(x + c, count) - mean) * scale;
        Wide v = scale * (gradient(c) - first - n * second);
        if (g.residual) v += loadUpTo<Wide>(g.residual + row * g.width + c, count);
        storeUpTo(dx + c, v, count);
      }
    }
  });
}
