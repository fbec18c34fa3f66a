// Maps that are normalised as a whole, scaled and activated: what several layers read, and what no layer takes
// into itself. No include guard: included once for each kind of processor, after ColumnPanels.h.

/// Writes some channels of a map of which `of` are the moments.
static void writeChannels(const CTMapNorm &norm, int64_t map, int64_t first, int64_t end, Moments of) {
  for (int64_t c = first; c < end; ++c) {
    // (x - mean) * deviation^-1 * gain + shift
    Wide factor = splat<Wide>(norm.gain ? of.scale * norm.gain[c] : of.scale);
    Wide shift = splat<Wide>(norm.shift ? norm.shift[c] : 0), mean = splat<Wide>(of.mean);
    const float *x = norm.x + map * norm.xMapStride + c * norm.xStride;
    float *y = norm.y + (map * norm.channels + c) * norm.positions;
    for (int64_t i = 0; i < norm.positions; i += kPanel) {
      int64_t count = norm.positions - i;
      Wide v = fma(loadUpTo<Wide>(x + i, count) - mean, factor, shift);
      storeUpTo(y + i, activate(norm.activation, v), count);
    }
  }
}

static void normalizeMaps(const CTMapNorm &norm) {
  CTColumnMix maps = {.batch = norm.maps, .tokens = norm.channels, .channels = norm.positions};
  maps.x = norm.x;
  maps.xBatchStride = norm.xMapStride;
  maps.xStride = norm.xStride;
  maps.normalization = CT_MATRIX_NORM;
  maps.epsilon = norm.epsilon;
  if (norm.channels == 0 || norm.positions == 0) return;
  if (hasManyMatrices(norm.maps)) {
    return parallelFor(norm.maps, [&](int64_t map) {
      auto of = reinterpret_cast<Moments *>(Scratch::ofThread().floats(4, 2 * norm.channels));
      momentsOfMatrix(maps, map, of);
      writeChannels(norm, map, 0, norm.channels, of[0]);
    });
  }
  auto of = reinterpret_cast<Moments *>(Scratch::ofThread().floats(4, 2 * norm.channels));
  for (int64_t map = 0; map < norm.maps; ++map) {
    momentsOfMatrixByAll(maps, map, of);
    parallelParts(norm.channels, 1, [&](int64_t first, int64_t end) {
      writeChannels(norm, map, first, end, of[0]);
    });
  }
}
