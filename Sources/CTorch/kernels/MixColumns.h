// Token mixing: one or two linear layers over the columns of each matrix of a batch, which lie where
// they are. No include guard: included once for each kind of processor, after MixRowBytes.h.

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

/// A panel of columns that a product takes, or two for `Strassen`, and how many columns matter in them.
struct ColumnGroup {
  int64_t column, panels, columns;
};

/// How many groups `columns` columns make. Where the last of two panels has so few that a narrow product
/// does, both stay single, which costs less than seven whole products.
template <typename Lanes>
INLINE int64_t columnGroupCount(int64_t columns) {
  int64_t panels = panelCount(columns), last = columns - (panels - 1) * kPanel;
  if (!isStrassen<Lanes>) return panels;
  return panels % 2 == 0 && last <= kWidth ? panels / 2 + 1 : (panels + 1) / 2;
}

template <typename Lanes>
INLINE ColumnGroup columnGroup(int64_t columns, int64_t i) {
  int64_t panels = panelCount(columns), count = columnGroupCount<Lanes>(columns);
  // Groups of two come first; a panel more than groups is one of them.
  int64_t pairs = panels - count, first = std::min(i, pairs) * 2 + std::max<int64_t>(i - pairs, 0);
  int64_t column = first * kPanel, here = i < pairs ? 2 : 1;
  return {column, here, std::min(columns - column, here * kPanel)};
}

/// Numbers [panels of the group][depth][kPanel], each panel `stride` floats from the last.
struct PanelNumbers {
  float *numbers;
  int64_t stride;
};

/// Room for numbers with `depth` rows, and a tile more behind them.
template <typename Lanes>
INLINE int64_t numbersSize(int64_t depth) { return Lanes::kGroup * (depth + kTileRows) * kPanel; }

INLINE PanelNumbers panelNumbers(float *memory, int64_t depth) {
  return {memory, (depth + kTileRows) * kPanel};
}

/// Room for what products read in the place of numbers.
template <typename Lanes>
INLINE int64_t lanesSize(int64_t depth) {
  if (isStrassen<Lanes>) return kSums * halfOf(depth) * kPanel;
  return Lanes::kNumbers > 1 ? laneCount<Lanes>(depth) * kPanel : 0;
}

/// Numbers as products read them; `lanes` has room for that.
template <typename Lanes>
INLINE const float *packLanes(const PanelNumbers &of, int64_t depth, int64_t panels, float *lanes) {
  if constexpr (isStrassen<Lanes>) {
    sumPanels(of.numbers, panels > 1 ? of.numbers + of.stride : nullptr, depth, lanes,
              halfOf(depth) * kPanel);
  } else if constexpr (Lanes::kNumbers > 1) {
    packPairs(of.numbers, depth, lanes);
  } else {
    return of.numbers;
  }
  return lanes;
}

/// How many tiles of rows of results `Strassen` computes at once, so that they stay in the first cache.
constexpr int64_t kRowTilesAtOnce = 16;

/// `results` [rows][kPanel] = W . panel, for W packed in tiles and each panel of the group; calls
/// `prepare(first row, rows, panel)` before and `finish(first row, rows, panel, tile)` after the last product
/// of each tile.
template <typename Lanes, typename Prepare, typename Finish>
INLINE void multiplyPanels(const float *weight, int64_t rows, int64_t depth, const float *panel,
                           const ColumnGroup &group, PanelNumbers results, Prepare prepare,
                           Finish finish, RowPart of = {}) {
  constexpr int kGroup = Lanes::kGroup;
  int64_t count = tileCount(rows, kGroup), groups = count / kGroup;
  int64_t firstTile = groups * of.part / of.parts * kGroup;
  int64_t endTile = groups * (of.part + 1) / of.parts * kGroup;
  int64_t lanes = isStrassen<Lanes> ? halfOf(depth) : laneCount<Lanes>(depth);
  int64_t parts = partCount(lanes);
  auto start = [&](int64_t i) { return tileStart(rows, count, i, kGroup); };
  auto height = [&](int64_t i) { return static_cast<int>(start(i + 1) - start(i)); };
  auto result = [&](int64_t i, int64_t p) {
    return results.numbers + p * results.stride + start(i) * kPanel;
  };
  for (int64_t part = 0; part < parts; ++part) {
    int64_t begin = partStart(lanes, part), end = partStart(lanes, part + 1);
    bool isLast = part + 1 == parts;
    if constexpr (isStrassen<Lanes>) {
      int64_t stride = tileStride(lanes);
      for (int64_t block = firstTile; block < endTile; block += kRowTilesAtOnce) {
        int64_t blockEnd = std::min(endTile, block + kRowTilesAtOnce);
        for (const StrassenStep &step : strassenSteps(group.panels)) {
          for (int64_t i = block; i < blockEnd; i += 2) {
            const float *tile = weight + (i / 2 * kSums + step.m) * stride;
            auto target = [&](int which) { return result(i + which / 2, which % 2); };
            for (int which = 0; which < 4 && isLast && step.m == kSums - 1; ++which) {
              int64_t row = i + which / 2, p = which % 2;
              if (p < group.panels) prepare(start(row), height(row), p);
            }
            productOf(step, height(i), group.columns)(
                tile + begin * kTileRows, panel + (step.m * lanes + begin) * kPanel, end - begin,
                target(step.first), part > 0 || !step.beginsFirst, target(step.second),
                part > 0 || !step.beginsSecond, tile + kSums * stride + begin * kTileRows);
          }
        }
        for (int64_t i = block; i < blockEnd && isLast; ++i) {
          for (int64_t p = 0; p < group.panels; ++p) finish(start(i), height(i), p, result(i, p));
        }
      }
    } else {
      for (int64_t i = firstTile; i < endTile; ++i) {
        if (isLast) prepare(start(i), height(i), 0);
        productOf<Lanes>(height(i), group.columns)(weight + (i * lanes + begin) * kTileRows,
                                                   panel + begin * kPanel, end - begin,
                                                   result(i, 0), part > 0, nullptr, false,
                                                   weight + (i * lanes + end) * kTileRows);
        if (isLast) finish(start(i), height(i), 0, result(i, 0));
      }
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
    if (kept) streamUpTo(kept + r * kPanel, h, kPanel);
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

/// Writes results of a row from a column on, as many as the vector has, or `count` if that is less, to where they
/// belong: `(y + bias)`, activated, scaled, times the gate, plus the residual, and activated.
INLINE void finishRowOfColumns(const CTColumnMix &mix, int64_t matrix, int64_t row, int64_t column,
                               int64_t count, Wide y) {
  auto at = [&](int64_t batchStride, int64_t stride) {
    return matrix * batchStride + row * stride + column;
  };
  if (mix.bias) y += splat<Wide>(mix.bias[row]);
  y = activate(mix.activation, y);
  if (mix.resultScale) y *= loadUpTo<Wide>(mix.resultScale + column, count);
  if (mix.factors) y *= splat<Wide>(mix.factors[matrix]);
  if (mix.ungated) storeUpTo(mix.ungated + at(mix.rows * mix.channels, mix.channels), y, count);
  if (mix.gate) y *= loadUpTo<Wide>(mix.gate + at(mix.gateBatchStride, mix.gateStride), count);
  if (mix.residual) {
    y += loadUpTo<Wide>(mix.residual + at(mix.residualBatchStride, mix.residualStride), count);
  }
  storeUpTo(mix.y + at(mix.yBatchStride, mix.yStride), activate(mix.sumActivation, y), count);
}

/// The same for a tile of results.
static void finishTileOfColumns(const CTColumnMix &mix, int64_t matrix, int64_t first, int rows,
                                int64_t column, const float *tile) {
  for (int r = 0; r < rows; ++r) {
    finishRowOfColumns(mix, matrix, first + r, column, mix.channels - column,
                       load<Wide>(tile + r * kPanel));
  }
}

/// A group of columns of one matrix, packed as numbers, and as what products read if that is not null.
struct PackedColumns {
  int64_t matrix;
  ColumnGroup group;
  PanelNumbers numbers;
  const float *lanes;
};

/// A layer on packed columns: all results where it is of bytes.
template <typename Lanes, typename Prepare, typename Finish>
INLINE void layerOfColumns(const float *weight, const CTByteWeight &bytes, int64_t rows, int64_t depth,
                           const PackedColumns &of, const PanelNumbers &results, Scratch &scratch,
                           RowPart part, Prepare prepare, Finish finish) {
  if (bytes.values) {
    BytePanel packed = bytePanel(scratch, 5, depth);
    packBytePanel(of.numbers.numbers, depth, bytes, packed);
    multiplyBytePanel(bytes, rows, depth, packed, results.numbers,
                      [&](int64_t first, int height, float *tile) { finish(first, height, 0, tile); });
    return;
  }
  const float *lanes = of.lanes;
  if (lanes == nullptr) {
    lanes = packLanes<Lanes>(of.numbers, depth, of.group.panels,
                             scratch.floats(5, lanesSize<Lanes>(depth)));
  }
  multiplyPanels<Lanes>(weight, rows, depth, lanes, of.group, results, prepare, finish, part);
}

/// A part of the hidden numbers of some columns.
template <typename Lanes>
static void hideColumns(const CTColumnMix &mix, const PackedColumns &of, const PanelNumbers &hidden,
                        Scratch &scratch, RowPart part = {}) {
  layerOfColumns<Lanes>(
      mix.hiddenWeight, mix.hiddenBytes, mix.hidden, mix.tokens, of, hidden, scratch, part,
      [](int64_t, int, int64_t) {},
      [&](int64_t first, int rows, int64_t panel, float *tile) {
        finishHidden(mix, of.matrix, first, rows, of.group.column + panel * kPanel, tile);
      });
}

/// A part of the results of some columns, which are the hidden ones if there is a hidden layer.
template <typename Lanes>
static void finishColumns(const CTColumnMix &mix, const PackedColumns &of, Scratch &scratch,
                          RowPart part = {}) {
  layerOfColumns<Lanes>(
      mix.weight, mix.weightBytes, mix.rows, mix.hidden > 0 ? mix.hidden : mix.tokens, of,
      panelNumbers(scratch.floats(1, numbersSize<Lanes>(mix.rows)), mix.rows), scratch, part,
      [&](int64_t first, int rows, int64_t panel) {
        fetchColumns(mix, of.matrix, first, rows, of.group.column + panel * kPanel);
      },
      [&](int64_t first, int rows, int64_t panel, const float *tile) {
        finishTileOfColumns(mix, of.matrix, first, rows, of.group.column + panel * kPanel, tile);
      });
}

/// All results of packed columns.
template <typename Lanes>
static void mixGroup(const CTColumnMix &mix, PackedColumns of, Scratch &scratch) {
  if (mix.hidden > 0) {
    PanelNumbers hidden = panelNumbers(scratch.floats(2, numbersSize<Lanes>(mix.hidden)), mix.hidden);
    hideColumns<Lanes>(mix, of, hidden, scratch);
    of.numbers = hidden;
  }
  finishColumns<Lanes>(mix, of, scratch);
}

template <typename Lanes>
static void mixColumns(const CTColumnMix &mix) {
  int64_t groups = columnGroupCount<Lanes>(mix.channels), threads = at::get_num_threads();
  auto pack = [&](int64_t matrix, const Moments *of, int64_t group, float *memory) {
    PackedColumns packed = {matrix, columnGroup<Lanes>(mix.channels, group),
                            panelNumbers(memory, mix.tokens), nullptr};
    for (int64_t p = 0; p < packed.group.panels; ++p) {
      packPanel(mix, mix.x + matrix * mix.xBatchStride, normalizes(mix) ? of : nullptr,
                packed.group.column + p * kPanel, memory + p * packed.numbers.stride);
    }
    return packed;
  };
  int64_t numbersHere = numbersSize<Lanes>(mix.tokens);
  if (hasManyMatrices(mix.batch)) {
    parallelFor(mix.batch, [&](int64_t matrix) {
      Scratch &scratch = Scratch::ofThread();
      auto of = mix.moments ? reinterpret_cast<Moments *>(mix.moments) + matrix * mix.tokens
                            : reinterpret_cast<Moments *>(scratch.floats(3, 2 * rowCount(mix)));
      if (normalizes(mix)) momentsOfMatrix(mix, matrix, of);
      float *memory = scratch.floats(0, numbersHere);
      for (int64_t i = 0; i < groups; ++i) mixGroup<Lanes>(mix, pack(matrix, of, i, memory), scratch);
    });
    return;
  }
  // Few matrices: the threads share each of them. Groups that do not come out even are shared too, each
  // thread computing some rows of their results: all of them where there are few, of one layer.
  int64_t firstShared = groups;
  int64_t parts = tileCount(mix.rows, Lanes::kGroup) / Lanes::kGroup;
  if (mix.weightBytes.values == nullptr && parts >= threads) {
    int64_t whole = groups - (mix.channels % (Lanes::kGroup * kPanel) != 0);
    if (mix.hidden > 0) {
      firstShared = whole / threads * threads;
    } else if (whole != groups || groups % threads != 0) {
      if (groups < 16 * threads) firstShared = 0;
    }
  }
  int64_t shared = groups - firstShared, lanesHere = lanesSize<Lanes>(mix.tokens);
  int64_t hiddenSize = mix.hidden > 0 ? numbersSize<Lanes>(mix.hidden) : 0;
  Scratch &common = Scratch::ofThread();
  auto rows = reinterpret_cast<Moments *>(common.floats(4, 2 * rowCount(mix)));
  float *numbers = common.floats(3, shared * (numbersHere + hiddenSize + lanesHere));
  float *hidden = numbers + shared * numbersHere, *lanes = hidden + shared * hiddenSize;
  for (int64_t matrix = 0; matrix < mix.batch; ++matrix) {
    Moments *of =
        mix.moments ? reinterpret_cast<Moments *>(mix.moments) + matrix * mix.tokens : rows;
    if (normalizes(mix)) momentsOfMatrixByAll(mix, matrix, of);
    std::vector<PackedColumns> packed(shared);
    parallelFor(groups, [&](int64_t group) {
      Scratch &scratch = Scratch::ofThread();
      if (group < firstShared) {
        mixGroup<Lanes>(mix, pack(matrix, of, group, scratch.floats(0, numbersHere)), scratch);
      } else {
        int64_t i = group - firstShared;
        packed[i] = pack(matrix, of, group, numbers + i * numbersHere);
        packed[i].lanes = packLanes<Lanes>(packed[i].numbers, mix.tokens, packed[i].group.panels,
                                           lanes + i * lanesHere);
      }
    });
    auto forParts = [&](auto work) {
      parallelFor(shared * threads, [&](int64_t task) {
        work(task % shared, RowPart{task / shared, threads});
      });
    };
    if (mix.hidden > 0) {
      forParts([&](int64_t i, RowPart part) {
        hideColumns<Lanes>(mix, packed[i], panelNumbers(hidden + i * hiddenSize, mix.hidden),
                           Scratch::ofThread(), part);
      });
    }
    forParts([&](int64_t i, RowPart part) {
      PackedColumns columns = packed[i];
      if (mix.hidden > 0) {
        columns.numbers = panelNumbers(hidden + i * hiddenSize, mix.hidden);
        columns.lanes = nullptr;
      }
      finishColumns<Lanes>(mix, columns, Scratch::ofThread(), part);
    });
  }
}

/// As channel mixing, whose rows the columns are.
static void mixTurned(const CTColumnMix &mix) {
  Moments *of = nullptr;
  if (normalizes(mix)) {
    int64_t count = rowCount(mix);
    of = reinterpret_cast<Moments *>(Scratch::ofThread().floats(4, 2 * mix.batch * count));
    if (hasManyMatrices(mix.batch)) {
      parallelFor(mix.batch, [&](int64_t i) { momentsOfMatrix(mix, i, of + i * count); });
    } else {
      for (int64_t i = 0; i < mix.batch; ++i) momentsOfMatrixByAll(mix, i, of + i * count);
    }
  }
  TurnedColumns columns = {mix, of};
  RowMix rows = {{.rows = mix.batch * mix.channels, .depth = mix.tokens, .hidden = mix.hidden,
                  .columns = mix.rows}};
  rows.hiddenWeight = mix.hiddenWeight;
  rows.hiddenBias = mix.hiddenBias;
  rows.hiddenActivation = mix.hiddenActivation;
  rows.weight = mix.weight;
  rows.bfloat16 = mix.bfloat16;
  rows.strassen = mix.strassen;
  rows.bias = mix.bias;
  rows.activation = mix.activation;
  rows.source = rows.target = &columns;
  mixRows(rows);
}

/// As minimal filtering; in Winograd.h.
static void convolveMaps(const CTColumnMix &mix);

static void mixColumns(const CTColumnMix &mix) {
  if (mix.winograd) return convolveMaps(mix);
  if (mix.turned) return mixTurned(mix);
  if (mix.bfloat16) return mixColumns<Pairs>(mix);
  mix.strassen ? mixColumns<Strassen>(mix) : mixColumns<Singles>(mix);
}
