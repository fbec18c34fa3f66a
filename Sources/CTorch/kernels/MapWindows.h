// Windows that move over each channel of a map by itself: depthwise convolutions, and the largest number. No
// include guard: included once for each kind of processor, after WeightedSum.h.

/// The sum of a window's numbers times weights, and a bias.
struct WeightedWindow {
  static constexpr float kOutside = 0;

  const float *weight;
  float bias;

  explicit WeightedWindow(const CTMapWindows &of, int64_t channel)
      : weight(of.weight + channel * of.windowHeight * of.windowWidth),
        bias(of.bias ? of.bias[channel] : 0) {}

  float first() const { return bias; }

  template <typename V>
  INLINE_MEMBER V add(V sum, V x, int64_t i) const { return fma(x, splat<V>(weight[i]), sum); }
};

/// Its largest number; what is no number is larger than all.
struct LargestOfWindow {
  static constexpr float kOutside = -INFINITY;

  explicit LargestOfWindow(const CTMapWindows &, int64_t) {}

  float first() const { return kOutside; }

  template <typename V>
  INLINE_MEMBER V add(V most, V x, int64_t) const { return ((x > most) | (x != x)) ? x : most; }
};

/// Rows of windows that are computed at once: as many as registers hold of results.
template <typename V>
constexpr int kWindowRows = 8 * sizeof(Vec) / sizeof(V);

/// A channel with what lies around it, as windows read it: in every row, first what the first column of each
/// window meets and those a multiple of `stride` further on, then what the second meets, and so on. So all
/// windows of a row read side by side. Behind the last column and row there is room for those that are computed
/// in vain.
struct WindowedChannel {
  int64_t phases, phaseLength, rowLength, rows;

  explicit WindowedChannel(const CTMapWindows &of)
      : phases(std::min(of.stride, of.windowWidth)),
        phaseLength(std::max<int64_t>(of.columns, kPanel) + (of.windowWidth - 1) / of.stride),
        rowLength(phases * phaseLength),
        rows((of.rows + kWindowRows<Vec> - 2) * of.stride + of.windowHeight) {}

  /// Floats that it takes.
  int64_t size() const { return rows * rowLength; }

  /// Where the `i`-th number of the first window of a row lies.
  int64_t place(int64_t i, int64_t stride) const { return i % stride * phaseLength + i / stride; }

  /// Writes the channel's numbers to their places; what lies around them stays.
  void fill(const CTMapWindows &of, const float *x, float *numbers) const {
    int64_t lines = std::min(of.height, rows - of.top);
    for (int64_t phase = 0; phase < phases; ++phase) {
      // The i-th number of the phase is the map's at phase - left + i * stride.
      int64_t first = phase - of.left;
      int64_t start = first < 0 ? (-first + of.stride - 1) / of.stride : 0;
      first += start * of.stride;
      int64_t count = std::min(phaseLength - start, (of.width - first + of.stride - 1) / of.stride);
      float *y = numbers + of.top * rowLength + phase * phaseLength + start;
      for (int64_t i = 0; i < lines; ++i) {
        copyRow(x + i * of.width + first, of.stride, count, y + i * rowLength);
      }
    }
  }
};

/// Some rows of windows from `row` on, as many as registers hold. `room`: how many numbers may be written from
/// y on.
template <typename V, typename Window>
INLINE void windowRows(const CTMapWindows &of, const WindowedChannel &channel, const float *numbers,
                       const Window &window, int64_t row, float *y, int64_t room) {
  constexpr int kRows = kWindowRows<V>;
  constexpr int64_t kCount = sizeof(V) / sizeof(float);
  const int64_t below = of.stride * channel.rowLength;
  const int rows = static_cast<int>(std::min<int64_t>(kRows, of.rows - row));
  for (int64_t next = 0; next < of.columns; next += kCount) {
    // The last columns again, where they do not come out even.
    int64_t column = std::max<int64_t>(0, std::min(next, of.columns - kCount));
    V results[kRows];
#pragma clang loop unroll(full)
    for (int r = 0; r < kRows; ++r) results[r] = splat<V>(window.first());
    const float *line = numbers + row * below + column;
    for (int64_t i = 0, h = 0; h < of.windowHeight; ++h, line += channel.rowLength) {
      for (int64_t w = 0; w < of.windowWidth; ++w, ++i) {
        const float *p = line + channel.place(w, of.stride);
#pragma clang loop unroll(full)
        for (int r = 0; r < kRows; ++r) results[r] = window.add(results[r], load<V>(p + r * below), i);
      }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < kRows; ++r) {
      // What is written behind a short row is written again with the next one.
      int64_t place = r * of.columns + column;
      if (r < rows) storeUpTo(y + place, activate(of.activation, results[r]), room - place);
    }
  }
}

template <typename V, typename Window>
static void windowChannels(const CTMapWindows &of, int64_t first, int64_t end) {
  const WindowedChannel channel(of);
  float *numbers = Scratch::ofThread().floats(0, channel.size());
  std::fill(numbers, numbers + channel.size(), Window::kOutside);
  const int64_t size = of.rows * of.columns;
  for (int64_t i = first; i < end; ++i) {
    const Window window(of, i % of.channels);
    channel.fill(of, of.x + i / of.channels * of.xMapStride + i % of.channels * of.xStride, numbers);
    for (int64_t row = 0; row < of.rows; row += kWindowRows<V>) {
      int64_t place = i * size + row * of.columns;
      windowRows<V>(of, channel, numbers, window, row, of.y + place, end * size - place);
    }
  }
}

template <typename Window>
static void windowMaps(const CTMapWindows &of) {
  parallelParts(of.maps * of.channels, 1, [&](int64_t first, int64_t end) {
    if (of.columns > kWidth) {
      windowChannels<Wide, Window>(of, first, end);
    } else {
      windowChannels<Vec, Window>(of, first, end);
    }
  });
}

static void windowMaps(const CTMapWindows &of) {
  if (of.rows <= 0 || of.columns <= 0) return;
  of.weight ? windowMaps<WeightedWindow>(of) : windowMaps<LargestOfWindow>(of);
}
