// Channel mixing: one or two linear layers over the rows of a matrix, with everything between.
// No include guard: included once for each kind of processor, after Product.h.

/// Rows that one thread takes at once, as tiles whose heights are nearly equal.
class RowTiles {
 public:
  static constexpr int64_t kMost = 16;

  const int64_t first, count;

  /// - rows: at most kMost * kTileRows.
  RowTiles(int64_t first, int64_t rows) : first(first), count(tileCount(rows)) {
    for (int64_t i = 0; i <= count; ++i) starts_[i] = tileStart(rows, count, i);
  }

  int64_t start(int64_t i) const { return starts_[i]; }
  int height(int64_t i) const { return static_cast<int>(starts_[i + 1] - starts_[i]); }

 private:
  int64_t starts_[kMost + 1];
};

/// Packs the rows of `x`, normalised if asked for, in tiles [lanes][kTileRows].
template <typename Lanes>
static void packRows(const CTRowMix &mix, const RowTiles &tiles, float *packed) {
  for (int64_t i = 0; i < tiles.count; ++i) {
    const float *x = mix.x + (tiles.first + tiles.start(i)) * mix.xStride;
    int height = tiles.height(i);
    int64_t lanes = laneCount<Lanes>(mix.depth);
    float *tile = packed + i * tileStride(lanes);
    auto at = [&](int r, int64_t k) {
      const float *p = x + r * mix.xStride + k;
      return k + kWidth <= mix.depth ? load(p) : loadFirst(p, mix.depth - k);
    };
    if (mix.normalizes) {
      Moments of[kTileRows];
      for (int r = 0; r < height; ++r) {
        of[r] = moments(x + r * mix.xStride, mix.depth, mix.epsilon);
      }
      if (mix.moments) {
        std::memcpy(mix.moments + 2 * (tiles.first + tiles.start(i)), of, height * sizeof(Moments));
      }
      packColumns(height, lanes, tile, [&](int r, int64_t k) {
        return Lanes::along(k, mix.depth, [&](int64_t i) {
          return (at(r, i) - splat(of[r].mean)) * splat(of[r].scale);
        });
      });
    } else {
      packColumns(height, lanes, tile, [&](int r, int64_t k) {
        return Lanes::along(k, mix.depth, [&](int64_t i) { return at(r, i); });
      });
    }
  }
}

/// results[i] [kTileRows][kPanel] = or += tile i . panel, for all tiles, `kDepth` lanes at a time. Calls
/// `prepare(i)` before the last product of each.
template <typename Lanes = Singles, typename Prepare>
INLINE void multiply(const RowTiles &tiles, const float *packed, int64_t tileSize,
                     const float *panel, int64_t lanes, float *results, int64_t resultSize,
                     bool accumulates, Prepare prepare) {
  int64_t parts = (lanes + kDepth - 1) / kDepth;
  for (int64_t part = 0; part < parts; ++part) {
    int64_t start = lanes * part / parts, end = lanes * (part + 1) / parts;
    const float *next = panel + end * kPanel;
    for (int64_t i = 0; i < tiles.count; ++i) {
      const float *share = next + (end - start) * kPanel * i / tiles.count;
      if (part + 1 == parts) prepare(i);
      productOf<Lanes>(tiles.height(i))(packed + i * tileSize + start * kTileRows,
                                        panel + start * kPanel, end - start, results + i * resultSize,
                                        accumulates || part > 0, share);
    }
  }
}

/// Fetches what `finishTile` will read and write.
INLINE void fetchTile(const CTRowMix &mix, int64_t firstRow, int rows, int64_t c) {
  auto row = [&](const float *p, int64_t stride) { return p ? p + firstRow * stride + c : nullptr; };
  fetch(row(mix.y, mix.yStride), mix.yStride, rows);
  fetch(row(mix.gate, mix.gateStride), mix.gateStride, rows);
  fetch(row(mix.residual, mix.residualStride), mix.residualStride, rows);
  if (mix.hidden == 0) {
    fetch(row(mix.preactivation, mix.preactivationStride), mix.preactivationStride, rows);
  }
}

/// Writes a tile of results to where they belong: `(y + bias)`, activated, times the gate, times the
/// row's factor, plus the residual.
static void finishTile(const CTRowMix &mix, int64_t firstRow, int rows, int64_t firstColumn,
                       int64_t columns, CTActivation activation, const float *bias,
                       const float *tile) {
  Wide shift = bias ? load<Wide>(bias + firstColumn) : splat<Wide>(0);
  for (int r = 0; r < rows; ++r) {
    int64_t row = firstRow + r;
    auto read = [&](const float *p, int64_t stride) {
      return loadUpTo<Wide>(p + row * stride + firstColumn, columns);
    };
    Wide y = load<Wide>(tile + r * kPanel) + shift;
    if (mix.preactivation && mix.hidden == 0) {
      storeUpTo(mix.preactivation + row * mix.preactivationStride + firstColumn, y, columns);
    }
    y = activate(activation, y);
    if (mix.factors) y *= splat<Wide>(mix.factors[row / mix.rowsOfFactor]);
    if (mix.gate) y *= read(mix.gate, mix.gateStride);
    if (mix.residual) y += read(mix.residual, mix.residualStride);
    storeUpTo(mix.y + row * mix.yStride + firstColumn, y, columns);
  }
}

/// The part-th of `parts` of the columns of one linear layer.
template <typename Lanes>
static void linearColumns(const CTRowMix &mix, const RowTiles &tiles, Scratch &scratch, int64_t part,
                          int64_t parts) {
  int64_t lanes = laneCount<Lanes>(mix.depth), tileSize = tileStride(lanes);
  float *packed = scratch.floats(0, tiles.count * tileSize);
  float *results = scratch.floats(1, tiles.count * kTileSize);
  packRows<Lanes>(mix, tiles, packed);
  int64_t panels = panelCount(mix.columns), end = panels * (part + 1) / parts * kPanel;
  for (int64_t c = panels * part / parts * kPanel; c < end; c += kPanel) {
    multiply<Lanes>(
        tiles, packed, tileSize, mix.weight + c * lanes, lanes, results, kTileSize, false,
        [&](int64_t i) { fetchTile(mix, tiles.first + tiles.start(i), tiles.height(i), c); });
    for (int64_t i = 0; i < tiles.count; ++i) {
      finishTile(mix, tiles.first + tiles.start(i), tiles.height(i), c,
                 std::min<int64_t>(kPanel, mix.columns - c), mix.activation, mix.bias,
                 results + i * kTileSize);
    }
  }
}

/// One linear layer.
template <typename Lanes>
static void linearRows(const CTRowMix &mix, const RowTiles &tiles, Scratch &scratch) {
  linearColumns<Lanes>(mix, tiles, scratch, 0, 1);
}

/// The product of rows with a packed weight of `columns` columns, for which `fill(first, width,
/// tiles)` packs a part of K's lanes at a time: at most `kHiddenPart` of them. Calls `finish(i, results)` for
/// each tile i with its results, a tile for each panel of columns, and before the last product for
/// each of those `prepare(i, column)`.
constexpr int64_t kHiddenPart = kDepth / kPanel * kPanel;

template <typename Lanes = Singles, typename Fill, typename Prepare, typename Finish>
INLINE void productOfParts(const RowTiles &tiles, int64_t lanes, const float *weight,
                           int64_t columns, Scratch &scratch, Fill fill, Prepare prepare,
                           Finish finish) {
  int64_t panels = panelCount(columns), tileSize = tileStride(kHiddenPart);
  int64_t resultSize = panels * kTileSize;
  float *filled = scratch.floats(2, tiles.count * tileSize);
  float *results = scratch.floats(3, tiles.count * resultSize);
  for (int64_t first = 0; first < lanes; first += kHiddenPart) {
    int64_t width = std::min(kHiddenPart, lanes - first);
    fill(first, width, filled, tileSize);
    for (int64_t panel = 0; panel < panels; ++panel) {
      multiply<Lanes>(tiles, filled, tileSize, weight + (panel * lanes + first) * kPanel, width,
                      results + panel * kTileSize, resultSize, first > 0, [&](int64_t i) {
                        if (first + width == lanes) prepare(i, panel * kPanel);
                      });
    }
  }
  for (int64_t i = 0; i < tiles.count; ++i) finish(i, results + i * resultSize);
}

/// Two products, of which what lies between never leaves the cache: some panels of the first are
/// computed, changed by `between(row, column, numbers)`, and multiplied into all of the second's.
/// Before it computes them, `prepareBetween(row, rows, column)` is called.
template <typename Lanes = Singles, typename PrepareBetween, typename Between, typename Prepare,
          typename Finish>
INLINE void twoProducts(const RowTiles &tiles, const float *packed, int64_t depth,
                        const float *hiddenWeight, int64_t hidden, const float *weight,
                        int64_t columns, Scratch &scratch, PrepareBetween prepareBetween,
                        Between between, Prepare prepare, Finish finish) {
  constexpr int64_t numbersInLane = Lanes::kNumbers;
  int64_t lanes = laneCount<Lanes>(depth), tileSize = tileStride(lanes);
  float *tile = scratch.floats(1, tiles.count * kTileSize);
  productOfParts<Lanes>(
      tiles, padded(hidden) / numbersInLane, weight, columns, scratch,
      [&](int64_t first, int64_t width, float *filled, int64_t filledSize) {
        int64_t begin = first * numbersInLane, end = begin + width * numbersInLane;
        for (int64_t c = begin; c < end; c += kPanel) {
          multiply<Lanes>(tiles, packed, tileSize, hiddenWeight + c * lanes, lanes, tile, kTileSize,
                          false, [&](int64_t i) {
                            prepareBetween(tiles.first + tiles.start(i), tiles.height(i), c);
                          });
          for (int64_t i = 0; i < tiles.count; ++i) {
            float *numbers = tile + i * kTileSize;
            int64_t row = tiles.first + tiles.start(i);
            // Not while packing, whose unrolled loop would hold the activations' code many times.
            int height = tiles.height(i);
#pragma clang loop unroll(disable)
            for (int r = 0; r < height; ++r) {
              store(numbers + r * kPanel, between(row + r, c, load<Wide>(numbers + r * kPanel)));
            }
            packColumns(tiles.height(i), kPanel / numbersInLane,
                        filled + i * filledSize + (c - begin) / numbersInLane * kTileRows,
                        [&](int r, int64_t k) {
                          return Lanes::along(k, kPanel, [&](int64_t column) {
                            return load(numbers + r * kPanel + column);
                          });
                        });
          }
        }
      },
      prepare, finish);
}

/// Two linear layers with an activation between.
template <typename Lanes>
static void mlpRows(const CTRowMix &mix, const RowTiles &tiles, Scratch &scratch) {
  float *packed = scratch.floats(0, tiles.count * tileStride(laneCount<Lanes>(mix.depth)));
  packRows<Lanes>(mix, tiles, packed);
  twoProducts<Lanes>(
      tiles, packed, mix.depth, mix.hiddenWeight, mix.hidden, mix.weight, mix.columns, scratch,
      [&](int64_t row, int rows, int64_t c) {
        if (mix.preactivation && c < mix.hidden) {
          fetch(mix.preactivation + row * mix.preactivationStride + c, mix.preactivationStride, rows);
        }
      },
      [&](int64_t row, int64_t c, Wide h) {
        h += load<Wide>(mix.hiddenBias + c);
        if (mix.preactivation) {
          storeUpTo(mix.preactivation + row * mix.preactivationStride + c, h, mix.hidden - c);
        }
        return activate(mix.hiddenActivation, h);
      },
      [&](int64_t i, int64_t c) {
        fetchTile(mix, tiles.first + tiles.start(i), tiles.height(i), c);
      },
      [&](int64_t i, const float *results) {
        for (int64_t c = 0; c < mix.columns; c += kPanel) {
          finishTile(mix, tiles.first + tiles.start(i), tiles.height(i), c,
                     std::min<int64_t>(kPanel, mix.columns - c), mix.activation, mix.bias,
                     results + c * kTileRows);
        }
      });
}

/// Calls `body(tiles)` for blocks of rows. The weights are read once for each block, so these are as large
/// as pays: what a thread works on, `floatsInRow` for each row, is about as much as a second-level cache
/// holds. Each thread's share of the rows is cut into as few tiles as it can be, and these are dealt to its
/// blocks.
template <typename Body>
INLINE void forRowTiles(int64_t rows, int64_t floatsInRow, Body body) {
  int64_t tilesAtOnce = std::clamp<int64_t>((160 << 10) / (floatsInRow * kTileRows), 2, RowTiles::kMost);
  int64_t blocks = (tileCount(rows) + tilesAtOnce - 1) / tilesAtOnce;
  int64_t threads = at::get_num_threads();
  blocks = std::min(tileCount(rows), (blocks + threads - 1) / threads * threads);
  int64_t shares = blocks % threads == 0 ? threads : blocks, inShare = blocks / shares;
  parallelFor(blocks, [&](int64_t block) {
    int64_t share = block % shares, start = tileStart(rows, shares, share);
    int64_t count = tileStart(rows, shares, share + 1) - start, tiles = tileCount(count);
    auto at = [&](int64_t i) { return start + tileStart(count, tiles, tiles * i / inShare); };
    int64_t first = at(block / shares), end = at(block / shares + 1);
    if (end > first) body(RowTiles(first, end - first));
  });
}

/// One linear layer on so few rows that reading the weights takes longest: the threads take all rows, but
/// each its own columns.
template <typename Lanes>
static void linearFewRows(const CTRowMix &mix) {
  int64_t parts = std::min<int64_t>(panelCount(mix.columns), at::get_num_threads());
  parallelFor(parts, [&](int64_t part) {
    CTRowMix mine = mix;
    if (part > 0) mine.moments = nullptr;
    linearColumns<Lanes>(mine, RowTiles(0, mix.rows), Scratch::ofThread(), part, parts);
  });
}

/// The same for two linear layers, one after the other.
template <typename Lanes>
static void mlpFewRows(const CTRowMix &mix) {
  int64_t width = padded(mix.hidden);
  float *hidden = Scratch::ofThread().floats(5, mix.rows * width);
  for (int64_t r = 0; r < mix.rows; ++r) {
    std::fill(hidden + r * width + mix.hidden, hidden + (r + 1) * width, 0.0f);
  }
  CTRowMix first = {.rows = mix.rows, .depth = mix.depth, .columns = mix.hidden};
  first.x = mix.x;
  first.xStride = mix.xStride;
  first.normalizes = mix.normalizes;
  first.epsilon = mix.epsilon;
  first.weight = mix.hiddenWeight;
  first.bias = mix.hiddenBias;
  first.activation = mix.hiddenActivation;
  first.y = hidden;
  first.yStride = width;
  first.moments = mix.moments;
  first.preactivation = mix.preactivation;
  first.preactivationStride = mix.preactivationStride;
  linearFewRows<Lanes>(first);
  CTRowMix second = mix;
  second.x = hidden;
  second.xStride = second.depth = width;
  second.hidden = 0;
  second.normalizes = false;
  second.moments = second.preactivation = nullptr;
  linearFewRows<Lanes>(second);
}

/// Up to so many rows reading the weights takes about as long as multiplying them.
constexpr int64_t kFewRows = 96;
static_assert(kFewRows <= RowTiles::kMost * kTileRows);

/// Whether threads that take some rows each would read the weights too often.
INLINE bool hasFewRows(const CTRowMix &mix) {
  int64_t threads = at::get_num_threads();
  return threads > 1 && mix.rows <= kFewRows &&
         panelCount(mix.columns) >= 2 * threads && panelCount(std::max(mix.hidden, mix.depth)) >= 2 * threads;
}
