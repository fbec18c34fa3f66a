// Channel mixing: one or two linear layers over the rows of a matrix, with everything between.
// No include guard: included once for each kind of processor, after TurnedColumns.h.

/// Rows that one thread takes at once, as tiles whose heights are nearly equal.
class RowTiles {
 public:
  static constexpr int64_t kMost = 40;

  const int64_t first, count;

  /// - rows: at most kMost * kTileRows.
  RowTiles(int64_t first, int64_t rows) : RowTiles(first, rows, tileCount(rows), 1, 0, tileCount(rows)) {}

  /// From the `begin`-th to before the `end`-th of the pairs of tiles that make `rows` rows.
  static RowTiles ofPairs(int64_t rows, int64_t begin, int64_t end) {
    return RowTiles(0, rows, 2 * pairCount(rows), 2, 2 * begin, 2 * end);
  }

  /// How many pairs of tiles `rows` rows make, whatever the number of threads: which rows are added to which
  /// must not depend on that. A multiple of four, where that is but a few more, comes out even for two or four
  /// threads.
  static int64_t pairCount(int64_t rows) {
    int64_t pairs = tileCount(rows, 2) / 2;
    return pairs >= 8 ? (pairs + 3) / 4 * 4 : pairs;
  }

  int64_t start(int64_t i) const { return starts_[i]; }
  int height(int64_t i) const { return static_cast<int>(starts_[i + 1] - starts_[i]); }

 private:
  /// From the `begin`-th to before the `end`-th of the tiles that make `rows` rows behind `offset`.
  RowTiles(int64_t offset, int64_t rows, int64_t tiles, int group, int64_t begin, int64_t end)
      : first(offset + tileStart(rows, tiles, begin, group)), count(end - begin) {
    for (int64_t i = 0; i <= count; ++i) {
      starts_[i] = offset + tileStart(rows, tiles, begin + i, group) - first;
    }
  }

  int64_t starts_[kMost + 1];
};

/// Tiles of rows as `Lanes` reads them: each [lanes][kTileRows], or what `Strassen` makes of two.
template <typename Lanes>
struct PackedTiles {
  int64_t stride;  // floats of each, or of each of the sums
  float *tiles;

  static int64_t floats(int64_t count, int64_t lanes) {
    return isStrassen<Lanes> ? count / 2 * kSums * tileStride(halfOf(lanes)) + 2 * lanes * kUnsummed
                             : count * tileStride(lanes);
  }

  PackedTiles(Scratch &scratch, int slot, int64_t count, int64_t lanes)
      : stride(tileStride(isStrassen<Lanes> ? halfOf(lanes) : lanes)),
        tiles(scratch.floats(slot, floats(count, lanes))),
        unsummed_(tiles + count / 2 * kSums * stride), unsummedStride_(lanes * kUnsummed) {}

  /// Writes `lanes` lanes of each tile from `first` on, which is even, as `pack(i, tile)` does, where each
  /// lane is `kLaneStride` floats from the last.
  template <typename Pack>
  INLINE_MEMBER void fill(const RowTiles &rows, int64_t first, int64_t lanes, Pack pack) const {
    if (!isStrassen<Lanes>) {
      for (int64_t i = 0; i < rows.count; ++i) pack(i, tiles + i * stride + first * kTileRows);
      return;
    }
    for (int64_t i = 0; i < rows.count; i += 2) {
      pack(i, unsummed_);
      pack(i + 1, unsummed_ + unsummedStride_);
      sumTiles(unsummed_, unsummed_ + unsummedStride_, lanes,
               tiles + i / 2 * kSums * stride + first / 2 * kTileRows, stride);
    }
  }

 private:
  float *unsummed_;
  int64_t unsummedStride_;
};

/// Channel mixing of rows that may lie in columns, or of which the results belong there.
struct RowMix : CTRowMix {
  const TurnedColumns *source = nullptr, *target = nullptr;
};

/// Packs the i-th tile of the rows of `x`, normalised if asked for.
template <typename Lanes>
static void packTile(const RowMix &mix, const RowTiles &tiles, int64_t i, float *tile) {
  int64_t first = tiles.first + tiles.start(i), lanes = laneCount<Lanes>(mix.depth);
  int height = tiles.height(i);
  if (mix.source) return packTurned<Lanes>(*mix.source, first, height, tile);
  const float *x = mix.x + first * mix.xStride;
  auto at = [&](int r, int64_t k) {
    const float *p = x + r * mix.xStride + k;
    return k + kWidth <= mix.depth ? load(p) : loadFirst(p, mix.depth - k);
  };
  if (mix.normalizes) {
    Moments of[kTileRows];
    for (int r = 0; r < height; ++r) {
      of[r] = moments(x + r * mix.xStride, mix.depth, mix.epsilon);
    }
    if (mix.moments) std::memcpy(mix.moments + 2 * first, of, height * sizeof(Moments));
    packColumns<kLaneStride<Lanes>>(height, lanes, tile, [&](int r, int64_t k) {
      return Lanes::along(k, mix.depth, [&](int64_t i) {
        return (at(r, i) - splat(of[r].mean)) * splat(of[r].scale);
      });
    });
  } else {
    packColumns<kLaneStride<Lanes>>(height, lanes, tile, [&](int r, int64_t k) {
      return Lanes::along(k, mix.depth, [&](int64_t i) { return at(r, i); });
    });
  }
}

template <typename Lanes>
static void packRows(const RowMix &mix, const RowTiles &tiles, const PackedTiles<Lanes> &packed) {
  packed.fill(tiles, 0, laneCount<Lanes>(mix.depth),
              [&](int64_t i, float *tile) { packTile<Lanes>(mix, tiles, i, tile); });
}

/// A panel [lanes][kPanel] of a packed weight, or the sums that `Strassen` makes of two.
struct PackedPanel {
  const float *numbers;
  int64_t stride;  // floats of each of the sums
  int count;

  /// From the `first`-th on of its lanes, which is even.
  template <typename Lanes>
  INLINE_MEMBER static PackedPanel of(const float *weight, int64_t lanes, int64_t columns, int64_t column,
                                      int64_t first = 0) {
    if (!isStrassen<Lanes>) return {weight + (column * lanes + first * kPanel), 0, 1};
    int64_t stride = halfOf(lanes) * kPanel;
    return {weight + column / (2 * kPanel) * kSums * stride + first / 2 * kPanel, stride,
            column + kPanel < columns ? 2 : 1};
  }
};

/// The tiles of results of each tile of rows, one for each panel: [kTileRows][kPanel].
struct ResultTiles {
  float *numbers;
  int64_t stride;  // floats from one tile of rows to the next

  float *at(int64_t tile, int64_t panel = 0) const { return numbers + tile * stride + panel * kTileSize; }
};

/// results = or += tile i . panel, for all tiles, a part of K at a time. Calls `prepare(i)` before the
/// last product of each.
template <typename Lanes, typename Prepare>
INLINE void multiply(const RowTiles &tiles, const PackedTiles<Lanes> &packed, const PackedPanel &panel,
                     int64_t lanes, ResultTiles results, bool accumulates, Prepare prepare) {
  if (isStrassen<Lanes>) lanes = halfOf(lanes);
  int64_t parts = partCount(lanes);
  for (int64_t part = 0; part < parts; ++part) {
    int64_t start = partStart(lanes, part), end = partStart(lanes, part + 1);
    bool isLast = part + 1 == parts, adds = accumulates || part > 0;
    if constexpr (isStrassen<Lanes>) {
      for (const StrassenStep &step : strassenSteps(panel.count)) {
        const float *factor = panel.numbers + step.m * panel.stride + start * kPanel;
        const float *next = factor + panel.stride;
        for (int64_t i = 0; i < tiles.count; i += 2) {
          const float *share = next + (end - start) * kPanel * i / tiles.count;
          if (isLast && step.m == kSums - 1) {
            prepare(i);
            prepare(i + 1);
          }
          auto target = [&](int which) { return results.at(i + which / 2, which % 2); };
          productOf(step, tiles.height(i))(
              packed.tiles + (i / 2 * kSums + step.m) * packed.stride + start * kTileRows, factor,
              end - start, target(step.first), adds || !step.beginsFirst, target(step.second),
              adds || !step.beginsSecond, share);
        }
      }
    } else {
      const float *next = panel.numbers + end * kPanel;
      for (int64_t i = 0; i < tiles.count; ++i) {
        const float *share = next + (end - start) * kPanel * i / tiles.count;
        if (isLast) prepare(i);
        productOf<Lanes>(tiles.height(i))(packed.tiles + i * packed.stride + start * kTileRows,
                                          panel.numbers + start * kPanel, end - start,
                                          results.at(i), adds, nullptr, false, share);
      }
    }
  }
}

/// Fetches what `finishTile` will read and write.
INLINE void fetchTile(const RowMix &mix, int64_t firstRow, int rows, int64_t c) {
  if (mix.target) {
    int64_t outputs = std::min<int64_t>(kPanel, mix.columns - c);
    return fetchTurned(mix.target->mix, firstRow, rows, c, outputs);
  }
  auto row = [&](const float *p, int64_t stride) { return p ? p + firstRow * stride + c : nullptr; };
  fetch(row(mix.y, mix.yStride), mix.yStride, rows);
  fetch(row(mix.gate, mix.gateStride), mix.gateStride, rows);
  fetch(row(mix.residual, mix.residualStride), mix.residualStride, rows);
}

/// Writes a tile of results to where they belong: `(y + bias)`, activated, times the gate, times the
/// row's factor, plus the residual.
static void finishTile(const RowMix &mix, int64_t firstRow, int rows, int64_t firstColumn,
                       int64_t columns, CTActivation activation, const float *bias,
                       const float *tile) {
  Wide shift = bias ? load<Wide>(bias + firstColumn) : splat<Wide>(0);
  if (mix.target) {
    alignas(64) float finished[kTileSize];
    for (int r = 0; r < rows; ++r) {
      store(finished + r * kPanel, activate(activation, load<Wide>(tile + r * kPanel) + shift));
    }
    return finishTurned(mix.target->mix, firstRow, rows, firstColumn, columns, finished);
  }
  for (int r = 0; r < rows; ++r) {
    int64_t row = firstRow + r;
    auto read = [&](const float *p, int64_t stride) {
      return loadUpTo<Wide>(p + row * stride + firstColumn, columns);
    };
    Wide y = load<Wide>(tile + r * kPanel) + shift;
    if (mix.preactivation && mix.hidden == 0) {
      streamUpTo(mix.preactivation + row * mix.preactivationStride + firstColumn, y, columns);
    }
    y = activate(activation, y);
    if (mix.factors) y *= splat<Wide>(mix.factors[row / mix.rowsOfFactor]);
    if (mix.gate) y *= read(mix.gate, mix.gateStride);
    if (mix.residual) y += read(mix.residual, mix.residualStride);
    storeUpTo(mix.y + row * mix.yStride + firstColumn, y, columns);
  }
}

/// Calls `body(i, half)` for all tiles and for each of the panels of a group that begins at `column` of
/// `columns`.
template <typename Lanes, typename Body>
INLINE void forTiles(const RowTiles &tiles, int64_t column, int64_t columns, Body body) {
  for (int64_t i = 0; i < tiles.count; ++i) {
    for (int half = 0; half < Lanes::kGroup && column + half * kPanel < columns; ++half) body(i, half);
  }
}

/// The part-th of `parts` of the columns of one linear layer on packed rows.
template <typename Lanes>
static void linearColumns(const RowMix &mix, const RowTiles &tiles, const PackedTiles<Lanes> &packed,
                          Scratch &scratch, int64_t part, int64_t parts) {
  constexpr int64_t kColumns = Lanes::kGroup * kPanel;
  int64_t lanes = laneCount<Lanes>(mix.depth);
  ResultTiles results = {scratch.floats(1, tiles.count * Lanes::kGroup * kTileSize),
                         Lanes::kGroup * kTileSize};
  int64_t groups = (mix.columns + kColumns - 1) / kColumns, end = groups * (part + 1) / parts * kColumns;
  for (int64_t c = groups * part / parts * kColumns; c < end; c += kColumns) {
    multiply<Lanes>(tiles, packed, PackedPanel::of<Lanes>(mix.weight, lanes, mix.columns, c), lanes,
                    results, false, [&](int64_t i) {
                      for (int half = 0; half < Lanes::kGroup; ++half) {
                        fetchTile(mix, tiles.first + tiles.start(i), tiles.height(i), c + half * kPanel);
                      }
                    });
    forTiles<Lanes>(tiles, c, mix.columns, [&](int64_t i, int half) {
      int64_t column = c + half * kPanel;
      finishTile(mix, tiles.first + tiles.start(i), tiles.height(i), column,
                 std::min<int64_t>(kPanel, mix.columns - column), mix.activation, mix.bias,
                 results.at(i, half));
    });
  }
}

/// One linear layer.
template <typename Lanes>
static void linearRows(const RowMix &mix, const RowTiles &tiles, Scratch &scratch) {
  PackedTiles<Lanes> packed(scratch, 0, tiles.count, laneCount<Lanes>(mix.depth));
  packRows<Lanes>(mix, tiles, packed);
  linearColumns<Lanes>(mix, tiles, packed, scratch, 0, 1);
}

/// The product of rows with a packed weight of `columns` columns, for which `fill(first, width, tiles)`
/// packs a part of K's lanes at a time. Calls `finish(i, results)` for each tile i with its results, a tile for
/// each panel of columns, and before the last product for each of those `prepare(i, column)`.
template <typename Lanes, typename Fill, typename Prepare, typename Finish>
INLINE void productOfParts(const RowTiles &tiles, int64_t lanes, const float *weight,
                           int64_t columns, Scratch &scratch, Fill fill, Prepare prepare,
                           Finish finish) {
  constexpr int64_t kColumns = Lanes::kGroup * kPanel;
  int64_t resultSize = (columns + kColumns - 1) / kColumns * Lanes::kGroup * kTileSize;
  PackedTiles<Lanes> filled(scratch, 2, tiles.count, kDepth + kPartStep);
  ResultTiles results = {scratch.floats(3, tiles.count * resultSize), resultSize};
  for (int64_t part = 0; part < partCount(lanes); ++part) {
    int64_t first = partStart(lanes, part), width = partStart(lanes, part + 1) - first;
    fill(first, width, filled);
    for (int64_t c = 0; c < columns; c += kColumns) {
      multiply<Lanes>(tiles, filled, PackedPanel::of<Lanes>(weight, lanes, columns, c, first), width,
                      {results.at(0, c / kPanel), resultSize}, first > 0, [&](int64_t i) {
                        for (int half = 0; half < Lanes::kGroup && first + width == lanes; ++half) {
                          prepare(i, c + half * kPanel);
                        }
                      });
    }
  }
  for (int64_t i = 0; i < tiles.count; ++i) finish(i, results.at(i));
}

/// Two products, of which what lies between never leaves the cache: some panels of the first are
/// computed, changed by `between(row, column, numbers)`, and multiplied into all of the second's.
/// Before it computes them, `prepareBetween(row, rows, column)` is called.
template <typename Lanes, typename PrepareBetween, typename Between, typename Prepare,
          typename Finish>
INLINE void twoProducts(const RowTiles &tiles, const PackedTiles<Lanes> &packed, int64_t depth,
                        const float *hiddenWeight, int64_t hidden, const float *weight,
                        int64_t columns, Scratch &scratch, PrepareBetween prepareBetween,
                        Between between, Prepare prepare, Finish finish) {
  constexpr int64_t numbersInLane = Lanes::kNumbers, kColumns = Lanes::kGroup * kPanel;
  int64_t lanes = laneCount<Lanes>(depth), hiddenColumns = padded(hidden);
  ResultTiles results = {scratch.floats(1, tiles.count * Lanes::kGroup * kTileSize),
                         Lanes::kGroup * kTileSize};
  productOfParts<Lanes>(
      tiles, hiddenColumns / numbersInLane, weight, columns, scratch,
      [&](int64_t first, int64_t width, const PackedTiles<Lanes> &filled) {
        int64_t begin = first * numbersInLane, end = begin + width * numbersInLane;
        for (int64_t c = begin; c < end; c += kColumns) {
          multiply<Lanes>(tiles, packed,
                          PackedPanel::of<Lanes>(hiddenWeight, lanes, hiddenColumns, c), lanes, results,
                          false, [&](int64_t i) {
                            for (int half = 0; half < Lanes::kGroup; ++half) {
                              prepareBetween(tiles.first + tiles.start(i), tiles.height(i),
                                             c + half * kPanel);
                            }
                          });
          forTiles<Lanes>(tiles, c, end, [&](int64_t i, int half) {
            float *numbers = results.at(i, half);
            int64_t row = tiles.first + tiles.start(i);
            // Not while packing, whose unrolled loop would hold the activations' code many times.
            int height = tiles.height(i);
#pragma clang loop unroll(disable)
            for (int r = 0; r < height; ++r) {
              store(numbers + r * kPanel,
                    between(row + r, c + half * kPanel, load<Wide>(numbers + r * kPanel)));
            }
          });
          int64_t there = std::min(kColumns, end - c);
          filled.fill(tiles, (c - begin) / numbersInLane, there / numbersInLane,
                      [&](int64_t i, float *tile) {
            packColumns<kLaneStride<Lanes>>(tiles.height(i), there / numbersInLane, tile,
                                            [&](int r, int64_t k) {
              return Lanes::along(k, there, [&](int64_t column) {
                return load(results.at(i, column / kPanel) + r * kPanel + column % kPanel);
              });
            });
          });
        }
      },
      prepare, finish);
}

/// Two linear layers with an activation between.
template <typename Lanes>
static void mlpRows(const RowMix &mix, const RowTiles &tiles, Scratch &scratch) {
  PackedTiles<Lanes> packed(scratch, 0, tiles.count, laneCount<Lanes>(mix.depth));
  packRows<Lanes>(mix, tiles, packed);
  twoProducts<Lanes>(
      tiles, packed, mix.depth, mix.hiddenWeight, mix.hidden, mix.weight, mix.columns, scratch,
      [](int64_t, int, int64_t) {},
      [&](int64_t row, int64_t c, Wide h) {
        h += load<Wide>(mix.hiddenBias + c);
        if (mix.preactivation) {
          streamUpTo(mix.preactivation + row * mix.preactivationStride + c, h, mix.hidden - c);
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
/// as pays: what a thread works on, `floatsInRow` for each row, may be some times what a second-level cache
/// holds, as it is read from front to back. Each thread's share of the rows is cut into as few tiles as it can
/// be, and these are dealt to its blocks; or pairs of tiles of all rows are, for `Strassen`.
template <typename Lanes, typename Body>
INLINE void forRowTiles(int64_t rows, int64_t floatsInRow, Body body) {
  int64_t tilesAtOnce = std::clamp<int64_t>((400 << 10) / (floatsInRow * kTileRows), 2, RowTiles::kMost);
  int64_t blocks = (tileCount(rows) + tilesAtOnce - 1) / tilesAtOnce;
  int64_t threads = at::get_num_threads();
  blocks = std::min(tileCount(rows), (blocks + threads - 1) / threads * threads);
  if (isStrassen<Lanes>) {
    int64_t pairs = RowTiles::pairCount(rows);
    blocks = std::min(blocks, pairs);
    return parallelFor(blocks, [&](int64_t i) {
      body(RowTiles::ofPairs(rows, pairs * i / blocks, pairs * (i + 1) / blocks));
    });
  }
  int64_t shares = blocks % threads == 0 ? threads : blocks, inShare = blocks / shares;
  parallelFor(blocks, [&](int64_t block) {
    int64_t share = block % shares, start = tileStart(rows, shares, share);
    int64_t count = tileStart(rows, shares, share + 1) - start, tiles = tileCount(count);
    auto at = [&](int64_t i) { return start + tileStart(count, tiles, tiles * i / inShare); };
    int64_t first = at(block / shares), end = at(block / shares + 1);
    if (end > first) body(RowTiles(first, end - first));
  });
}

/// What a thread works on, for each of its rows.
template <typename Lanes>
INLINE int64_t floatsInRow(const RowMix &mix) {
  int64_t lanes = laneCount<Lanes>(mix.depth);
  if (mix.hidden == 0) return packedFloats<Lanes>(lanes);
  return packedFloats<Lanes>(lanes + kDepth) + mix.columns;
}
