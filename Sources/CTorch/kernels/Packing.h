// Weights in the order in which products read them.
// No include guard: included once for each kind of processor, after Product.h.

template <typename Lanes>
static int64_t panelsSize(int64_t rows, int64_t depth) {
  return padded(rows) * laneCount<Lanes>(depth);
}

/// With room behind the last tile, where `packColumns` writes a little too much.
template <typename Lanes>
static int64_t tilesSize(int64_t rows, int64_t depth) {
  return tileCount(rows) * laneCount<Lanes>(depth) * kTileRows + kWidth;
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

/// Loads a scaled row of the matrix at column k; zeros behind its end.
INLINE Vec loadScaled(const MatrixPacking &m, int64_t row, int64_t k) {
  auto read = [&](const float *p) {
    return k + kWidth <= m.columns ? load(p) : loadFirst(p, m.columns - k);
  };
  Vec v = read(m.matrix + row * m.columns + k);
  if (m.columnScale) v *= read(m.columnScale + k);
  if (m.rowScale) v *= splat(m.rowScale[row]);
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
  parallelFor(panelCount(m.rows), [&](int64_t panel) {
    int64_t first = panel * kPanel;
    float *target = m.packed + panel * depth * kPanel;
    packPanelOfRows(std::min<int64_t>(kPanel, m.rows - first), lanes, target,
                    [&](int r, int64_t k) { return scaledLanes<Lanes>(m, first + r, k); });
    std::fill(target + lanes * kPanel, target + depth * kPanel, 0.0f);
  });
}

/// [rows, columns] to panels [depth][kPanel] of kPanel columns, zeros where there are no more.
static void packPanelsOfColumns(const MatrixPacking &m) {
  parallelFor(panelCount(m.columns), [&](int64_t panel) {
    float *target = m.packed + panel * m.depth * kPanel;
    for (int64_t row = 0; row < m.rows; ++row) {
      for (int half = 0; half < kPanel; half += kWidth) {
        int64_t c = panel * kPanel + half;
        store(target + row * kPanel + half, c < m.columns ? loadScaled(m, row, c) : splat(0));
      }
    }
    std::fill(target + m.rows * kPanel, target + m.depth * kPanel, 0.0f);
  });
}

/// [rows, columns] to tiles [lanes][kTileRows] of nearly as many rows each.
template <typename Lanes>
static void packTilesOfRows(const MatrixPacking &m) {
  int64_t count = tileCount(m.rows), lanes = laneCount<Lanes>(m.columns);
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = tileStart(m.rows, count, i), height = tileStart(m.rows, count, i + 1) - first;
    packColumns(height, lanes, m.packed + i * lanes * kTileRows,
                [&](int r, int64_t k) { return scaledLanes<Lanes>(m, first + r, k); });
  }
}

/// [rows, columns] to tiles [rows][kTileRows] of nearly as many columns each.
static void packTilesOfColumns(const MatrixPacking &m) {
  int64_t count = tileCount(m.columns);
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = tileStart(m.columns, count, i);
    float *tile = m.packed + i * m.rows * kTileRows;
    for (int64_t row = 0; row < m.rows; ++row) {
      for (int r = 0; r < kTileRows; r += kWidth) {
        int64_t c = first + r;
        store(tile + row * kTileRows + r, c < m.columns ? loadScaled(m, row, c) : splat(0));
      }
    }
  }
}
