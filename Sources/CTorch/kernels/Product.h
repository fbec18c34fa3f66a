// The product that every kernel is made of: a tile of kTileRows x kPanel results, kept in registers.
// No include guard: included once for each kind of processor, after Lanes.h.
//
// One factor is packed in tiles [lanes of K][kTileRows], whose lanes are broadcast, the other in panels
// [lanes of K][kPanel], whose lanes are loaded two registers at a time. Both are read from front to
// back. A lane of K costs 2 kTileRows additions of products, kTileRows broadcasts and two loads. With
// `Pairs` that is twice as much of K; where each addition is one instruction, for as many of them.

constexpr int kPanel = 2 * kWidth;
/// How many lanes of K a product takes at once, so that a tile stays in the first and a panel in the
/// second cache.
constexpr int64_t kDepth = 384;
constexpr int kTileSize = kTileRows * kPanel;

/// A tile of results [Rows][kPanel] becomes that of the sums, or their negatives, or is added to.
template <bool Subtracts, int Rows>
INLINE void write(const Vec sums[Rows][2], float *results, bool adds) {
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) {
    for (int half = 0; half < 2; ++half) {
      float *p = results + r * kPanel + half * kWidth;
      Vec v = Subtracts ? -sums[r][half] : sums[r][half];
      store(p, adds ? load(p) + v : v);
    }
  }
}

/// `first` [Rows][kPanel] = or += tile . panel, for the first Rows rows of the tile; where Sign is not 0 also
/// `second` = or += Sign * tile . panel. Meanwhile it brings a cache line for each of `lanes` from `next` on
/// into the second cache.
template <typename Lanes, int Rows, int Sign>
static void product(const float *tile, const float *panel, int64_t lanes, float *first, bool addsFirst,
                    float *second, bool addsSecond, const float *next) {
  Vec sums[Rows][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) sums[r][0] = sums[r][1] = splat(0);
#pragma clang loop unroll_count(2)
  for (int64_t k = 0; k < lanes; ++k) {
    __builtin_prefetch(next, 0, 2);
    next += 16;
    Vec left = load(panel), right = load(panel + kWidth);
    panel += kPanel;
#pragma clang loop unroll(full)
    for (int r = 0; r < Rows; ++r) {
      Vec x = splat(tile[r]);
      sums[r][0] = Lanes::add(sums[r][0], x, left);
      sums[r][1] = Lanes::add(sums[r][1], x, right);
    }
    tile += kTileRows;
  }
  write<false, Rows>(sums, first, addsFirst);
  if (Sign != 0) write<(Sign < 0), Rows>(sums, second, addsSecond);
}

/// The same where only the first kWidth columns of the panel matter: half the work. Nothing of use stands in
/// the others' results. Even and odd lanes are added up apart, so that no sum has to wait for its last step.
template <typename Lanes, int Rows, int Sign>
static void narrowProduct(const float *tile, const float *panel, int64_t lanes, float *first,
                          bool addsFirst, float *second, bool addsSecond, const float *next) {
  Vec sums[Rows][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) sums[r][0] = sums[r][1] = splat(0);
  auto step = [&](int parity) __attribute__((always_inline)) {
    __builtin_prefetch(next, 0, 2);
    next += 16;
    Vec x = load(panel);
    panel += kPanel;
#pragma clang loop unroll(full)
    for (int r = 0; r < Rows; ++r) sums[r][parity] = Lanes::add(sums[r][parity], splat(tile[r]), x);
    tile += kTileRows;
  };
  for (int64_t k = 1; k < lanes; k += 2) {
    step(0);
    step(1);
  }
  if (lanes % 2 != 0) step(0);
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) {
    sums[r][0] += sums[r][1];
    sums[r][1] = splat(0);
  }
  write<false, Rows>(sums, first, addsFirst);
  if (Sign != 0) write<(Sign < 0), Rows>(sums, second, addsSecond);
}

/// Brings `rows` rows of kPanel floats into the first cache, for what follows a product to find there.
INLINE void fetch(const float *p, int64_t stride, int rows) {
  if (p == nullptr) return;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < kPanel; c += 16) __builtin_prefetch(p + r * stride + c, 0, 3);
  }
}

typedef void (*Product)(const float *, const float *, int64_t, float *, bool, float *, bool,
                        const float *);

template <typename Lanes, int Sign, int... Rows>
static Product productOf(int rows, int64_t columns, std::integer_sequence<int, Rows...>) {
  static const Product whole[] = {product<Lanes, Rows + 1, Sign>...};
  static const Product narrow[] = {narrowProduct<Lanes, Rows + 1, Sign>...};
  return (columns > kWidth ? whole : narrow)[rows - 1];
}

/// The product of a tile of `rows` rows, from 1 to kTileRows, with a panel of `columns`.
template <typename Lanes, int Sign = 0>
INLINE Product productOf(int rows, int64_t columns = kPanel) {
  return productOf<Lanes, Sign>(rows, columns, std::make_integer_sequence<int, kTileRows>());
}

/// How many tiles `rows` rows make, in groups of neighbours.
INLINE int64_t tileCount(int64_t rows, int group = 1) {
  int64_t inEach = (rows + group - 1) / group;
  return group * ((inEach + kTileRows - 1) / kTileRows);
}

/// Where the i-th of the `count` tiles of `rows` rows begins: all have nearly the same height, those of a
/// group exactly, but for rows that the last one lacks.
INLINE int64_t tileStart(int64_t rows, int64_t count, int64_t i, int group = 1) {
  if (group == 1) return rows * i / count;
  int64_t inEach = (rows + group - 1) / group, groups = count / group;
  int64_t start = inEach * (i / group) / groups, end = inEach * (i / group + 1) / groups;
  return std::min(rows, group * start + i % group * (end - start));
}

/// Into how many parts `lanes` lanes of K are cut, of at most kDepth + kPartStep each, and where the i-th
/// begins. Each number is added up part by part.
constexpr int64_t kPartStep = 2 * kPanel;
INLINE int64_t partCount(int64_t lanes) { return (lanes + kDepth - 1) / kDepth; }
INLINE int64_t partStart(int64_t lanes, int64_t i) {
  int64_t parts = partCount(lanes);
  return i == parts ? lanes : lanes * i / parts / kPartStep * kPartStep;
}

/// Lanes from one packed tile to the next: `packColumns` writes a little beyond a tile's end.
INLINE int64_t tileStride(int64_t lanes) { return lanes * kTileRows + kWidth; }
INLINE int64_t panelCount(int64_t columns) { return (columns + kPanel - 1) / kPanel; }
INLINE int64_t padded(int64_t columns) { return panelCount(columns) * kPanel; }

// MARK: Transposition

template <int Distance, bool High, int... Lanes>
INLINE Vec exchange(Vec a, Vec b, std::integer_sequence<int, Lanes...>) {
  return __builtin_shufflevector(
      a, b,
      ((Lanes & Distance) ? kWidth + Lanes - (High ? 0 : Distance)
                          : Lanes + (High ? Distance : 0))...);
}

template <int Distance>
INLINE void exchangeBlocks(Vec *rows) {
  constexpr auto lanes = std::make_integer_sequence<int, kWidth>();
#pragma clang loop unroll(full)
  for (int i = 0; i < kWidth; ++i) {
    if (i & Distance) continue;
    Vec a = rows[i], b = rows[i + Distance];
    rows[i] = exchange<Distance, false>(a, b, lanes);
    rows[i + Distance] = exchange<Distance, true>(a, b, lanes);
  }
}

/// Turns kWidth rows of kWidth numbers into columns, in registers.
INLINE void transpose(Vec *rows) {
  if constexpr (kWidth > 8) exchangeBlocks<kWidth / 2>(rows);
  if constexpr (kWidth > 4) exchangeBlocks<4>(rows);
  exchangeBlocks<2>(rows);
  exchangeBlocks<1>(rows);
}

/// Writes columns [count][kTileRows] of a tile, each `Stride` floats from the last, from rows that
/// `row(r, k)` loads at k, for `rows` <= kTileRows of them. Columns are written front to back, kWidth floats
/// for each: up to kWidth floats behind the last are overwritten.
template <int Stride = kTileRows, typename Row>
INLINE void packColumns(int64_t rows, int64_t count, float *tile, Row row) {
  for (int64_t k = 0; k < count; k += kWidth) {
    for (int first = 0; first < kTileRows; first += kWidth) {
      Vec block[kWidth];
#pragma clang loop unroll(full)
      for (int r = 0; r < kWidth; ++r) {
        block[r] = first + r < rows ? row(first + r, k) : splat(0);
      }
      transpose(block);
      int64_t columns = std::min<int64_t>(kWidth, count - k);
      for (int64_t c = 0; c < columns; ++c) {
        float *target = tile + (k + c) * Stride + first;
        if (first + kWidth <= kTileRows || kTileRows < kWidth) {
          store(target, block[c]);
        } else {
          storeFirst(target, block[c], kTileRows - first);
        }
      }
    }
  }
}
