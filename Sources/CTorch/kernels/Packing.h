// Weights in the order in which products read them.
// No include guard: included once for each kind of processor, after Product.h.

template <typename Lanes>
static int64_t panelsSize(int64_t rows, int64_t depth) {
  if (isStrassen<Lanes>) return (panelCount(rows) + 1) / 2 * kSums * halfOf(depth) * kPanel;
  return padded(rows) * laneCount<Lanes>(depth);
}

/// With room behind the last tile, where `packColumns` writes a little too much.
template <typename Lanes>
static int64_t tilesSize(int64_t rows, int64_t depth) {
  int64_t count = tileCount(rows, Lanes::kGroup);
  if (isStrassen<Lanes>) return count / 2 * kSums * tileStride(halfOf(depth));
  return count * laneCount<Lanes>(depth) * kTileRows + kWidth;
}

/// Writes a panel [count][kPanel] from `rows` <= kPanel rows that `row(r, k)` loads at k; zeros where
/// there are no more.
template <typename Row>
INLINE void packPanelOfRows(int64_t rows, int64_t count, float *panel, Row row) {
  for (int64_t k = 0; k < count; k += kWidth) {
    int64_t columns = std::min<int64_t>(kWidth, count - k);
    for (int first = 0; first < kPanel; first += kWidth) {
      Vec block[kWidth];
#pragma clang loop unroll(full)
      for (int r = 0; r < kWidth; ++r) {
        block[r] = first + r < rows ? row(first + r, k) : splat(0);
      }
      transpose(block);
      for (int64_t c = 0; c < columns; ++c) store(panel + (k + c) * kPanel + first, block[c]);
    }
  }
}

/// Writes each of `count` panels [lanes][kPanel] as `pack(panel, first lane, lanes, target)` does, some
/// lanes at a time, or what `Strassen` makes of two of them.
template <typename Lanes, typename Pack>
INLINE void packPanels(int64_t count, int64_t lanes, float *packed, Pack pack) {
  if (!isStrassen<Lanes>) {
    parallelFor(count, [&](int64_t panel) { pack(panel, 0, lanes, packed + panel * lanes * kPanel); });
    return;
  }
  // So many that the panels, read in one order and written in another, stay in the first cache.
  constexpr int64_t kAtOnce = 64;
  int64_t half = halfOf(lanes) * kPanel;
  parallelFor((count + 1) / 2, [&](int64_t pair) {
    alignas(64) float first[kAtOnce * kPanel], second[kAtOnce * kPanel];
    bool hasSecond = 2 * pair + 1 < count;
    for (int64_t lane = 0; lane < lanes; lane += kAtOnce) {
      int64_t there = std::min(kAtOnce, lanes - lane);
      pack(2 * pair, lane, there, first);
      if (hasSecond) pack(2 * pair + 1, lane, there, second);
      sumPanels(first, hasSecond ? second : nullptr, there,
                packed + pair * kSums * half + lane / 2 * kPanel, half);
    }
  });
}

/// Loads a scaled row of the matrix at column k; zeros behind its end.
template <typename V = Vec>
INLINE V loadScaled(const MatrixPacking &m, int64_t row, int64_t k) {
  auto read = [&](const float *p) { return loadUpTo<V>(p, m.columns - k); };
  V v = read(m.matrix + row * m.columns + k);
  if (m.columnScale) v *= read(m.columnScale + k);
  if (m.rowScale) v *= splat<V>(m.rowScale[row]);
  return v;
}

/// Lanes of a scaled row of the matrix from the k-th on.
template <typename Lanes>
INLINE Vec scaledLanes(const MatrixPacking &m, int64_t row, int64_t k) {
  return Lanes::along(k, m.columns, [&](int64_t i) { return loadScaled(m, row, i); });
}

/// [rows, columns] to panels [lanes][kPanel] of kPanel rows, zeros where there are no more.
template <typename Lanes>
static void packPanelsOfRows(const MatrixPacking &m) {
  int64_t lanes = laneCount<Lanes>(m.columns), depth = laneCount<Lanes>(m.depth);
  packPanels<Lanes>(panelCount(m.rows), depth, m.packed,
                    [&](int64_t panel, int64_t lane, int64_t count, float *target) {
    int64_t first = panel * kPanel, there = std::clamp<int64_t>(lanes - lane, 0, count);
    packPanelOfRows(std::min<int64_t>(kPanel, m.rows - first), there, target,
                    [&](int r, int64_t k) { return scaledLanes<Lanes>(m, first + r, lane + k); });
    std::fill(target + there * kPanel, target + count * kPanel, 0.0f);
  });
}

/// [rows, columns] to panels [depth][kPanel] of kPanel columns, zeros where there are no more. Rows are read
/// whole: memory gives long runs twice as fast as one line of each row.
template <typename Lanes>
static void packPanelsOfColumns(const MatrixPacking &m) {
  constexpr int64_t kRowsAtOnce = 32;
  int64_t half = halfOf(m.depth) * kPanel;
  parallelFor((m.depth + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t i) {
    int64_t end = std::min(m.depth, (i + 1) * kRowsAtOnce);
    for (int64_t row = i * kRowsAtOnce; row < end; row += Lanes::kGroup) {
      float *target = m.packed + row / Lanes::kGroup * kPanel;
      for (int64_t c = 0; c < m.columns; c += Lanes::kGroup * kPanel) {
        auto at = [&](int64_t below, int64_t panel) {
          bool isThere = row + below < m.rows && c + panel * kPanel < m.columns;
          return isThere ? loadScaled<Wide>(m, row + below, c + panel * kPanel) : splat<Wide>(0);
        };
        if constexpr (isStrassen<Lanes>) {
          Wide of[kSums];
          sumsOfColumns(at(0, 0), at(0, 1), at(1, 0), at(1, 1), of);
          for (Wide sum : of) {
            store(target, sum);
            target += half;
          }
        } else {
          store(target, at(0, 0));
          target += m.depth * kPanel;
        }
      }
    }
  });
}

/// Writes tiles [lanes][kTileRows] of `rows` rows as `pack(first, height, target)` does, one after the
/// other, or what `Strassen` makes of two of them; `pack` puts each lane `kLaneStride` floats behind the last.
template <typename Lanes, typename Pack>
INLINE void packTiles(int64_t rows, int64_t lanes, float *packed, Pack pack) {
  constexpr int64_t kGroup = Lanes::kGroup;
  int64_t count = tileCount(rows, kGroup), half = tileStride(halfOf(lanes)), size = lanes * kTileRows;
  parallelParts(count / kGroup, 8, [&](int64_t begin, int64_t end) {
    auto apart = [&] { return Scratch::ofThread().floats(6, 2 * lanes * kUnsummed + kWidth); };
    for (int64_t i = begin * kGroup; i < end * kGroup; ++i) {
      int64_t first = tileStart(rows, count, i, kGroup);
      int64_t height = tileStart(rows, count, i + 1, kGroup) - first;
      if constexpr (isStrassen<Lanes>) {
        float *pair = apart(), *single = pair + i % 2 * lanes * kUnsummed;
        pack(first, height, single);
        if (i % 2 == 1) sumTiles(pair, single, lanes, packed + i / 2 * kSums * half, half);
      } else if (i + 1 == end && end < count) {
        // Behind this tile's end begins another thread's.
        pack(first, height, apart());
        std::copy_n(apart(), size, packed + i * size);
      } else {
        pack(first, height, packed + i * size);
      }
    }
  });
}

/// [rows, columns] to tiles [lanes][kTileRows] of nearly as many rows each.
template <typename Lanes>
static void packTilesOfRows(const MatrixPacking &m) {
  int64_t lanes = laneCount<Lanes>(m.columns);
  packTiles<Lanes>(m.rows, lanes, m.packed, [&](int64_t first, int64_t height, float *target) {
    packColumns<kLaneStride<Lanes>>(height, lanes, target,
                                    [&](int r, int64_t k) { return scaledLanes<Lanes>(m, first + r, k); });
  });
}

/// [rows, columns] to tiles [rows][kTileRows] of nearly as many columns each.
static void packTilesOfColumns(const MatrixPacking &m) {
  packTiles<Singles>(m.columns, m.rows, m.packed, [&](int64_t first, int64_t height, float *target) {
    for (int64_t row = 0; row < m.rows; ++row) {
      for (int r = 0; r < kTileRows; r += kWidth) {
        Vec v = first + r < m.columns ? loadScaled(m, row, first + r) : splat(0);
        store(target + row * kTileRows + r, v);
      }
    }
  });
}
