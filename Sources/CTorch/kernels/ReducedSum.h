// Sums of tensors over some of their dimensions. No include guard: included once for each kind of
// processor, after Simd.h.

/// Calls `body(x, count, step)` for each line of numbers along the innermost of the dimensions.
template <typename Body>
INLINE void forLines(const Dimensions<1> &dimensions, const float *x, Body body) {
  const int inner = dimensions.rank - 1;
  for (int64_t i = 0, lines = dimensions.count(inner); i < lines; ++i) {
    const float *line[1] = {x};
    dimensions.advance(line, i, inner);
    body(line[0], dimensions.sizes[inner], dimensions.strides[inner][0]);
  }
}

/// Adds to `count` <= the vector's width numbers of y the sums of those at and beside `x`.
template <typename V>
INLINE void addColumns(const Dimensions<1> &summed, const float *x, int64_t count, float *y) {
  V sums[4] = {splat<V>(0), splat<V>(0), splat<V>(0), splat<V>(0)};
  forLines(summed, x, [&](const float *line, int64_t length, int64_t step) {
    int64_t i = 0;
    for (; i + 4 <= length; i += 4) {
      for (int j = 0; j < 4; ++j) sums[j] += loadUpTo<V>(line + (i + j) * step, count);
    }
    for (; i < length; ++i) sums[0] += loadUpTo<V>(line + i * step, count);
  });
  V total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  storeUpTo(y, loadUpTo<V>(y, count) + total, count);
}

/// The sum of all numbers at `x`, which lie side by side along the innermost dimension.
INLINE float sumOfLines(const Dimensions<1> &summed, const float *x) {
  // Some lines at a time: a long sum of short ones would lose digits.
  constexpr int kLinesAtOnce = 32;
  Vec sums[4] = {splat(0), splat(0), splat(0), splat(0)}, total = splat(0);
  int lines = 0;
  forLines(summed, x, [&](const float *line, int64_t length, int64_t) {
    int64_t i = 0;
    for (; i + 4 * kWidth <= length; i += 4 * kWidth) {
      for (int j = 0; j < 4; ++j) sums[j] += load(line + i + j * kWidth);
    }
    for (; i < length; i += kWidth) sums[0] += loadUpTo(line + i, length - i);
    if (++lines % kLinesAtOnce != 0) return;
    total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (Vec &part : sums) part = splat(0);
  });
  return sum(total + ((sums[0] + sums[1]) + (sums[2] + sums[3])));
}

/// Adds the sums of a term to the numbers of y from `first` to `end`.
static void addTerm(const ReducedSum::Term &term, int64_t first, int64_t end, float *y) {
  const int inner = term.kept.rank - 1;
  const int64_t run = term.kept.sizes[inner];
  const bool liesSideBySide = run > 1 && term.kept.strides[inner][0] == 1;
  while (first < end) {
    const float *x[1] = {term.x};
    term.kept.advance(x, first, inner + 1);
    if (!liesSideBySide) {
      y[first++] += sumOfLines(term.summed, x[0]);
      continue;
    }
    int64_t count = std::min(run - first % run, end - first);
    if (count > kWidth) {
      count = std::min<int64_t>(count, kWide * kWidth);
      addColumns<Wide>(term.summed, x[0], count, y + first);
    } else {
      addColumns<Vec>(term.summed, x[0], count, y + first);
    }
    first += count;
  }
}

static void reducedSum(const ReducedSum &sum) {
  const Dimensions<1> &summed = sum.term[0].summed;
  const int64_t work = summed.count(summed.rank) * sum.run, runs = sum.count / sum.run;
  parallelParts(runs, 8192 / work, [&](int64_t firstRun, int64_t endRun) {
    int64_t first = firstRun * sum.run, end = endRun * sum.run;
    std::fill(sum.y + first, sum.y + end, 0.0f);
    for (int j = 0; j < sum.terms; ++j) addTerm(sum.term[j], first, end, sum.y);
    for (int64_t k = first; k < end; ++k) sum.y[k] *= sum.factor;
  });
}
