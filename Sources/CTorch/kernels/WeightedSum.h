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

/// The rows (all dimensions but the innermost) from `first` to `end`.
template <int kTerms, bool kVary>
static void weightedRows(const WeightedSum &sum, int64_t first, int64_t end) {
  const auto &dimensions = sum.dimensions;
  const int inner = dimensions.rank - 1;
  const int64_t run = dimensions.sizes[inner], rows = dimensions.sizes[inner - 1];
  const int64_t *steps = dimensions.strides[inner - 1];
  float *y = sum.y + first * run, *const yEnd = sum.y + end * run;
  while (first < end) {
    const float *starts[2 * kMostTerms], *x[2 * kTerms];
    std::copy_n(sum.tensors, 2 * kMostTerms, starts);
    dimensions.advance(starts, first, inner);
    std::copy_n(starts, 2 * kTerms, x);
    int64_t count = std::min(rows - first % rows, end - first);
    first += count;
    for (; count > 0; --count, y += run) {
      weightedRow<kTerms, kVary>(x, run, y, yEnd - y);
      for (int j = 0; j < 2 * kTerms; ++j) x[j] += steps[j];
    }
  }
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
  switch (sum.terms) {
    case 1: return weightedSum<1>(sum);
    case 2: return weightedSum<2>(sum);
    case 3: return weightedSum<3>(sum);
    default: return weightedSum<kMostTerms>(sum);
  }
}
