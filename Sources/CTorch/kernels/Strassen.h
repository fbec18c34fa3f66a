// Strassen's product (1969): 2 x 2 blocks in seven products instead of eight, once and not again for the
// parts. No include guard: included once for each kind of processor, after Product.h.
//
// Of two factors A and B, cut in two both ways,
//
//     M1 = (A11 + A22)(B11 + B22)      C11 = M1 + M4 - M5 + M7
//     M2 = (A21 + A22) B11             C12 = M3 + M5
//     M3 = A11 (B12 - B22)             C21 = M2 + M4
//     M4 = A22 (B21 - B11)             C22 = M1 - M2 + M3 + M6
//     M5 = (A11 + A12) B22
//     M6 = (A21 - A11)(B11 + B12)
//     M7 = (A12 - A22)(B21 + B22)
//
// Here the rows of A are those of two tiles, the columns of B those of two panels, and K is cut into its
// even and its odd numbers, so that any even part of K can be multiplied by itself. The sums are packed
// in the place of the numbers: seven halves instead of four. Each product is added from the registers to
// the one or two tiles of results that it belongs to.
//
// Where there is no second panel, its numbers being 0, four products are left: M1, M2, M4 and M7.
//
// A result's rounding error is as large as that of the largest numbers of the four blocks, not only of
// those that it is made of.

constexpr int kSums = 7;

/// Float32, of two tiles and two panels at a time.
struct Strassen : Singles {
  static constexpr int kGroup = 2;
};

template <typename Lanes>
constexpr bool isStrassen = std::is_same_v<Lanes, Strassen>;

/// Floats that `lanes` lanes of a row take, packed.
template <typename Lanes>
INLINE int64_t packedFloats(int64_t lanes) { return isStrassen<Lanes> ? lanes * kSums / 4 : lanes; }

/// How many lanes each of the seven sums has.
INLINE int64_t halfOf(int64_t lanes) { return (lanes + 1) / 2; }

/// The seven sums of blocks of A.
template <typename V>
INLINE void sumsOfRows(V a11, V a12, V a21, V a22, V *sums) {
  sums[0] = a11 + a22;
  sums[1] = a21 + a22;
  sums[2] = a11;
  sums[3] = a22;
  sums[4] = a11 + a12;
  sums[5] = a21 - a11;
  sums[6] = a12 - a22;
}

/// The seven sums of blocks of B.
template <typename V>
INLINE void sumsOfColumns(V b11, V b12, V b21, V b22, V *sums) {
  sums[0] = b11 + b22;
  sums[1] = b11;
  sums[2] = b12 - b22;
  sums[3] = b21 - b11;
  sums[4] = b22;
  sums[5] = b11 + b12;
  sums[6] = b21 + b22;
}

/// From one lane to the next of tiles whose sums will be made: whole registers, as stores that overlap
/// would hold up the loads.
constexpr int kUnsummed = (kTileRows + kWidth - 1) / kWidth * kWidth;
template <typename Lanes>
constexpr int kLaneStride = isStrassen<Lanes> ? kUnsummed : kTileRows;

/// Writes the sums of two tiles [lanes][kUnsummed] to `sums`, each `stride` floats from the last.
INLINE void sumTiles(const float *first, const float *second, int64_t lanes, float *sums,
                     int64_t stride) {
  for (int64_t k = 0; k < lanes; k += 2) {
    for (int r = 0; r < kTileRows; r += kWidth) {
      int64_t even = k * kUnsummed + r, odd = even + kUnsummed;
      bool hasOdd = k + 1 < lanes;
      Vec of[kSums];
      sumsOfRows(load(first + even), hasOdd ? load(first + odd) : splat(0), load(second + even),
                 hasOdd ? load(second + odd) : splat(0), of);
      for (int m = 0; m < kSums; ++m) store(sums + m * stride + k / 2 * kTileRows + r, of[m]);
    }
  }
}

/// Writes the sums of two panels [lanes][kPanel] to `sums`, each `stride` floats from the last; a second one
/// that is null is 0.
INLINE void sumPanels(const float *first, const float *second, int64_t lanes, float *sums,
                      int64_t stride) {
  for (int64_t k = 0; k < lanes; k += 2) {
    for (int half = 0; half < kPanel; half += kWidth) {
      int64_t even = k * kPanel + half, odd = even + kPanel;
      auto at = [&](const float *panel, int64_t i) {
        return panel && (i == even || k + 1 < lanes) ? load(panel + i) : splat(0);
      };
      Vec of[kSums];
      sumsOfColumns(at(first, even), at(second, even), at(first, odd), at(second, odd), of);
      for (int m = 0; m < kSums; ++m) store(sums + m * stride + k / 2 * kPanel + half, of[m]);
    }
  }
}

/// Of two tiles and two panels, four tiles of results, numbered 2 * tile + panel: to which the m-th product is
/// added, and from or to which else. Where a step `begins` one, it is the first to come to it.
struct StrassenStep {
  int m, first, second, sign;
  bool beginsFirst, beginsSecond;
};
constexpr StrassenStep kStepsOfTwo[] = {
    {0, 0, 3, 1, true, true},    // C11 = M1, C22 = M1
    {1, 2, 3, -1, true, false},  // C21 = M2, C22 -= M2
    {2, 1, 3, 1, true, false},   // C12 = M3, C22 += M3
    {3, 0, 2, 1, false, false},  // C11 += M4, C21 += M4
    {4, 1, 0, -1, false, false}, // C12 += M5, C11 -= M5
    {5, 3, 3, 0, false, false},  // C22 += M6
    {6, 0, 0, 0, false, false},  // C11 += M7
};
/// The same of two tiles and one panel.
constexpr StrassenStep kStepsOfOne[] = {
    {0, 0, 0, 0, true, false},   // C11 = M1
    {1, 2, 2, 0, true, false},   // C21 = M2
    {3, 0, 2, 1, false, false},  // C11 += M4, C21 += M4
    {6, 0, 0, 0, false, false},  // C11 += M7
};

INLINE std::span<const StrassenStep> strassenSteps(int64_t panels) {
  return panels > 1 ? std::span<const StrassenStep>(kStepsOfTwo) : kStepsOfOne;
}

/// The product of a step, for tiles of `rows` rows.
INLINE Product productOf(const StrassenStep &step, int rows, int64_t columns = kPanel) {
  if (step.sign == 0) return productOf<Singles, 0>(rows, columns);
  return step.sign > 0 ? productOf<Singles, 1>(rows, columns) : productOf<Singles, -1>(rows, columns);
}
