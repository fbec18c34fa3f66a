// The backward pass of token mixing down to its norm; the formulas stand in Training.h.
// No include guard: included once for each kind of processor, after MixColumns.h.

static void columnGradients(const ColumnGradients &g) {
  int64_t panels = panelCount(g.channels);
  parallelFor(g.batch * panels, [&](int64_t task) {
    int64_t matrix = task / panels, column = task % panels * kPanel;
    Scratch &scratch = Scratch::ofThread();
    auto read = [&](const float *rows, int64_t row, int half) {
      int64_t c = column + half;
      return c < g.channels ? loadUpTo(rows + row * g.channels + c, g.channels - c) : splat(0);
    };
    auto write = [&](float *rows, int64_t row, int half, Vec v) {
      int64_t c = column + half;
      storeUpTo(rows + row * g.channels + c, v, g.channels - c);
    };
    float *panel = scratch.floats(0, g.rows * kPanel);
    float *results = scratch.floats(1, g.tokens * kPanel);
    for (int64_t s = 0; s < g.rows; ++s) {
      for (int half = 0; half < kPanel; half += kWidth) {
        store(panel + s * kPanel + half, read(g.dy + matrix * g.rows * g.channels, s, half));
      }
    }
    const float *weight = g.weight;
    int64_t depth = g.rows;
    if (g.hidden > 0) {
      float *hidden = scratch.floats(2, g.hidden * kPanel);
      int64_t offset = task * g.hidden * kPanel;
      multiplyPanel(g.weight, g.hidden, g.rows, panel, g.channels - column, hidden, [](int64_t, int) {},
                    [&](int64_t first, int rows, float *tile) {
                      for (int r = 0; r < rows; ++r) {
                        float *p = tile + r * kPanel;
                        int64_t at = offset + (first + r) * kPanel;
                        Activated<Wide> a = activateWithSlope(g.activation, load<Wide>(g.h + at));
                        Wide dh = load<Wide>(p) * a.slope;
                        store(p, dh);
                        store(g.dh + at, dh);
                        store(g.activated + at, a.value);
                      }
                    });
      panel = hidden;
      depth = g.hidden;
      weight = g.hiddenWeight;
    }
    float *dn = g.dn + matrix * g.tokens * g.channels;
    multiplyPanel(weight, g.tokens, depth, panel, g.channels - column, results,
                  [&](int64_t first, int rows) {
                    fetch(dn + first * g.channels + column, g.channels, rows);
                  },
                  [&](int64_t first, int rows, const float *tile) {
                    for (int r = 0; r < rows; ++r) {
                      for (int half = 0; half < kPanel; half += kWidth) {
                        write(dn, first + r, half, load(tile + r * kPanel + half));
                      }
                    }
                  });
  });
}
