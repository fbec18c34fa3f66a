// Numbers in another order. No include guard: included once for each kind of processor, after WeightedSum.h.

static void gatherRuns(const float *x, const CTRun *runs, int64_t count, float *y) {
  if (count == 0) return;
  int64_t length = (runs[count - 1].to + runs[count - 1].count) / count;
  parallelParts(count, 8192 / std::max<int64_t>(1, length), [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) copyRow(x + runs[i].from, 1, runs[i].count, y + runs[i].to);
  });
}

static void gatherNumbers(const float *x, const int32_t *from, int64_t count, float *y) {
  parallelParts(count, 8192, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) y[i] = x[from[i]];
  });
}
