// What token mixing multiplies: panels of columns, which are normalised, scaled, activated and moved on
// the way. No include guard: included once for each kind of processor, after Product.h.

/// Reads kPanel columns of rows that each move along a map by an offset of their own: the columns are
/// the map's positions, and zeros come in from beyond its edges.
class MovedColumns {
 public:
  MovedColumns(const CTColumnMix &mix, int64_t column)
      : mix_(mix), column_(column), length_(mix.mapWidth > 0 ? mix.mapWidth : mix.channels) {
    int32_t positions[kPanel];
    for (int i = 0; i < kPanel; ++i) positions[i] = static_cast<int32_t>((column + i) % length_);
    __builtin_memcpy(&positions_, positions, sizeof positions_);
  }

  /// What comes to the columns in row `s` of `x`; any numbers where that is nothing.
  __attribute__((always_inline)) Wide read(const float *x, int64_t s) {
    int32_t offset = mix_.offsets[s];
    if (offset != offset_) {
      offset_ = offset;
      IntWide from = positions_ - offset;
      isInside_ = (from >= 0) & (from < static_cast<int32_t>(length_));
    }
    const float *row = x + s * mix_.xStride;
    int64_t first = column_ - offset;
    if (first >= 0 && first + kPanel <= mix_.channels) return load<Wide>(row + first);
    float numbers[kPanel] = {};
    for (int i = 0; i < kPanel; ++i) {
      if (first + i >= 0 && first + i < mix_.channels) numbers[i] = row[first + i];
    }
    return load<Wide>(numbers);
  }

  /// Zeros for what came from beyond an edge in the row that was read last.
  __attribute__((always_inline)) Wide cut(Wide v) const { return isInside_ ? v : splat<Wide>(0); }

 private:
  const CTColumnMix &mix_;
  const int64_t column_, length_;
  int32_t offset_ = INT32_MAX;
  IntWide positions_, isInside_;
};

/// Writes a panel [tokens][kPanel] of the matrix `x` [tokens][channels], of whose rows `of` are the
/// moments, from `column` on; there may be any numbers where there are no more columns.
static void packPanel(const CTColumnMix &mix, const float *x, const Moments *of, int64_t column,
                      float *panel) {
  int64_t count = mix.channels - column;
  auto write = [&](auto read, auto cut) {
    Wide scale = mix.scale ? loadUpTo<Wide>(mix.scale + column, count) : splat<Wide>(1);
    Wide shift = mix.shift ? loadUpTo<Wide>(mix.shift + column, count) : splat<Wide>(0);
    for (int64_t s = 0; s < mix.tokens; ++s) {
      // The next panel's numbers: they lie too far apart for the processor to see them coming.
      const float *next = x + s * mix.xStride + column + kPanel;
      for (int c = 0; c < kPanel; c += 16) __builtin_prefetch(next + c, 0, 2);
      Wide v = read(s);
      if (of) v = (v - splat<Wide>(of[s].mean)) * splat<Wide>(of[s].scale);
      if (mix.scale) v = fma(v, scale, shift);
      if (mix.tokenScale) v = fma(v, splat<Wide>(mix.tokenScale[s]), splat<Wide>(mix.tokenShift[s]));
      store(panel + s * kPanel, cut(activate(mix.inputActivation, v)));
    }
  };
  if (mix.offsets) {
    MovedColumns moved(mix, column);
    write([&](int64_t s) { return moved.read(x, s); }, [&](Wide v) { return moved.cut(v); });
  } else {
    write([&](int64_t s) { return loadUpTo<Wide>(x + s * mix.xStride + column, count); },
          [](Wide v) { return v; });
  }
}
