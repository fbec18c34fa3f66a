// Sums of tensors times weights, each read where it lies. No include guard: included once for each kind of
// processor, after Simd.h.

/// One row of the sum: `x` are the rows of x_0, w_0, x_1, ..., of which the weights are one number each
/// unless they vary. `room` >= run: how many numbers may be written.
template <int kTerms, bool kVary>
INLINE void weightedRow(const float *const *x, int64_t run, float *y, int64_t room) {
  auto value = [&](auto read) __attribute__((always_inline)) {
    auto weight = [&](int j) __attribute__((always_inline)) {
      if constexpr (kVary) {
        return read(x[2 * j + 1]);
      } else {
        return splat<decltype(read(x[0]))>(*x[2 * j + 1]);
      }
    };
    auto v = read(x[0]) * weight(0);
    for (int j = 1; j < kTerms; ++j) v = fma(read(x[2 * j]), weight(j), v);
    return v;
  };
  if (run < kWidth) {
    Vec v = value([=](const float *p) __attribute__((always_inline)) -> Vec { return loadFirst(p, run); });
    // What is written behind the row is written again with the next one.
    return storeUpTo(y, v, room);
  }
  auto write = [&](int64_t i, auto zero) __attribute__((always_inline)) {
    store(y + i, value([=](const float *p) __attribute__((always_inline)) {
            return load<decltype(zero)>(p + i);
          }));
  };
  int64_t i = 0;
  for (; i + kWide * kWidth <= run; i += kWide * kWidth) write(i, splat<Wide>(0));
  for (; i < run; i += kWidth) write(std::min<int64_t>(i, run - kWidth), splat<Vec>(0));
}

/// kWidth numbers at x, x + 2, ...
template <int... Lanes>
INLINE Vec everySecond(const float *x, std::integer_sequence<int, Lanes...>) {
  // The second register begins with a number that the first ends with: what lies behind the last is not read.
  return __builtin_shufflevector(load(x), load(x + kWidth - 1), (2 * Lanes + (2 * Lanes >= kWidth))...);
}

/// A row of numbers that lie `stride` apart.
INLINE void copyRow(const float *x, int64_t stride, int64_t run, float *y) {
  constexpr auto lanes = std::make_integer_sequence<int, kWidth>();
  if (stride > 2 || run < kWidth) {
    for (int64_t i = 0; i < run; ++i) y[i] = x[stride * i];
    return;
  }
  for (int64_t i = 0; i < run; i += kWidth) {
    int64_t start = std::min<int64_t>(i, run - kWidth);
    store(y + start, stride == 1 ? load(x + start) : everySecond(x + 2 * start, lanes));
  }
}

/// Calls `body(x, y)` for the rows (all dimensions but the innermost) from `first` to `end`, with where each
/// tensor's begins.
template <typename Body>
INLINE void forRows(const WeightedSum &sum, int64_t first, int64_t end, Body body) {
  const auto &dimensions = sum.dimensions;
  const int inner = dimensions.rank - 1, outer = inner - 1;
  const int64_t run = dimensions.sizes[inner], rows = dimensions.sizes[outer];
  const float *starts[2 * kMostTerms], *x[2 * kMostTerms];
  int64_t at[kMostDimensions];
  std::copy_n(sum.tensors, 2 * kMostTerms, starts);
  dimensions.advance(starts, first / rows, outer);
  for (int64_t d = outer - 1, index = first / rows; d >= 0; index /= dimensions.sizes[d--]) {
    at[d] = index % dimensions.sizes[d];
  }
  float *y = sum.y + first * run;
  for (int64_t row = first % rows; first < end; row = 0) {
    for (int j = 0; j < 2 * sum.terms; ++j) x[j] = starts[j] + row * dimensions.strides[outer][j];
    for (; row < rows && first < end; ++row, ++first, y += run) {
      body(x, y);
      for (int j = 0; j < 2 * sum.terms; ++j) x[j] += dimensions.strides[outer][j];
    }
    dimensions.step(starts, at, outer);
  }
}

template <int kTerms, bool kVary>
static void weightedRows(const WeightedSum &sum, int64_t first, int64_t end) {
  const int64_t run = sum.dimensions.sizes[sum.dimensions.rank - 1];
  const float *const yEnd = sum.y + end * run;
  forRows(sum, first, end, [&](const float *const *x, float *y) __attribute__((always_inline)) {
    weightedRow<kTerms, kVary>(x, run, y, yEnd - y);
  });
}

template <int kTerms>
static void weightedSum(const WeightedSum &sum) {
  const auto &dimensions = sum.dimensions;
  const int64_t rows = dimensions.count(dimensions.rank - 1);
  parallelParts(rows, 8192 / dimensions.sizes[dimensions.rank - 1], [&](int64_t first, int64_t end) {
    if (sum.weightsVary) {
      weightedRows<kTerms, true>(sum, first, end);
    } else {
      weightedRows<kTerms, false>(sum, first, end);
    }
  });
}

static void weightedSum(const WeightedSum &sum) {
  if (sum.stride > 1) {
    const auto &dimensions = sum.dimensions;
    const int64_t run = dimensions.sizes[dimensions.rank - 1];
    return parallelParts(dimensions.count(dimensions.rank - 1), 8192 / run, [&](int64_t first, int64_t end) {
      forRows(sum, first, end, [&](const float *const *x, float *y) { copyRow(x[0], sum.stride, run, y); });
    });
  }
  switch (sum.terms) {
    case 1: return weightedSum<1>(sum);
    case 2: return weightedSum<2>(sum);
    case 3: return weightedSum<3>(sum);
    default: return weightedSum<kMostTerms>(sum);
  }
}
