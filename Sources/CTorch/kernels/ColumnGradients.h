// The backward pass of token mixing down to its norm; the formulas stand in Training.h.
// No include guard: included once for each kind of processor, after MixColumns.h.

static void columnGradients(const ColumnGradients &g) {
  int64_t groups = columnGroupCount<Singles>(g.channels);
  parallelFor(g.batch * groups, [&](int64_t task) {
    int64_t matrix = task / groups;
    ColumnGroup group = columnGroup<Singles>(g.channels, task % groups);
    Scratch &scratch = Scratch::ofThread();
    PanelNumbers numbers = panelNumbers(scratch.floats(0, numbersSize<Singles>(g.rows)), g.rows);
    PanelNumbers results = panelNumbers(scratch.floats(1, numbersSize<Singles>(g.tokens)), g.tokens);
    for (int64_t p = 0; p < group.panels; ++p) {
      int64_t column = group.column + p * kPanel;
      const float *dy = g.dy + matrix * g.rows * g.channels + column;
      for (int64_t s = 0; s < g.rows; ++s) {
        store(numbers.numbers + p * numbers.stride + s * kPanel,
              loadUpTo<Wide>(dy + s * g.channels, g.channels - column));
      }
    }
    auto pack = [&](int64_t depth) {
      return packLanes<Singles>(numbers, depth, group.panels, scratch.floats(5, lanesSize<Singles>(depth)));
    };
    const float *lanes = pack(g.rows), *weight = g.weight;
    int64_t depth = g.rows;
    if (g.hidden > 0) {
      PanelNumbers hidden = panelNumbers(scratch.floats(2, numbersSize<Singles>(g.hidden)), g.hidden);
      int64_t panel = matrix * panelCount(g.channels) + group.column / kPanel;
      multiplyPanels<Singles>(
          g.weight, g.hidden, g.rows, lanes, group, hidden, [](int64_t, int, int64_t) {},
          [&](int64_t first, int rows, int64_t p, float *tile) {
            for (int r = 0; r < rows; ++r) {
              int64_t at = ((panel + p) * g.hidden + first + r) * kPanel;
              Activated<Wide> a = activateWithSlope(g.activation, load<Wide>(g.h + at));
              Wide dh = load<Wide>(tile + r * kPanel) * a.slope;
              store(tile + r * kPanel, dh);
              streamUpTo(g.dh + at, dh, kPanel);
              streamUpTo(g.activated + at, a.value, kPanel);
            }
          });
      numbers = hidden;
      depth = g.hidden;
      weight = g.hiddenWeight;
      lanes = pack(depth);
    }
    float *dn = g.dn + matrix * g.tokens * g.channels + group.column;
    multiplyPanels<Singles>(
        weight, g.tokens, depth, lanes, group, results,
        [&](int64_t first, int rows, int64_t p) {
          fetch(dn + first * g.channels + p * kPanel, g.channels, rows);
        },
        [&](int64_t first, int rows, int64_t p, const float *tile) {
          for (int r = 0; r < rows; ++r) {
            storeUpTo(dn + (first + r) * g.channels + p * kPanel, load<Wide>(tile + r * kPanel),
                      group.columns - p * kPanel);
          }
        });
  });
}
