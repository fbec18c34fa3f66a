// Token mixing: one or two linear layers over the columns of each matrix of a batch, which lie where
// they are. No include guard: included once for each kind of processor, after ColumnPanels.h.

/// Writes a panel of numbers [depth][kPanel] as one of `Pairs`.
static void packPairs(const float *panel, int64_t depth, float *pairs) {
  for (int64_t k = 0; k < depth; k += 2) {
    for (int half = 0; half < kPanel; half += kWidth) {
      const float *p = panel + k * kPanel + half;
      Vec second = k + 1 < depth ? load(p + kPanel) : splat(0);
      store(pairs + k / 2 * kPanel + half, Pairs::across(load(p), second));
    }
  }
}

/// A part of the rows of a result: the `part`-th of `parts`, in whole tiles.
struct RowPart {
  int64_t part = 0, parts = 1;
};

/// `results` [rows][kPanel] = W . panel, for W packed in tiles [lanes][kTileRows] and a panel of which only
/// the first `columns` matter if these are fewer than it has; calls `prepare(first row, rows)` before
/// and `finish(first row, rows, tile)` after the last product of each tile.
template <typename Lanes = Singles, typename Prepare, typename Finish>
INLINE void multiplyPanel(const float *weight, int64_t rows, int64_t lanes, const float *panel,
                          int64_t columns, float *results, Prepare prepare, Finish finish,
                          RowPart of = {}) {
  int64_t count = tileCount(rows), parts = (lanes + kDepth - 1) / kDepth;
  int64_t firstTile = count * of.part / of.parts, endTile = count * (of.part + 1) / of.parts;
  for (int64_t part = 0; part < parts; ++part) {
    int64_t start = lanes * part / parts, end = lanes * (part + 1) / parts;
    for (int64_t i = firstTile; i < endTile; ++i) {
      int64_t first = tileStart(rows, count, i);
      int height = static_cast<int>(tileStart(rows, count, i + 1) - first);
      float *tile = results + first * kPanel;
      if (part + 1 == parts) prepare(first, height);
      productOf<Lanes>(height, columns)(weight + (i * lanes + start) * kTileRows,
                                        panel + start * kPanel, end - start, tile, part > 0,
                                        weight + (i * lanes + end) * kTileRows);
      if (part + 1 == parts) finish(first, height, tile);
    }
  }
}

/// Adds the bias to a tile of hidden numbers [rows][kPanel], keeps them if asked for, and activates
/// them.
static void finishHidden(const CTColumnMix &mix, int64_t matrix, int64_t first, int rows,
                         int64_t column, float *tile) {
  int64_t panel = matrix * panelCount(mix.channels) + column / kPanel;
  float *kept =
      mix.preactivation ? mix.preactivation + (panel * mix.hidden + first) * kPanel : nullptr;
  for (int r = 0; r < rows; ++r) {
    Wide h = load<Wide>(tile + r * kPanel) + splat<Wide>(mix.hiddenBias[first + r]);
    if (kept) store(kept + r * kPanel, h);
    store(tile + r * kPanel, activate(mix.hiddenActivation, h));
  }
}

/// Fetches what `finishTileOfColumns` will read and write.
INLINE void fetchColumns(const CTColumnMix &mix, int64_t matrix, int64_t first, int rows, int64_t c) {
  auto fetchFrom = [&](const float *p, int64_t batchStride, int64_t stride) {
    if (p) fetch(p + matrix * batchStride + first * stride + c, stride, rows);
  };
  fetchFrom(mix.y, mix.yBatchStride, mix.yStride);
  fetchFrom(mix.gate, mix.gateBatchStride, mix.gateStride);
  fetchFrom(mix.residual, mix.residualBatchStride, mix.residualStride);
  fetchFrom(mix.ungated, mix.rows * mix.channels, mix.channels);
}

/// Writes a tile of results to where they belong: `(y + bias)`, activated, scaled, times the gate, plus
/// the residual.
static void finishTileOfColumns(const CTColumnMix &mix, int64_t matrix, int64_t first, int rows,
                                int64_t column, const float *tile) {
  int64_t count = mix.channels - column;
  Wide scale = mix.resultScale ? loadUpTo<Wide>(mix.resultScale + column, count) : splat<Wide>(1);
  for (int r = 0; r < rows; ++r) {
    int64_t row = first + r;
    auto at = [&](int64_t batchStride, int64_t stride) {
      return matrix * batchStride + row * stride + column;
    };
    Wide y = load<Wide>(tile + r * kPanel);
    if (mix.bias) y += splat<Wide>(mix.bias[row]);
    y = activate(mix.activation, y) * scale;
    if (mix.factors) y *= splat<Wide>(mix.factors[matrix]);
    if (mix.ungated) storeUpTo(mix.ungated + at(mix.rows * mix.channels, mix.channels), y, count);
    if (mix.gate) y *= loadUpTo<Wide>(mix.gate + at(mix.gateBatchStride, mix.gateStride), count);
    if (mix.residual) {
      y += loadUpTo<Wide>(mix.residual + at(mix.residualBatchStride, mix.residualStride), count);
    }
    storeUpTo(mix.y + at(mix.yBatchStride, mix.yStride), y, count);
  }
}

/// kPanel columns of one matrix, packed as numbers [depth][kPanel], as pairs too if those are not null.
struct PackedColumns {
  int64_t matrix, column;
  const float *numbers, *pairs;
};

/// A layer on packed columns: `results` [rows][kPanel], all of them where it is of bytes.
template <typename Prepare, typename Finish>
INLINE void layerOfColumns(const CTColumnMix &mix, const float *weight, const CTByteWeight &bytes,
                           int64_t rows, int64_t depth, const PackedColumns &of, float *results,
                           Scratch &scratch, RowPart part, Prepare prepare, Finish finish) {
  int64_t columns = mix.channels - of.column;
  if (bytes.values) {
    BytePanel packed = bytePanel(scratch, 5, depth);
    packBytePanel(of.numbers, depth, bytes, packed);
    multiplyBytePanel(bytes, rows, depth, packed, results, finish);
  } else if (mix.bfloat16) {
    int64_t lanes = laneCount<Pairs>(depth);
    const float *pairs = of.pairs;
    if (pairs == nullptr) {
      float *own = scratch.floats(5, lanes * kPanel);
      packPairs(of.numbers, depth, own);
      pairs = own;
    }
    multiplyPanel<Pairs>(weight, rows, lanes, pairs, columns, results, prepare, finish, part);
  } else {
    multiplyPanel(weight, rows, depth, of.numbers, columns, results, prepare, finish, part);
  }
}

/// A part of the hidden numbers [hidden][kPanel] of some columns.
static void hideColumns(const CTColumnMix &mix, const PackedColumns &of, float *hidden,
                        Scratch &scratch, RowPart part = {}) {
  layerOfColumns(
      mix, mix.hiddenWeight, mix.hiddenBytes, mix.hidden, mix.tokens, of, hidden, scratch, part,
      [](int64_t, int) {},
      [&](int64_t first, int rows, float *tile) {
        finishHidden(mix, of.matrix, first, rows, of.column, tile);
      });
}

/// A part of the results of some columns, which are the hidden ones if there is a hidden layer.
static void finishColumns(const CTColumnMix &mix, const PackedColumns &of, Scratch &scratch,
                          RowPart part = {}) {
  layerOfColumns(
      mix, mix.weight, mix.weightBytes, mix.rows, mix.hidden > 0 ? mix.hidden : mix.tokens, of,
      scratch.floats(1, mix.rows * kPanel), scratch, part,
      [&](int64_t first, int rows) { fetchColumns(mix, of.matrix, first, rows, of.column); },
      [&](int64_t first, int rows, const float *tile) {
        finishTileOfColumns(mix, of.matrix, first, rows, of.column, tile);
      });
}

/// All results of a panel [tokens][kPanel] of columns.
static void mixPanel(const CTColumnMix &mix, int64_t matrix, int64_t column, const float *panel,
                     Scratch &scratch) {
  PackedColumns of = {matrix, column, panel, nullptr};
  if (mix.hidden > 0) {
    float *hidden = scratch.floats(2, mix.hidden * kPanel);
    hideColumns(mix, of, hidden, scratch);
    of.numbers = hidden;
  }
  finishColumns(mix, of, scratch);
}

/// Mean and scale of a whole matrix, from those of its rows: the mean of the rows' means, and the mean
/// of their variances plus the variance of their means.
static void combineMoments(const CTColumnMix &mix, Moments *of) {
  double total = 0, squares = 0;
  for (int64_t s = 0; s < mix.tokens; ++s) total += of[s].mean;
  double mean = total / static_cast<double>(mix.tokens);
  for (int64_t s = 0; s < mix.tokens; ++s) {
    squares += 1 / (static_cast<double>(of[s].scale) * of[s].scale) +
               (of[s].mean - mean) * (of[s].mean - mean);
  }
  double variance = squares / static_cast<double>(mix.tokens);
  float scale = static_cast<float>(1 / std::sqrt(variance + mix.epsilon));
  std::fill(of, of + mix.tokens, Moments{static_cast<float>(mean), scale});
}

static void mixColumns(const CTColumnMix &mix) {
  int64_t panels = panelCount(mix.channels), threads = at::get_num_threads();
  bool normalizes = mix.normalization != CT_NO_NORM;
  bool combines = mix.normalization == CT_MATRIX_NORM;
  auto rowMoments = [&](int64_t matrix, int64_t s) {
    const float *x = mix.x + matrix * mix.xBatchStride;
    return moments(x + s * mix.xStride, mix.channels, combines ? 0 : mix.epsilon);
  };
  if (mix.batch % threads == 0 || mix.batch >= 8 * threads) {
    parallelFor(mix.batch, [&](int64_t matrix) {
      Scratch &scratch = Scratch::ofThread();
      auto of = mix.moments ? reinterpret_cast<Moments *>(mix.moments) + matrix * mix.tokens
                            : reinterpret_cast<Moments *>(scratch.floats(3, 2 * mix.tokens));
      for (int64_t s = 0; s < mix.tokens && normalizes; ++s) of[s] = rowMoments(matrix, s);
      if (combines) combineMoments(mix, of);
      float *panel = scratch.floats(0, mix.tokens * kPanel);
      for (int64_t c = 0; c < mix.channels; c += kPanel) {
        packPanel(mix, mix.x + matrix * mix.xBatchStride, normalizes ? of : nullptr, c, panel);
        mixPanel(mix, matrix, c, panel, scratch);
      }
    });
    return;
  }
  // Few matrices: the threads share each of them. Panels that do not come out even are shared too, each
  // thread computing some rows of their results: all of them where there are few, of one layer.
  int64_t firstShared = panels;
  if (mix.weightBytes.values == nullptr && tileCount(mix.rows) >= threads) {
    if (mix.hidden > 0) {
      firstShared = mix.channels / kPanel / threads * threads;
    } else if (mix.channels % (kPanel * threads) != 0 && panels < 16 * threads) {
      firstShared = 0;
    }
  }
  int64_t shared = panels - firstShared, panelSize = mix.tokens * kPanel;
  int64_t hiddenSize = mix.hidden * kPanel;
  int64_t pairsSize = mix.bfloat16 ? laneCount<Pairs>(mix.tokens) * kPanel : 0;
  Scratch &common = Scratch::ofThread();
  auto rows = reinterpret_cast<Moments *>(common.floats(4, 2 * mix.tokens));
  float *numbers = common.floats(3, shared * (panelSize + hiddenSize + pairsSize));
  float *hidden = numbers + shared * panelSize, *pairs = hidden + shared * hiddenSize;
  for (int64_t matrix = 0; matrix < mix.batch; ++matrix) {
    Moments *of =
        mix.moments ? reinterpret_cast<Moments *>(mix.moments) + matrix * mix.tokens : rows;
    if (normalizes) {
      parallelFor((mix.tokens + kRowChunk - 1) / kRowChunk, [&](int64_t chunk) {
        int64_t end = std::min(mix.tokens, (chunk + 1) * kRowChunk);
        for (int64_t s = chunk * kRowChunk; s < end; ++s) of[s] = rowMoments(matrix, s);
      });
      if (combines) combineMoments(mix, of);
    }
    auto pack = [&](int64_t panel, float *to) {
      packPanel(mix, mix.x + matrix * mix.xBatchStride, normalizes ? of : nullptr, panel * kPanel, to);
    };
    parallelFor(panels, [&](int64_t panel) {
      if (panel < firstShared) {
        Scratch &scratch = Scratch::ofThread();
        float *packed = scratch.floats(0, panelSize);
        pack(panel, packed);
        mixPanel(mix, matrix, panel * kPanel, packed, scratch);
      } else {
        int64_t i = panel - firstShared;
        pack(panel, numbers + i * panelSize);
        if (mix.bfloat16) packPairs(numbers + i * panelSize, mix.tokens, pairs + i * pairsSize);
      }
    });
    auto forParts = [&](auto work) {
      parallelFor(shared * threads, [&](int64_t task) {
        int64_t i = task / threads;
        work(i,
             PackedColumns{matrix, (firstShared + i) * kPanel, numbers + i * panelSize,
                           mix.bfloat16 ? pairs + i * pairsSize : nullptr},
             RowPart{task % threads, threads});
      });
    };
    if (mix.hidden > 0) {
      forParts([&](int64_t i, const PackedColumns &of, RowPart part) {
        hideColumns(mix, of, hidden + i * hiddenSize, Scratch::ofThread(), part);
      });
    }
    forParts([&](int64_t i, PackedColumns of, RowPart part) {
      if (mix.hidden > 0) {
        of.numbers = hidden + i * hiddenSize;
        of.pairs = nullptr;
      }
      finishColumns(mix, of, Scratch::ofThread(), part);
    });
  }
}
