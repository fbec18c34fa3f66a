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

/// `result` [Rows][kPanel] = or += tile . panel, for the first Rows rows of the tile. Meanwhile it
/// brings a cache line for each of `lanes` from `next` on into the second cache.
template <typename Lanes, int Rows>
static void product(const float *tile, const float *panel, int64_t lanes, float *result,
                    bool accumulates, const float *next) {
  Vec sums[Rows][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) {
    sums[r][0] = accumulates ? load(result + r * kPanel) : splat(0);
    sums[r][1] = accumulates ? load(result + r * kPanel + kWidth) : splat(0);
  }
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
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) {
    store(result + r * kPanel, sums[r][0]);
    store(result + r * kPanel + kWidth, sums[r][1]);
  }
}

/// The same where only the first kWidth columns of the panel matter: half the work. Zeros stand in the
/// others' results. Even and odd lanes are added up apart, so that no sum has to wait for its last step.
template <typename Lanes, int Rows>
static void narrowProduct(const float *tile, const float *panel, int64_t lanes, float *result,
                          bool accumulates, const float *next) {
  Vec even[Rows], odd[Rows];
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) {
    even[r] = accumulates ? load(result + r * kPanel) : splat(0);
    odd[r] = splat(0);
  }
  auto step = [&](Vec *sums) __attribute__((always_inline)) {
    __builtin_prefetch(next, 0, 2);
    next += 16;
    Vec x = load(panel);
    panel += kPanel;
#pragma clang loop unroll(full)
    for (int r = 0; r < Rows; ++r) sums[r] = Lanes::add(sums[r], splat(tile[r]), x);
    tile += kTileRows;
  };
  for (int64_t k = 1; k < lanes; k += 2) {
    step(even);
    step(odd);
  }
  if (lanes % 2 != 0) step(even);
#pragma clang loop unroll(full)
  for (int r = 0; r < Rows; ++r) {
    store(result + r * kPanel, even[r] + odd[r]);
    store(result + r * kPanel + kWidth, splat(0));
  }
}

/// Brings `rows` rows of kPanel floats into the first cache, for what follows a product to find there.
INLINE void fetch(const float *p, int64_t stride, int rows) {
  if (p == nullptr) return;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < kPanel; c += 16) __builtin_prefetch(p + r * stride + c, 0, 3);
  }
}

typedef void (*Product)(const float *, const float *, int64_t, float *, bool, const float *);

template <typename Lanes, int... Rows>
static Product productOf(int rows, int64_t columns, std::integer_sequence<int, Rows...>) {
  static const Product whole[] = {product<Lanes, Rows + 1>...};
  static const Product narrow[] = {narrowProduct<Lanes, Rows + 1>...};
  return (columns > kWidth ? whole : narrow)[rows - 1];
}

/// The product of a tile of `rows` rows, from 1 to kTileRows, with a panel of `columns`.
template <typename Lanes = Singles>
INLINE Product productOf(int rows, int64_t columns = kPanel) {
  return productOf<Lanes>(rows, columns, std::make_integer_sequence<int, kTileRows>());
}

/// Where the i-th of the `count` tiles of `rows` rows begins: all have nearly the same height.
INLINE int64_t tileStart(int64_t rows, int64_t count, int64_t i) { return rows * i / count; }
INLINE int64_t tileCount(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
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

/// Writes columns [count][kTileRows] of a tile from rows that `row(r, k)` loads at k, for
/// `rows` <= kTileRows of them. Columns are written front to back, kWidth floats for each: up to kWidth
/// floats behind the last are overwritten.
template <typename Row>
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
        float *target = tile + (k + c) * kTileRows + first;
        if (first + kWidth <= kTileRows || kTileRows < kWidth) {
          store(target, block[c]);
        } else {
          storeFirst(target, block[c], kTileRows - first);
        }
      }
    }
  }
}
