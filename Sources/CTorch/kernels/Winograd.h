// Convolutions with kernels of 3 x 3 by minimal filtering (Winograd 1980; Lavin and Gray, arXiv:1509.09308): squares
// of m x m results from m^2 + 4m + 4 products instead of 9 m^2. No include guard: included once for each kind of
// processor, after MixColumns.h and WeightedSum.h.
//
// Of m results in a row, y_i = sum over k of g_k d_(i+k), each is a sum over n = m + 2 products of one number made of
// the three g with one made of the n numbers d. Turned around, that is how polynomials are multiplied by their values
// at n points (Toom and Cook), here 0, pairs p and -p, and infinity. With M(x) = x prod(x^2 - p^2):
//
//     data     the coefficients of M(x) / (x - p) times d, for infinity those of M
//     weights  g(p) / M'(p), for infinity g_2
//     results  y_i = sum over the points of p^i times the product, for infinity only y_(m-1)
//
// The pairs share what is even and what is odd in p. Columns come first, then rows: an n x n square of data becomes
// n^2 numbers, each of which is multiplied with its own of the weights, and added up over the channels: n^2 matrix
// products, for the squares of all maps.

/// Squares of 2 x 2 results, by the points 0, 1, -1.
struct WinogradOfTwo {
  static constexpr int kSide = 2;

  /// Of n numbers, those that are multiplied.
  template <typename V>
  INLINE_MEMBER static void data(const V *d, V *of) {
    of[0] = d[2] - d[0];
    of[1] = d[2] + d[1];
    of[2] = d[2] - d[1];
    of[3] = d[3] - d[1];
  }

  static void weights(const double *g, double *of) {
    of[0] = -g[0];
    of[1] = (g[0] + g[1] + g[2]) / 2;
    of[2] = (g[0] - g[1] + g[2]) / 2;
    of[3] = g[2];
  }

  template <typename V>
  INLINE_MEMBER static void results(const V *m, V *y) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
  }
};

/// Squares of 4 x 4 results, by the points 0, a, -a, b, -b. With these two, of which all that follows is exact in
/// float32, results are off by a fifth of what they are with 1 and 2: 1e-5 of their deviation at most, of 450 channels.
struct WinogradOfFour {
  static constexpr int kSide = 4;
  static constexpr float a = 0.625f, b = 1.5f;
  static constexpr float aa = a * a, bb = b * b;

  template <typename V>
  INLINE_MEMBER static void data(const V *d, V *of) {
    auto plus = [](V x, float factor, V y) INLINE_MEMBER { return fma(y, splat<V>(factor), x); };
    V evenOfA = plus(d[4], -bb, d[2]), oddOfA = plus(d[3], -bb, d[1]) * splat<V>(a);
    V evenOfB = plus(d[4], -aa, d[2]), oddOfB = plus(d[3], -aa, d[1]) * splat<V>(b);
    of[0] = plus(plus(d[4], -(aa + bb), d[2]), aa * bb, d[0]);
    of[1] = evenOfA + oddOfA;
    of[2] = evenOfA - oddOfA;
    of[3] = evenOfB + oddOfB;
    of[4] = evenOfB - oddOfB;
    of[5] = plus(plus(d[5], -(aa + bb), d[3]), aa * bb, d[1]);
  }

  static void weights(const double *g, double *of) {
    double ofA = 2.0 * aa * (aa - bb), ofB = 2.0 * bb * (bb - aa);
    of[0] = g[0] / (aa * bb);
    of[1] = (g[0] + a * g[1] + aa * g[2]) / ofA;
    of[2] = (g[0] - a * g[1] + aa * g[2]) / ofA;
    of[3] = (g[0] + b * g[1] + bb * g[2]) / ofB;
    of[4] = (g[0] - b * g[1] + bb * g[2]) / ofB;
    of[5] = g[2];
  }

  template <typename V>
  INLINE_MEMBER static void results(const V *m, V *y) {
    V evenA = m[1] + m[2], oddA = (m[1] - m[2]) * splat<V>(a);
    V evenB = m[3] + m[4], oddB = (m[3] - m[4]) * splat<V>(b);
    y[0] = m[0] + evenA + evenB;
    y[1] = oddA + oddB;
    y[2] = fma(evenA, splat<V>(aa), evenB * splat<V>(bb));
    y[3] = fma(oddA, splat<V>(aa), fma(oddB, splat<V>(bb), m[5]));
  }
};

/// Applies `each`, which makes kTo numbers of kFrom, to the columns and then to the rows of a square.
template <int kFrom, int kTo, typename V, typename Each, typename Read, typename Write>
INLINE void forSquare(Each each, Read read, Write write) {
  V between[kTo][kFrom], numbers[kFrom], made[kTo];
#pragma clang loop unroll(full)
  for (int c = 0; c < kFrom; ++c) {
#pragma clang loop unroll(full)
    for (int r = 0; r < kFrom; ++r) numbers[r] = read(r, c);
    each(numbers, made);
#pragma clang loop unroll(full)
    for (int r = 0; r < kTo; ++r) between[r][c] = made[r];
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < kTo; ++r) {
    each(between[r], made);
#pragma clang loop unroll(full)
    for (int c = 0; c < kTo; ++c) write(r, c, made[c]);
  }
}

// MARK: Weights

/// Weights [rows, channels, 3, 3] as so many matrices, each packed in tiles.
template <typename Winograd>
struct WinogradWeights {
  static constexpr int kPatch = Winograd::kSide + 2, kCount = kPatch * kPatch;

  static int64_t matrixSize(int64_t rows, int64_t channels) {
    return (tilesSize<Singles>(rows, channels) + kPanel - 1) / kPanel * kPanel;
  }

  static void pack(const float *weight, int64_t rows, int64_t channels, float *packed) {
    std::vector<float> matrices(kCount * rows * channels);
    parallelParts(rows * channels, 64, [&](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i) {
        double columns[kPatch][3], made[kPatch];
        for (int c = 0; c < 3; ++c) {
          const float *g = weight + i * 9 + c;
          const double column[3] = {g[0], g[3], g[6]};
          Winograd::weights(column, made);
          for (int r = 0; r < kPatch; ++r) columns[r][c] = made[r];
        }
        for (int r = 0; r < kPatch; ++r) {
          Winograd::weights(columns[r], made);
          for (int c = 0; c < kPatch; ++c) {
            matrices[(r * kPatch + c) * rows * channels + i] = static_cast<float>(made[c]);
          }
        }
      }
    });
    for (int i = 0; i < kCount; ++i) {
      MatrixPacking packing = {.matrix = matrices.data() + i * rows * channels, .rows = rows};
      packing.columns = packing.depth = channels;
      packing.packed = packed + i * matrixSize(rows, channels);
      packTilesOfRows<Singles>(packing);
    }
  }
};

// MARK: Convolutions

/// Squares of results side by side in one line of squares of a map; line and column count squares.
struct WinogradRun {
  int64_t map, line, column, count;
  int64_t start;  // its place among the squares that are computed at once
};

template <typename Winograd>
class WinogradConvolution {
  static constexpr int kSide = Winograd::kSide, kPatch = kSide + 2, kCount = kPatch * kPatch;

 public:
  explicit WinogradConvolution(const CTColumnMix &mix)
      : mix_(mix), channels_(mix.mapRows), height_(mix.channels / mix.mapWidth), width_(mix.mapWidth),
        across_((width_ + kSide - 1) / kSide), squares_(across_ * ((height_ + kSide - 1) / kSide)) {}

  void operator()() const {
    int64_t threads = at::get_num_threads(), panels = panelCount(mix_.batch * squares_);
    // So many at once that as much is read of weights as is written and read again of data and products.
    int64_t atOnce = std::max<int64_t>(1, panelCount(channels_ * mix_.rows / (2 * (channels_ + mix_.rows))));
    int64_t groups = (panels + atOnce - 1) / atOnce;
    if (groups % threads == 0 || groups >= 4 * threads) {
      parallelFor(groups, [&](int64_t i) { compute(panels * i / groups, panels * (i + 1) / groups); });
      return;
    }
    groups = (panels + threads * atOnce - 1) / (threads * atOnce);
    for (int64_t i = 0; i < groups; ++i) compute(panels * i / groups, panels * (i + 1) / groups);
  }

 private:
  const CTColumnMix &mix_;
  const int64_t channels_, height_, width_;
  const int64_t across_, squares_;  // of squares: those of a line, and of a map

  /// Some panels of squares, shared by all threads, unless one of several threads calls this.
  void compute(int64_t firstPanel, int64_t endPanel) const {
    int64_t panels = endPanel - firstPanel;
    Group of = {firstPanel * kPanel, std::min(endPanel * kPanel, mix_.batch * squares_), panels};
    // A line more, so that the matrices' rows do not all fall into the same places of the caches.
    of.dataStride = (panels * channels_ + 1) * kPanel;
    of.productStride = (panels * mix_.rows + 1) * kPanel;
    of.data = Scratch::ofThread().floats(0, kCount * of.dataStride);
    of.products = Scratch::ofThread().floats(1, kCount * of.productStride);
    parallelParts(channels_, 4, [&](int64_t first, int64_t end) { makeData(of, first, end); });
    parallelFor(kCount, [&](int64_t i) { multiply(of, i); });
    parallelParts(mix_.rows, 4, [&](int64_t first, int64_t end) { makeResults(of, first, end); });
  }

  /// Squares from `first` to `end`, in whole panels.
  struct Group {
    int64_t first, end, panels;
    int64_t dataStride, productStride;  // from a matrix to the next
    float *data;                        // [kCount][panels][channels][kPanel]
    float *products;                    // [kCount][panels][rows][kPanel]

    int64_t size() const { return panels * kPanel; }
    /// With room for what is written behind the last one.
    int64_t patchStride() const { return size() + kWidth; }
  };

  template <typename Body>
  INLINE_MEMBER void forRuns(const Group &of, Body body) const {
    for (int64_t i = of.first; i < of.end;) {
      int64_t within = i % squares_, column = within % across_;
      int64_t count = std::min(across_ - column, of.end - i);
      body(WinogradRun{i / squares_, within / across_, column, count, i - of.first});
      i += count;
    }
  }

  /// Data of some channels.
  void makeData(const Group &of, int64_t first, int64_t end) const {
    // A line of a map, with zeros around it, and its every kSide-th number from the first ones on; and the
    // numbers at one place of all patches, for each place.
    int64_t length = across_ * kSide + 2 + kPanel, phase = across_ + 1 + kPanel, stride = of.patchStride();
    int64_t size = length + kSide * phase + kCount * stride;
    float *line = Scratch::ofThread().floats(2, size);
    float *phases = line + length, *patches = phases + kSide * phase;
    std::fill_n(line, size, 0.0f);
    for (int64_t channel = first; channel < end; ++channel) {
      forRuns(of, [&](const WinogradRun &run) INLINE_MEMBER {
        const float *map = mix_.x + run.map * mix_.xBatchStride + channel * mix_.xStride;
        for (int r = 0; r < kPatch; ++r) {
          int64_t y = run.line * kSide + r - 1;
          float *target = patches + r * kPatch * stride + run.start;
          if (y < 0 || y >= height_) {
            for (int c = 0; c < kPatch; ++c) std::fill_n(target + c * stride, run.count, 0.0f);
            continue;
          }
          copyRow(map + y * width_, 1, width_, line + 1);
          const float *begin = line + run.column * kSide;
          for (int64_t i = 0; i <= run.count; ++i) {
            for (int c = 0; c < kSide; ++c) phases[c * phase + i] = begin[i * kSide + c];
          }
          for (int c = 0; c < kPatch; ++c) {
            const float *from = phases + c % kSide * phase + c / kSide;
            // What is written behind a run is written again with the next one.
            for (int64_t i = 0; i < run.count; i += kWidth) {
              store(target + c * stride + i, load(from + i));
            }
          }
        }
      });
      for (int64_t panel = 0; panel < of.panels; ++panel) {
        const float *from = patches + panel * kPanel;
        float *to = of.data + (panel * channels_ + channel) * kPanel;
        forSquare<kPatch, kPatch, Wide>(
            [](const Wide *d, Wide *of) INLINE_MEMBER { Winograd::data(d, of); },
            [&](int r, int c) INLINE_MEMBER { return load<Wide>(from + (r * kPatch + c) * stride); },
            [&](int r, int c, Wide v) INLINE_MEMBER { store(to + (r * kPatch + c) * of.dataStride, v); });
      }
    }
  }

  /// One of the matrix products.
  void multiply(const Group &of, int64_t matrix) const {
    const float *weight = mix_.weight + matrix * WinogradWeights<Winograd>::matrixSize(mix_.rows, channels_);
    const float *data = of.data + matrix * of.dataStride;
    float *products = of.products + matrix * of.productStride;
    int64_t tiles = tileCount(mix_.rows), parts = partCount(channels_);
    for (int64_t part = 0; part < parts; ++part) {
      int64_t begin = partStart(channels_, part), end = partStart(channels_, part + 1);
      for (int64_t i = 0; i < tiles; ++i) {
        int64_t row = tileStart(mix_.rows, tiles, i);
        int height = static_cast<int>(tileStart(mix_.rows, tiles, i + 1) - row);
        const float *tile = weight + (i * channels_ + begin) * kTileRows;
        for (int64_t panel = 0; panel < of.panels; ++panel) {
          productOf<Singles>(height, of.end - of.first - panel * kPanel)(
              tile, data + (panel * channels_ + begin) * kPanel, end - begin,
              products + (panel * mix_.rows + row) * kPanel, part > 0, nullptr, false,
              tile + channels_ * kTileRows);
        }
      }
    }
  }

  /// Results of some rows.
  void makeResults(const Group &of, int64_t first, int64_t end) const {
    int64_t length = across_ * kSide + kPanel;
    float *line = Scratch::ofThread().floats(2, length + kSide * kSide * of.size() + kPanel);
    float *results = line + length;
    for (int64_t row = first; row < end; ++row) {
      for (int64_t panel = 0; panel < of.panels; ++panel) {
        const float *from = of.products + (panel * mix_.rows + row) * kPanel;
        float *to = results + panel * kPanel;
        forSquare<kPatch, kSide, Wide>(
            [](const Wide *m, Wide *y) INLINE_MEMBER { Winograd::results(m, y); },
            [&](int r, int c) INLINE_MEMBER { return load<Wide>(from + (r * kPatch + c) * of.productStride); },
            [&](int r, int c, Wide v) INLINE_MEMBER { store(to + (r * kSide + c) * of.size(), v); });
      }
      forRuns(of, [&](const WinogradRun &run) INLINE_MEMBER {
        int64_t column = run.column * kSide, count = std::min(run.count * kSide, width_ - column);
        for (int r = 0; r < kSide && run.line * kSide + r < height_; ++r) {
          const float *from = results + r * kSide * of.size() + run.start;
          for (int64_t i = 0; i < run.count; ++i) {
            for (int c = 0; c < kSide; ++c) line[i * kSide + c] = from[c * of.size() + i];
          }
          int64_t place = (run.line * kSide + r) * width_ + column;
          for (int64_t i = 0; i < count; i += kPanel) {
            finishRowOfColumns(mix_, run.map, row, place + i, count - i, load<Wide>(line + i));
          }
        }
      });
    }
  }
};

static int64_t winogradTilesSize(int64_t rows, int64_t depth, int64_t side) {
  auto size = [&](auto weights) { return decltype(weights)::kCount * weights.matrixSize(rows, depth / 9); };
  return side == 2 ? size(WinogradWeights<WinogradOfTwo>()) : size(WinogradWeights<WinogradOfFour>());
}

static void packWinogradTiles(const float *weight, int64_t rows, int64_t depth, int64_t side, float *packed) {
  auto pack = [&](auto weights) { weights.pack(weight, rows, depth / 9, packed); };
  side == 2 ? pack(WinogradWeights<WinogradOfTwo>()) : pack(WinogradWeights<WinogradOfFour>());
}

static void convolveMaps(const CTColumnMix &mix) {
  if (mix.channels <= 0) return;
  mix.winograd == 2 ? WinogradConvolution<WinogradOfTwo>(mix)() : WinogradConvolution<WinogradOfFour>(mix)();
}
