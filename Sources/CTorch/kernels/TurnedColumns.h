// Token mixing turned around: channel mixing whose rows are the columns of a batch's matrices, the row r
// being the column r % channels of the matrix r / channels. Few columns fill tiles, of any height, better
// than panels, and those of all matrices are multiplied at once. Nothing is transposed in memory: tiles are
// packed from columns, and results are turned in registers. No include guard: included once for each kind of
// processor, after ColumnPanels.h.

struct TurnedColumns {
  const CTColumnMix &mix;
  const Moments *moments;  // for each row of the batch, or null
};

/// Calls `body(matrix, column, r, count)` for pieces of the rows from `first` on, of one matrix and of up to a
/// register's width each; `r` counts from `first`.
template <typename Body>
INLINE void forColumnsOfRows(const CTColumnMix &mix, int64_t first, int64_t rows, Body body) {
  for (int64_t r = 0, count; r < rows; r += count) {
    int64_t matrix = (first + r) / mix.channels, column = (first + r) % mix.channels;
    count = std::min({rows - r, mix.channels - column, static_cast<int64_t>(kWidth)});
    body(matrix, column, r, count);
  }
}

/// Packs a tile of `rows` rows from `first` on, each lane `kLaneStride` floats from the last; up to kWidth
/// floats behind the last are overwritten.
template <typename Lanes>
static void packTurned(const TurnedColumns &columns, int64_t first, int64_t rows, float *tile) {
  constexpr int64_t kStride = kLaneStride<Lanes>;
  const CTColumnMix &mix = columns.mix;
  auto pack = [&](int64_t matrix, int64_t column, int64_t count, auto write) {
    auto writeLane = [&](int64_t lane, Vec v) { write(lane, leading(v, count)); };
    Vec last = splat(0);
    readColumns<Vec>(mix, mix.x + matrix * mix.xBatchStride,
                     columns.moments ? columns.moments + matrix * rowCount(mix) : nullptr, column,
                     [&](int64_t s, Vec v) {
      if constexpr (Lanes::kNumbers == 1) {
        writeLane(s, v);
      } else {
        if (s % 2 == 1) writeLane(s / 2, Lanes::across(last, v));
        last = v;
      }
    });
    if constexpr (Lanes::kNumbers > 1) {
      if (mix.tokens % 2 == 1) writeLane(mix.tokens / 2, Lanes::across(last, splat(0)));
    }
  };
  bool isOnePiece = kTileRows <= kWidth && rows > 0 && first % mix.channels + rows <= mix.channels;
  if (!isOnePiece) std::fill(tile, tile + laneCount<Lanes>(mix.tokens) * kStride, 0.0f);
  forColumnsOfRows(mix, first, rows, [&](int64_t matrix, int64_t column, int64_t r, int64_t count) {
    pack(matrix, column, count, [&](int64_t lane, Vec v) {
      // What is written beyond a lane's end is the next one's, which is written later, or else must stay.
      float *p = tile + lane * kStride + r;
      isOnePiece ? store(p, v) : storeFirst(p, v, count);
    });
  });
}

/// Fetches what `finishTurned` will read and write.
INLINE void fetchTurned(const CTColumnMix &mix, int64_t first, int64_t rows, int64_t output,
                        int64_t outputs) {
  forColumnsOfRows(mix, first, rows, [&](int64_t matrix, int64_t column, int64_t, int64_t) {
    auto fetchFrom = [&](const float *p, int64_t batchStride, int64_t stride) {
      if (p == nullptr) return;
      p += matrix * batchStride + output * stride + column;
      for (int64_t o = 0; o < outputs; ++o) __builtin_prefetch(p + o * stride, 0, 3);
    };
    fetchFrom(mix.y, mix.yBatchStride, mix.yStride);
    fetchFrom(mix.gate, mix.gateBatchStride, mix.gateStride);
    fetchFrom(mix.residual, mix.residualBatchStride, mix.residualStride);
  });
}

/// Writes a tile of finished results [rows][kPanel], of `outputs` outputs from `output` on, to where they
/// belong: scaled, times the gate, plus the residual, and activated.
static void finishTurned(const CTColumnMix &mix, int64_t first, int64_t rows, int64_t output,
                         int64_t outputs, const float *tile) {
  forColumnsOfRows(mix, first, rows, [&](int64_t matrix, int64_t column, int64_t r, int64_t count) {
    Vec scale = mix.resultScale ? loadUpTo(mix.resultScale + column, count) : splat(1);
    for (int64_t half = 0; half < outputs; half += kWidth) {
      Vec block[kWidth];
#pragma clang loop unroll(full)
      for (int i = 0; i < kWidth; ++i) {
        block[i] = i < count ? load(tile + (r + i) * kPanel + half) : splat(0);
      }
      transpose(block);
      for (int64_t i = 0; i < std::min<int64_t>(kWidth, outputs - half); ++i) {
        auto at = [&](int64_t batchStride, int64_t stride) {
          return matrix * batchStride + (output + half + i) * stride + column;
        };
        Vec y = block[i] * scale;
        if (mix.gate) y *= loadUpTo(mix.gate + at(mix.gateBatchStride, mix.gateStride), count);
        if (mix.residual) {
          y += loadUpTo(mix.residual + at(mix.residualBatchStride, mix.residualStride), count);
        }
        storeUpTo(mix.y + at(mix.yBatchStride, mix.yStride), activate(mix.sumActivation, y), count);
      }
    }
  });
}
