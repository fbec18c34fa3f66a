// Gradients of weights: products whose K is as long as a batch. See Training.h for the formulas.
// No include guard: included once for each kind of processor, after Packing.h.

/// How much of K a product takes at once, as how many panels and how many rows' tiles: so much of both stays
/// in the second cache.
template <typename Lanes>
constexpr int64_t kPart = isStrassen<Lanes> ? 384 : 192;
template <typename Lanes>
constexpr int64_t kTilesAtOnce = isStrassen<Lanes> ? 48 / kTileRows * 2 : 252 / kTileRows;
constexpr int64_t kPanelsAtOnce = 64 / kWidth;
/// How many tiles of rows and panels of columns a thread's block of the result has at most. What is packed
/// of one side is packed anew for each block of the other: the more, the better, as long as the block stays
/// in the third cache. Both are even, for pairs.
constexpr int64_t kBlockTiles = 504 / kTileRows * 2, kBlockPanels = 1024 / kPanel;

/// A block of rows of the result, as tiles among all of the result's.
struct TileBlock {
  int64_t m, count;     // rows and tiles of the whole result
  int group;
  int64_t first, tiles;

  int64_t start(int64_t i) const { return tileStart(m, count, first + i, group); }
  int height(int64_t i) const { return static_cast<int>(start(i + 1) - start(i)); }
  /// At most `most` tiles from the i-th on.
  TileBlock part(int64_t i, int64_t most) const {
    return {m, count, group, first + i, std::min(most, tiles - i)};
  }
};

/// How far ahead rows are fetched of which each gives a few numbers at a time, and how many rows ahead
/// where each gives many: they lie too far apart for the processor to see them coming.
constexpr int64_t kAhead = 2 * kWidth, kRowsAhead = 6;

INLINE void fetchRow(const float *row, int64_t count) {
  for (int64_t c = 0; c < count; c += 16) __builtin_prefetch(row + c, 0, 3);
}

/// From one of `Strassen`'s sums of two tiles or panels of a part of K to the next.
constexpr int64_t kSumTile = kPart<Strassen> / 2 * kTileRows + kWidth;
constexpr int64_t kSumPanel = kPart<Strassen> / 2 * kPanel;
/// From one packed tile or panel of a part of K to the next; with sums, a half of what two of them take.
template <typename Lanes>
constexpr int64_t kPartTile =
    isStrassen<Lanes> ? kSums * kSumTile / 2 : kPart<Lanes> * kTileRows + kWidth;
template <typename Lanes>
constexpr int64_t kPartPanel =
    isStrassen<Lanes> ? kSums * kSumPanel / 2 : kPart<Lanes> * kPanel + kWidth;

/// Adds up the rows of a packed tile [depth][kTileRows].
static void addTileSums(const float *tile, int64_t depth, float *sums) {
  constexpr int parts = (kTileRows + kWidth - 1) / kWidth;
  Vec total[parts];
  for (int i = 0; i < parts; ++i) total[i] = load(sums + i * kWidth);
  for (int64_t k = 0; k < depth; ++k) {
    for (int i = 0; i < parts; ++i) total[i] += load(tile + k * kTileRows + i * kWidth);
  }
  for (int i = 0; i < parts; ++i) store(sums + i * kWidth, total[i]);
}

/// `G = sum of A_k B_k^T` over `segments` of K, each `depth` long. `packA(segment, start, end, block,
/// tiles)` packs tiles [end - start][kTileRows], `kPartTile` apart; `packB(segment, start, end, column,
/// count, panels)` as many panels [end - start][kPanel], `kPartPanel` apart; or what `Strassen` makes of pairs
/// of them, each of the sums `kSumTile` or `kSumPanel` apart. Calls `finish(tile, row, rows,
/// panel, numbers, sums)` for each tile of the result, with the sums of its rows of A. Each number is
/// summed in the order of K, whatever the number of threads.
template <typename Lanes, typename PackA, typename PackB, typename Finish>
INLINE void sumProducts(int64_t m, int64_t n, int64_t segments, int64_t depth, PackA packA,
                        PackB packB, Finish finish) {
  constexpr int kGroup = Lanes::kGroup;
  constexpr int64_t kTile = kPartTile<Lanes>, kPanelSize = kPartPanel<Lanes>;
  int64_t tiles = tileCount(m, kGroup), panels = panelCount(n), threads = at::get_num_threads();
  int64_t blocksM = (tiles + kBlockTiles - 1) / kBlockTiles;
  int64_t blocksN = (panels + kBlockPanels - 1) / kBlockPanels;
  if (blocksM * blocksN % threads != 0) {
    // The side whose packing costs less twice.
    int64_t &blocks = tiles * kTileRows > panels * kPanel ? blocksM : blocksN;
    int64_t most = (&blocks == &blocksM ? tiles : panels) / kGroup;
    blocks = std::min(std::max<int64_t>(most, 1), (blocks + threads - 1) / threads * threads);
  }
  auto startOf = [](int64_t i, int64_t count, int64_t blocks) {
    return i == blocks ? count : count / kGroup * i / blocks * kGroup;
  };
  // Nearly equal parts of whole registers.
  int64_t parts = (depth + kPart<Lanes> - 1) / kPart<Lanes>;
  int64_t partSize = ((depth + parts - 1) / parts + kWidth - 1) / kWidth * kWidth;
  constexpr int64_t sumsStride = (kTileRows + kWidth - 1) / kWidth * kWidth;
  parallelFor(blocksM * blocksN, [&](int64_t task) {
    int64_t i = task / blocksN, j = task % blocksN;
    int64_t firstTile = startOf(i, tiles, blocksM), firstPanel = startOf(j, panels, blocksN);
    TileBlock block = {m, tiles, kGroup, firstTile, startOf(i + 1, tiles, blocksM) - firstTile};
    int64_t panelsHere = startOf(j + 1, panels, blocksN) - firstPanel;
    Scratch &scratch = Scratch::ofThread();
    float *packed = scratch.floats(0, block.tiles * kTile);
    float *packedPanels = scratch.floats(1, kPanelsAtOnce * kPanelSize);
    float *results = scratch.floats(2, (block.tiles * panelsHere + 1) * kTileSize);
    float *sums = scratch.floats(3, block.tiles * sumsStride);
    std::fill(sums, sums + block.tiles * sumsStride, 0.0f);
    std::vector<int> heights(block.tiles);
    for (int64_t t = 0; t < block.tiles; ++t) heights[t] = block.height(t);
    auto result = [&](int64_t tile, int64_t panel) {
      return results + (panel * block.tiles + tile) * kTileSize;
    };
    bool hasBegun = false;
    for (int64_t segment = 0; segment < segments; ++segment) {
      for (int64_t part = 0; part < parts; ++part) {
        int64_t start = part * partSize, end = std::min(depth, start + partSize);
        for (int64_t t = 0; t < block.tiles; t += kTilesAtOnce<Lanes>) {
          packA(segment, start, end, block.part(t, kTilesAtOnce<Lanes>), packed + t * kTile);
        }
        for (int64_t t = 0; t < block.tiles; ++t) {
          if constexpr (isStrassen<Lanes>) {  // A11 + A12, A21 + A22
            addTileSums(packed + (t - t % 2) * kTile + (t % 2 == 0 ? 4 : 1) * kSumTile,
                        halfOf(end - start), sums + t * sumsStride);
          } else {
            addTileSums(packed + t * kTile, end - start, sums + t * sumsStride);
          }
        }
        for (int64_t p = 0; p < panelsHere; p += kPanelsAtOnce) {
          int64_t count = std::min(kPanelsAtOnce, panelsHere - p);
          packB(segment, start, end, (firstPanel + p) * kPanel, count, packedPanels);
          for (int64_t t = 0; t < block.tiles; t += kTilesAtOnce<Lanes>) {
            int64_t tilesEnd = std::min(block.tiles, t + kTilesAtOnce<Lanes>);
            for (int64_t q = 0; q < count; q += kGroup) {
              const float *panel = packedPanels + q * kPanelSize;
              if constexpr (isStrassen<Lanes>) {
                for (const StrassenStep &step : strassenSteps(count - q)) {
                  for (int64_t u = t; u < tilesEnd; u += 2) {
                    const float *tile = packed + u * kTile + step.m * kSumTile;
                    auto target = [&](int which) { return result(u + which / 2, p + q + which % 2); };
                    productOf(step, heights[u])(tile, panel + step.m * kSumPanel, halfOf(end - start),
                                                target(step.first), hasBegun || !step.beginsFirst,
                                                target(step.second), hasBegun || !step.beginsSecond,
                                                tile + 2 * kTile);
                  }
                }
              } else {
                for (int64_t u = t; u < tilesEnd; ++u) {
                  fetch(result(u + 1, p + q), kPanel, kTileRows);
                  productOf<Lanes>(heights[u])(packed + u * kTile, panel, end - start,
                                               result(u, p + q), hasBegun, nullptr, false,
                                               packed + (u + 1) * kTile);
                }
              }
            }
          }
        }
        hasBegun = true;
      }
    }
    for (int64_t t = 0; t < block.tiles; ++t) {
      // One row makes two tiles, of which one has none.
      for (int64_t p = 0; p < panelsHere && heights[t] > 0; ++p) {
        finish(block.first + t, block.start(t), block.height(t), firstPanel + p, result(t, p),
               sums + t * sumsStride);
      }
    }
  });
}

/// Copies columns of rows [start, end) of a matrix [rows, m] into tiles. What lies behind a tile's
/// columns is read too, and ignored, unless it lies behind the matrix.
template <typename Lanes>
static void packTilesOfMatrix(const float *a, int64_t stride, int64_t rows, int64_t start,
                              int64_t end, const TileBlock &block, float *tiles) {
  int64_t size = (rows - 1) * stride + block.m;
  int64_t firsts[kTilesAtOnce<Lanes>];
  for (int64_t i = 0; i < block.tiles; ++i) firsts[i] = block.start(i);
  int64_t behind = firsts[block.tiles - 1] + kTileRows + kWidth;
  auto at = [&](int64_t k, int64_t c) {
    const float *p = a + k * stride + c;
    int64_t left = size - k * stride;
    if (left >= behind || c + kWidth <= left) return (Vec)load(p);
    return (Vec)loadFirst(p, std::max<int64_t>(left - c, 0));
  };
  for (int64_t k = start; k < end; k += Lanes::kGroup) {
    for (int64_t row = k; row < k + Lanes::kGroup; ++row) {
      fetchRow(a + (row + kRowsAhead) * stride + firsts[0], block.tiles * kTileRows);
    }
    for (int64_t i = 0; i < block.tiles; i += Lanes::kGroup) {
      for (int r = 0; r < kTileRows; r += kWidth) {
        float *target = tiles + i * kPartTile<Lanes> + (k - start) / Lanes::kGroup * kTileRows + r;
        if constexpr (isStrassen<Lanes>) {
          bool hasOdd = k + 1 < end;
          // A row that the second tile lacks counts nothing.
          int64_t first = firsts[i] + r, second = firsts[i + 1] + r, there = block.height(i + 1) - r;
          Vec a21 = at(k, second), a22 = hasOdd ? at(k + 1, second) : splat(0), of[kSums];
          if (block.m % 2 != 0) a21 = leading(a21, there), a22 = leading(a22, there);
          sumsOfRows(at(k, first), hasOdd ? at(k + 1, first) : splat(0), a21, a22, of);
          for (int m = 0; m < kSums; ++m) store(target + m * kSumTile, of[m]);
        } else {
          store(target, at(k, firsts[i] + r));
        }
      }
    }
  }
}

/// Copies columns of rows [start, end) to `count` panels, normalised if moments are given.
template <typename Lanes>
static void packPanelsOfMatrix(const float *b, int64_t stride, int64_t rows, int64_t columns,
                               const float *moments, int64_t start, int64_t end, int64_t column,
                               int64_t count, float *panels) {
  int64_t size = (rows - 1) * stride + columns;
  auto at = [&](int64_t k, int64_t p) {
    int64_t c = column + p * kPanel;
    if (k >= end || p >= count) return splat<Wide>(0);
    Wide v = loadUpTo<Wide>(b + k * stride + c, size - k * stride - c);
    if (moments) v = (v - splat<Wide>(moments[2 * k])) * splat<Wide>(moments[2 * k + 1]);
    // What lies behind the last column would be added to others.
    return isStrassen<Lanes> && columns - c < kPanel ? leading(v, columns - c) : v;
  };
  for (int64_t k = start; k < end; k += Lanes::kGroup) {
    for (int64_t row = k; row < k + Lanes::kGroup; ++row) {
      fetchRow(b + (row + kRowsAhead) * stride + column, count * kPanel);
    }
    for (int64_t p = 0; p < count; p += Lanes::kGroup) {
      float *target = panels + p * kPartPanel<Lanes> + (k - start) / Lanes::kGroup * kPanel;
      if constexpr (isStrassen<Lanes>) {
        Wide of[kSums];
        sumsOfColumns(at(k, p), at(k, p + 1), at(k + 1, p), at(k + 1, p + 1), of);
        for (int m = 0; m < kSums; ++m) store(target + m * kSumPanel, of[m]);
      } else {
        store(target, at(k, p));
      }
    }
  }
}

/// Writes a tile of a weight's gradient, and its parts of the products with the weight.
static void finishWeightTile(const WeightGradient &g, int64_t tileIndex, int64_t first, int rows,
                             int64_t panel, const float *tile, const float *sums) {
  if (g.sums && panel == 0) std::memcpy(g.sums + first, sums, rows * sizeof(float));
  int64_t c = panel * kPanel, count = g.n - c;
  Wide scale = g.columnScale ? loadUpTo<Wide>(g.columnScale + c, count) : splat<Wide>(1);
  Wide shift = g.columnShift ? loadUpTo<Wide>(g.columnShift + c, count) : splat<Wide>(0);
  Wide products = splat<Wide>(0), shiftProducts = splat<Wide>(0);
  for (int r = 0; r < rows; ++r) {
    Wide value = load<Wide>(tile + r * kPanel), total = splat<Wide>(sums[r]);
    if (g.weight) {
      Wide weight = loadUpTo<Wide>(g.weight + (first + r) * g.n + c, count);
      products = fma(weight, value, products);
      shiftProducts = fma(weight, total, shiftProducts);
      // What lies behind the columns counts nothing: the weight is 0 there, the product may be NaN.
      if (g.rowProducts) {
        Wide parts = weight * value;
        g.rowProducts[panel * g.m + first + r] = sum(count < kPanel ? leading(parts, count) : parts);
      }
    }
    Wide gradient = fma(value, scale, total * shift);
    if (g.rowScale) gradient *= splat<Wide>(g.rowScale[first + r]);
    streamUpTo(g.gradient + (first + r) * g.n + c, gradient, count);
  }
  if (g.columnProducts) {
    float *target = g.columnProducts + tileIndex * 2 * g.n + c;
    storeUpTo(target, products, count);
    storeUpTo(target + g.n, shiftProducts, count);
  }
}

template <typename Lanes>
static void weightGradient(const WeightGradient &g) {
  sumProducts<Lanes>(
      g.m, g.n, 1, g.rows,
      [&](int64_t, int64_t start, int64_t end, const TileBlock &block, float *tiles) {
        packTilesOfMatrix<Lanes>(g.a, g.aStride, g.rows, start, end, block, tiles);
      },
      [&](int64_t, int64_t start, int64_t end, int64_t column, int64_t count, float *panels) {
        packPanelsOfMatrix<Lanes>(g.b, g.bStride, g.rows, g.n, g.moments, start, end, column, count, panels);
      },
      [&](int64_t tileIndex, int64_t first, int rows, int64_t panel, const float *tile,
          const float *sums) { finishWeightTile(g, tileIndex, first, rows, panel, tile, sums); });
}

static void weightGradient(const WeightGradient &g) {
  g.strassen ? weightGradient<Strassen>(g) : weightGradient<Singles>(g);
}

/// Where row `row` of `rows` in a matrix of a batch has its number for channel c: as rows of channels,
/// or as panels of them.
INLINE const float *tokenRow(const float *x, bool hasPanels, int64_t channels, int64_t matrix,
                             int64_t rows, int64_t row, int64_t c) {
  if (!hasPanels) return x + (matrix * rows + row) * channels + c;
  int64_t panel = matrix * panelCount(channels) + c / kPanel;
  return x + (panel * rows + row) * kPanel + c % kPanel;
}

static void tokenWeightGradient(const TokenWeightGradient &g) {
  sumProducts<Singles>(
      g.m, g.n, g.batch, g.channels,
      [&](int64_t matrix, int64_t start, int64_t end, const TileBlock &block, float *tiles) {
        for (int64_t i = 0; i < block.tiles; ++i) {
          int64_t first = block.start(i);
          packColumns(block.height(i), end - start, tiles + i * kPartTile<Singles>, [&](int r, int64_t k) {
            int64_t count = end - start - k;
            const float *a = tokenRow(g.a, g.aHasPanels, g.channels, matrix, g.m, first + r, start + k);
            __builtin_prefetch(a + kAhead);
            Vec v = loadUpTo(a, count);
            return g.scale ? v * loadUpTo(g.scale + start + k, count) : v;
          });
        }
      },
      [&](int64_t matrix, int64_t start, int64_t end, int64_t column, int64_t panelsThere,
          float *panels) {
        for (int64_t p = 0; p < panelsThere; ++p) {
          int64_t first = column + p * kPanel;
          packPanelOfRows(std::min<int64_t>(kPanel, g.n - first), end - start,
                          panels + p * kPartPanel<Singles>, [&](int r, int64_t k) {
            int64_t count = end - start - k;
            const float *b = tokenRow(g.b, g.bHasPanels, g.channels, matrix, g.n, first + r, start + k);
            __builtin_prefetch(b + kAhead);
            Vec v = loadUpTo(b, count);
            if (g.moments) {
              const float *of = g.moments + 2 * (matrix * g.n + first + r);
              v = (v - splat(of[0])) * splat(of[1]);
            }
            if (g.gain) {
              v = fma(v, loadUpTo(g.gain + start + k, count), loadUpTo(g.shift + start + k, count));
            }
            return v;
          });
        }
      },
      [&](int64_t, int64_t first, int rows, int64_t panel, const float *tile, const float *sums) {
        if (panel == 0) std::memcpy(g.sums + first, sums, rows * sizeof(float));
        for (int r = 0; r < rows; ++r) {
          for (int half = 0; half < kPanel; half += kWidth) {
            int64_t c = panel * kPanel + half;
            if (c >= g.n) break;
            storeUpTo(g.gradient + (first + r) * g.n + c, load(tile + r * kPanel + half), g.n - c);
          }
        }
      });
}
