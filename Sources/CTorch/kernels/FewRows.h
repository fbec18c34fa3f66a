// Channel mixing of so few rows that the threads share the weights' columns instead of the rows.
// No include guard: included once for each kind of processor, after MixRows.h.

/// One linear layer on so few rows that reading the weights takes longest: the threads take all rows, but
/// each its own columns. Not by `Strassen`, whose weights are more to read.
template <typename Lanes>
static void linearFewRows(const RowMix &mix) {
  RowTiles tiles(0, mix.rows);
  PackedTiles<Lanes> packed(Scratch::ofThread(), 6, tiles.count, laneCount<Lanes>(mix.depth));
  parallelFor(tiles.count, [&](int64_t i) {
    packTile<Lanes>(mix, tiles, i, packed.tiles + i * packed.stride);
  });
  int64_t parts = std::min<int64_t>(panelCount(mix.columns), at::get_num_threads());
  parallelFor(parts, [&](int64_t part) {
    linearColumns<Lanes>(mix, tiles, packed, Scratch::ofThread(), part, parts);
  });
}

/// The same for two linear layers, one after the other.
template <typename Lanes>
static void mlpFewRows(const RowMix &mix) {
  int64_t width = padded(mix.hidden);
  float *hidden = Scratch::ofThread().floats(5, mix.rows * width);
  for (int64_t r = 0; r < mix.rows; ++r) {
    std::fill(hidden + r * width + mix.hidden, hidden + (r + 1) * width, 0.0f);
  }
  RowMix first = {{.rows = mix.rows, .depth = mix.depth, .columns = mix.hidden}};
  first.source = mix.source;
  first.x = mix.x;
  first.xStride = mix.xStride;
  first.normalizes = mix.normalizes;
  first.epsilon = mix.epsilon;
  first.weight = mix.hiddenWeight;
  first.bias = mix.hiddenBias;
  first.activation = mix.hiddenActivation;
  first.y = hidden;
  first.yStride = width;
  first.moments = mix.moments;
  first.preactivation = mix.preactivation;
  first.preactivationStride = mix.preactivationStride;
  linearFewRows<Lanes>(first);
  RowMix second = mix;
  second.source = nullptr;
  second.x = hidden;
  second.xStride = second.depth = width;
  second.hidden = 0;
  second.normalizes = false;
  second.moments = second.preactivation = nullptr;
  linearFewRows<Lanes>(second);
}

/// Up to so many rows reading the weights takes about as long as multiplying them.
constexpr int64_t kFewRows = 96;
static_assert(kFewRows <= RowTiles::kMost * kTileRows);

/// Whether threads that take some rows each would read the weights too often.
INLINE bool hasFewRows(const RowMix &mix) {
  int64_t threads = at::get_num_threads();
  return threads > 1 && mix.rows > 0 && mix.rows <= kFewRows &&
         panelCount(mix.columns) >= 2 * threads && panelCount(std::max(mix.hidden, mix.depth)) >= 2 * threads;
}
