// Weights in the order in which products read them.
// No include guard: included once for each kind of processor, after Product.h.

static int64_t panelsSize(int64_t rows, int64_t depth) { return padded(rows) * depth; }

static int64_t tilesSize(int64_t rows, int64_t depth) {
  return tileCount(rows) * depth * kTileRows;
}

/// [rows, depth] to panels [depth][kPanel] of kPanel rows, zeros where there are no more.
static void packPanels(const float *weight, int64_t rows, int64_t depth, float *packed) {
  parallelFor(panelCount(rows), [&](int64_t panel) {
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      int64_t row = panel * kPanel + lane;
      float *target = packed + panel * depth * kPanel + lane;
      for (int64_t k = 0; k < depth; ++k) {
        target[k * kPanel] = row < rows ? weight[row * depth + k] : 0;
      }
    }
  });
}

/// [rows, depth] to tiles [depth][kTileRows] of nearly as many rows each.
static void packTiles(const float *weight, int64_t rows, int64_t depth, float *packed) {
  int64_t count = tileCount(rows);
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = tileStart(rows, count, i), height = tileStart(rows, count, i + 1) - first;
    float *tile = packed + i * depth * kTileRows;
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t r = 0; r < kTileRows; ++r) {
        tile[k * kTileRows + r] = r < height ? weight[(first + r) * depth + k] : 0;
      }
    }
  }
}
