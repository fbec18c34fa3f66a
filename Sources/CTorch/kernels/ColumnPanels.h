// What token mixing multiplies: columns, which are normalised, scaled, activated and moved on the way.
// No include guard: included once for each kind of processor, after Product.h.

/// Reads as many columns as a vector V has, of rows that each move along a map by an offset of their own: the
/// columns are the map's positions, and zeros come in from beyond its edges.
template <typename V>
class MovedColumns {
 public:
  MovedColumns(const CTColumnMix &mix, int64_t column)
      : mix_(mix), column_(column), length_(mix.mapWidth > 0 ? mix.mapWidth : mix.channels) {
    int32_t positions[kCount];
    for (int i = 0; i < kCount; ++i) positions[i] = static_cast<int32_t>((column + i) % length_);
    __builtin_memcpy(&positions_, positions, sizeof positions_);
  }

  /// What comes to the columns in row `s` of `x`; any numbers where that is nothing.
  INLINE_MEMBER V read(const float *x, int64_t s) {
    int32_t offset = mix_.offsets[s];
    if (offset != offset_) {
      offset_ = offset;
      auto from = positions_ - offset;
      isInside_ = (from >= 0) & (from < static_cast<int32_t>(length_));
    }
    const float *row = x + s * mix_.xStride;
    int64_t first = column_ - offset;
    if (first >= 0 && first + kCount <= mix_.channels) return load<V>(row + first);
    float numbers[kCount] = {};
    for (int i = 0; i < kCount; ++i) {
      if (first + i >= 0 && first + i < mix_.channels) numbers[i] = row[first + i];
    }
    return load<V>(numbers);
  }

  /// Zeros for what came from beyond an edge in the row that was read last.
  INLINE_MEMBER V cut(V v) const { return isInside_ ? v : splat<V>(0); }

 private:
  static constexpr int kCount = sizeof(V) / sizeof(float);

  const CTColumnMix &mix_;
  const int64_t column_, length_;
  int32_t offset_ = INT32_MAX;
  decltype(bits(V())) positions_, isInside_;
};

/// Calls `write(s, numbers)` for each row s of the matrix `x` [tokens][channels], of whose rows `of` are the
/// moments, with as many columns as a vector V has, from `column` on; any numbers where there are no more.
template <typename V, typename Write>
INLINE void readColumns(const CTColumnMix &mix, const float *x, const Moments *of, int64_t column,
                        Write write) {
  constexpr int64_t kCount = sizeof(V) / sizeof(float);
  int64_t count = mix.channels - column;
  auto readAll = [&](auto read, auto cut) {
    V scale = mix.scale ? loadUpTo<V>(mix.scale + column, count) : splat<V>(1);
    V shift = mix.shift ? loadUpTo<V>(mix.shift + column, count) : splat<V>(0);
    for (int64_t s = 0; s < mix.tokens; ++s) {
      // The next columns' numbers: they lie too far apart for the processor to see them coming.
      const float *next = x + s * mix.xStride + column + kCount;
      for (int64_t c = 0; c < kCount; c += 16) __builtin_prefetch(next + c, 0, 2);
      V v = read(s);
      if (of) v = (v - splat<V>(of[s].mean)) * splat<V>(of[s].scale);
      if (mix.scale) v = fma(v, scale, shift);
      if (mix.tokenScale) v = fma(v, splat<V>(mix.tokenScale[s]), splat<V>(mix.tokenShift[s]));
      write(s, cut(activate(mix.inputActivation, v)));
    }
  };
  if (mix.offsets) {
    MovedColumns<V> moved(mix, column);
    readAll([&](int64_t s) { return moved.read(x, s); }, [&](V v) { return moved.cut(v); });
  } else {
    readAll([&](int64_t s) { return loadUpTo<V>(x + s * mix.xStride + column, count); },
            [](V v) { return v; });
  }
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

  explicit MomentRuns(const CTColumnMix &mix) : numbers(mix.tokens * mix.channels) {
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
  std::fill(of, of + mix.tokens, Moments{static_cast<float>(mean), scale});
}

/// Computes the moments [tokens] of a matrix: of each row, or for each row those of the whole.
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
