// What token mixing multiplies: columns, which are normalised, scaled, activated and moved on the way.
// No include guard: included once for each kind of processor, after Product.h.

/// Rows of the matrix `x`, as many columns of them as a vector V has, from `column` on; any numbers where there
/// are no more.
template <typename V>
class PlainColumns {
 public:
  PlainColumns(const CTColumnMix &mix, const float *x, int64_t column)
      : x_(x + column), stride_(mix.xStride), count_(mix.channels - column) {}

  INLINE_MEMBER int64_t row(int64_t s) const { return s; }

  INLINE_MEMBER V read(int64_t s) const {
    const float *p = x_ + s * stride_;
    fetchNext(p);
    return loadUpTo<V>(p, count_);
  }

  INLINE_MEMBER V cut(int64_t, V v) const { return v; }

  /// Brings what the next columns will read: it lies too far away for the processor to see it coming.
  INLINE_MEMBER static void fetchNext(const float *p) {
    for (int64_t c = 0; c < kCount; c += 16) __builtin_prefetch(p + kCount + c, 0, 2);
  }

 private:
  static constexpr int64_t kCount = sizeof(V) / sizeof(float);

  const float *x_;
  const int64_t stride_, count_;
};

/// The same of the rows of a map as they move.
template <typename V>
class MovedColumns {
 public:
  MovedColumns(const CTColumnMix &mix, const float *x, int64_t column)
      : mix_(mix), x_(x), column_(column), size_((mix.mapRows - 1) * mix.xStride + mix.channels) {
    int32_t numbers[kCount], places[kCount];
    for (int i = 0; i < kCount; ++i) {
      numbers[i] = static_cast<int32_t>(column + i);
      places[i] = static_cast<int32_t>((column + i) % mix.mapWidth);
    }
    Ints positions, along;
    __builtin_memcpy(&positions, numbers, sizeof positions);
    __builtin_memcpy(&along, places, sizeof along);
    for (int64_t i = 0; i < mix.moveCount; ++i) {
      Ints from = positions - mix.moves[i].offset, place = along - mix.moves[i].across;
      isInside_[i] = (from >= 0) & (from < static_cast<int32_t>(mix.channels)) & (place >= 0) &
                     (place < static_cast<int32_t>(mix.mapWidth));
    }
  }

  INLINE_MEMBER int64_t row(int64_t s) const { return mix_.movedRows[s].row; }

  /// Any numbers also for what comes from beyond an edge.
  INLINE_MEMBER V read(int64_t s) const {
    const CTMovedRow &row = mix_.movedRows[s];
    int64_t first = row.row * mix_.xStride + column_ - mix_.moves[row.move].offset;
    if (first >= 0 && first + kCount <= size_) {
      PlainColumns<V>::fetchNext(x_ + first);
      return load<V>(x_ + first);
    }
    float numbers[kCount] = {};
    for (int64_t i = std::max<int64_t>(0, -first); i < std::min(kCount, size_ - first); ++i) {
      numbers[i] = x_[first + i];
    }
    return load<V>(numbers);
  }

  /// Zeros in their place.
  INLINE_MEMBER V cut(int64_t s, V v) const { return bits(bits(v) & isInside_[mix_.movedRows[s].move]); }

 private:
  static constexpr int64_t kCount = sizeof(V) / sizeof(float);
  typedef decltype(bits(V())) Ints;

  const CTColumnMix &mix_;
  const float *x_;
  const int64_t column_, size_;
  Ints isInside_[CT_MOST_MOVES];
};

/// How many rows a matrix has in memory.
INLINE int64_t rowCount(const CTColumnMix &mix) { return mix.movedRows ? mix.mapRows : mix.tokens; }

/// Calls `write(s, numbers)` for each token s of the matrix `x`, of whose rows `of` are the moments, with as many
/// columns as a vector V has, from `column` on; any numbers where there are no more.
template <typename V, typename Write>
INLINE void readColumns(const CTColumnMix &mix, const float *x, const Moments *of, int64_t column,
                        Write write) {
  int64_t count = mix.channels - column;
  auto readAll = [&](const auto &columns) {
    V scale = mix.scale ? loadUpTo<V>(mix.scale + column, count) : splat<V>(1);
    V shift = mix.shift ? loadUpTo<V>(mix.shift + column, count) : splat<V>(0);
    for (int64_t s = 0; s < mix.tokens; ++s) {
      V v = columns.read(s);
      int64_t row = columns.row(s);
      if (of) v = (v - splat<V>(of[row].mean)) * splat<V>(of[row].scale);
      if (mix.scale) v = fma(v, scale, shift);
      if (mix.tokenScale) v = fma(v, splat<V>(mix.tokenScale[row]), splat<V>(mix.tokenShift[row]));
      write(s, columns.cut(s, activate(mix.inputActivation, v)));
    }
  };
  mix.movedRows ? readAll(MovedColumns<V>(mix, x, column)) : readAll(PlainColumns<V>(mix, x, column));
}

/// Writes a panel [tokens][kPanel] of columns, from `column` on; zeros where there are no more, as `Strassen`
/// adds columns to one another.
static void packPanel(const CTColumnMix &mix, const float *x, const Moments *of, int64_t column,
                      float *panel) {
  int64_t count = mix.channels - column;
  readColumns<Wide>(mix, x, of, column, [&](int64_t s, Wide v) {
    store(panel + s * kPanel, count < kPanel ? leading(v, count) : v);
  });
}

INLINE bool normalizes(const CTColumnMix &mix) { return mix.normalization != CT_NO_NORM; }

/// The moments of a matrix are computed in runs of numbers that lie side by side: its rows, or longer ones
/// where those of the whole matrix are asked for, at most as many as there are rows.
struct MomentRuns {
  int64_t length, stride, numbers;

  explicit MomentRuns(const CTColumnMix &mix) : numbers(rowCount(mix) * mix.channels) {
    constexpr int64_t kLongRun = 4096;
    bool isRow = mix.normalization == CT_ROW_NORM || mix.xStride != mix.channels;
    length = isRow ? mix.channels : std::max(mix.channels, kLongRun);
    stride = isRow ? mix.xStride : length;
  }

  int64_t count() const { return length > 0 ? (numbers + length - 1) / length : 0; }
  int64_t lengthOf(int64_t i) const { return std::min(length, numbers - i * length); }
};

/// Computes the moments of some runs of a matrix.
static void momentsOfRuns(const CTColumnMix &mix, const MomentRuns &runs, int64_t matrix, int64_t first,
                          int64_t end, Moments *of) {
  const float *x = mix.x + matrix * mix.xBatchStride;
  float epsilon = mix.normalization == CT_MATRIX_NORM ? 0 : mix.epsilon;
  for (int64_t i = first; i < end; ++i) of[i] = moments(x + i * runs.stride, runs.lengthOf(i), epsilon);
}

/// Gives each row the moments of the whole matrix, from those of its runs: the mean of the runs' means, and
/// the mean of their variances plus the variance of their means.
static void combineMoments(const CTColumnMix &mix, const MomentRuns &runs, Moments *of) {
  double total = 0, squares = 0, numbers = static_cast<double>(runs.numbers);
  for (int64_t i = 0; i < runs.count(); ++i) total += static_cast<double>(of[i].mean) * runs.lengthOf(i);
  double mean = total / numbers;
  for (int64_t i = 0; i < runs.count(); ++i) {
    double variance = 1 / (static_cast<double>(of[i].scale) * of[i].scale);
    squares += (variance + (of[i].mean - mean) * (of[i].mean - mean)) * runs.lengthOf(i);
  }
  float scale = static_cast<float>(1 / std::sqrt(squares / numbers + mix.epsilon));
  std::fill(of, of + rowCount(mix), Moments{static_cast<float>(mean), scale});
}

/// Computes the moments of a matrix: of each row, or for each row those of the whole.
static void momentsOfMatrix(const CTColumnMix &mix, int64_t matrix, Moments *of) {
  MomentRuns runs(mix);
  momentsOfRuns(mix, runs, matrix, 0, runs.count(), of);
  if (mix.normalization == CT_MATRIX_NORM) combineMoments(mix, runs, of);
}

/// Whether the threads take whole matrices of a batch, or else share each of them.
INLINE bool hasManyMatrices(int64_t batch) {
  int64_t threads = at::get_num_threads();
  return batch % threads == 0 || batch >= 8 * threads;
}

/// The same, shared by all threads.
static void momentsOfMatrixByAll(const CTColumnMix &mix, int64_t matrix, Moments *of) {
  constexpr int64_t kNumbersAtOnce = 8192;
  MomentRuns runs(mix);
  int64_t count = runs.count();
  int64_t chunk = std::max<int64_t>(1, kNumbersAtOnce / std::max<int64_t>(1, runs.length));
  parallelFor((count + chunk - 1) / chunk, [&](int64_t i) {
    momentsOfRuns(mix, runs, matrix, i * chunk, std::min(count, (i + 1) * chunk), of);
  });
  if (mix.normalization == CT_MATRIX_NORM) combineMoments(mix, runs, of);
}
