// The kernels, compiled for each kind of processor, and the choice among them when a program starts.
#include "Kernels.h"

#include "../Support.h"
#include "Parallel.h"
#include "Scratch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Several registers at once are no register of the platform's calling convention; what takes or returns
// them is inlined, so nothing outside of this file meets them.
#pragma clang diagnostic ignored "-Wpsabi"

namespace ctorch {

// For each kind: how wide its registers are, how many rows of results fit into them, and what only it
// has: the first numbers of a register from memory (zeros behind them) and to it, an estimate of 1 / x,
// for the small integers x (of activations) and y (of weights) in two times 32 bits a + x . y
// (`kSumsShort`: with sums in 16 bits between, for at most `kByteRows` rows at once), and the same for
// pairs in bfloat16.

namespace plain {
constexpr const char *kName = "plain";
#if defined(__aarch64__)
constexpr int kWidth = 4, kTileRows = 12;
#else
constexpr int kWidth = 4, kTileRows = 6;
#endif
#include "Plain.h"
#include "Pairs.h"
#include "All.h"
}  // namespace plain

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace avx2 {
constexpr const char *kName = "avx2";
constexpr int kWidth = 8, kTileRows = 6;
static inline __m256i firstLanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline __m256 loadFirst(const float *p, int64_t count) {
  return _mm256_maskload_ps(p, firstLanes(count));
}
static inline void storeFirst(float *p, __m256 v, int64_t count) {
  _mm256_maskstore_ps(p, firstLanes(count), v);
}
static inline __m256 reciprocalEstimate(__m256 x) { return _mm256_rcp_ps(x); }
typedef int8_t Weight8;
typedef uint8_t Activation8;
constexpr bool kSumsShort = true;
constexpr int kByteRows = 3;
static inline __m256i addProducts(__m256i a, __m256i x, __m256i y, __m256i u, __m256i v) {
  __m256i sums = _mm256_add_epi16(_mm256_maddubs_epi16(x, y), _mm256_maddubs_epi16(u, v));
  return _mm256_add_epi32(a, _mm256_madd_epi16(sums, _mm256_set1_epi16(1)));
}
#include "Pairs.h"
#include "All.h"
}  // namespace avx2
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), \
                             apply_to = function)
namespace avx512 {
constexpr const char *kName = "avx512";
#include "Avx512.h"
constexpr bool kSumsShort = true;
constexpr int kByteRows = 7;
static inline __m512i addProducts(__m512i a, __m512i x, __m512i y, __m512i u, __m512i v) {
  __m512i sums = _mm512_add_epi16(_mm512_maddubs_epi16(x, y), _mm512_maddubs_epi16(u, v));
  return _mm512_add_epi32(a, _mm512_madd_epi16(sums, _mm512_set1_epi16(1)));
}
#include "Pairs.h"
#include "All.h"
}  // namespace avx512
#pragma clang attribute pop

#pragma clang attribute push(                                                               \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"))), apply_to = \
    function)
namespace vnni {
constexpr const char *kName = "vnni";
#include "Avx512.h"
#include "Vnni.h"
#include "Pairs.h"
#include "All.h"
}  // namespace vnni
#pragma clang attribute pop

#pragma clang attribute push(                                                               \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,fma"))), \
    apply_to = function)
namespace bf16 {
constexpr const char *kName = "bf16";
#include "Avx512.h"
#include "Vnni.h"
constexpr bool kMultipliesPairs = true;
// Both instructions take denormal numbers for zeros.
static inline __m512 addPairs(__m512 sum, __m512 x, __m512 y) {
  return _mm512_dpbf16_ps(sum, __builtin_bit_cast(__m512bh, x), __builtin_bit_cast(__m512bh, y));
}
static inline __m512 bfloat16(__m512 first, __m512 second) {
  return __builtin_bit_cast(__m512, _mm512_cvtne2ps_pbh(second, first));
}
#include "All.h"
}  // namespace bf16
#pragma clang attribute pop
#endif

/// The widest that this processor has.
const Kernels &kernels() {
  static const Kernels &chosen = [&]() -> const Kernels & {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      if (!__builtin_cpu_supports("avx512vnni")) return avx512::kernels;
      return __builtin_cpu_supports("avx512bf16") ? bf16::kernels : vnni::kernels;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kernels;
#endif
    return plain::kernels;
  }();
  return chosen;
}

}  // namespace ctorch

const char *ct_kernel_name(void) { return ctorch::kernels().name; }

int64_t ct_panel_width(void) { return ctorch::kernels().panelWidth; }

int64_t ct_panels_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().panelsSize(rows, depth);
}

int64_t ct_tiles_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().tilesSize(rows, depth);
}

static int pack(void (*kernel)(const ctorch::MatrixPacking &), const float *weight, int64_t rows,
                int64_t depth, float *packed) {
  return ctorch::catching([&] {
    kernel({.matrix = weight, .rows = rows, .columns = depth, .depth = depth, .packed = packed});
  });
}

int ct_pack_panels(const float *weight, int64_t rows, int64_t depth, float *packed) {
  return pack(ctorch::kernels().packPanelsOfRows, weight, rows, depth, packed);
}

int ct_pack_tiles(const float *weight, int64_t rows, int64_t depth, float *packed) {
  return pack(ctorch::kernels().packTilesOfRows, weight, rows, depth, packed);
}

int64_t ct_strassen_panels_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().strassenPanelsSize(rows, depth);
}

int64_t ct_strassen_tiles_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().strassenTilesSize(rows, depth);
}

int ct_pack_strassen_panels(const float *weight, int64_t rows, int64_t depth, float *packed) {
  return pack(ctorch::kernels().packStrassenPanelsOfRows, weight, rows, depth, packed);
}

int ct_pack_strassen_tiles(const float *weight, int64_t rows, int64_t depth, float *packed) {
  return pack(ctorch::kernels().packStrassenTilesOfRows, weight, rows, depth, packed);
}

int64_t ct_winograd_tiles_size(int64_t rows, int64_t depth, int64_t side) {
  return ctorch::kernels().winogradTilesSize(rows, depth, side);
}

int ct_pack_winograd_tiles(const float *weight, int64_t rows, int64_t depth, int64_t side, float *packed) {
  return ctorch::catching([&] {
    ctorch::kernels().packWinogradTiles(weight, rows, depth, side, packed);
  });
}

bool ct_has_bfloat16_products(void) { return ctorch::kernels().multipliesPairs; }

int64_t ct_bfloat16_panels_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().pairPanelsSize(rows, depth);
}

int64_t ct_bfloat16_tiles_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().pairTilesSize(rows, depth);
}

int ct_pack_bfloat16_panels(const float *weight, int64_t rows, int64_t depth, float *packed) {
  return pack(ctorch::kernels().packPairPanels, weight, rows, depth, packed);
}

int ct_pack_bfloat16_tiles(const float *weight, int64_t rows, int64_t depth, float *packed) {
  return pack(ctorch::kernels().packPairTiles, weight, rows, depth, packed);
}

int64_t ct_byte_group(void) { return ctorch::kernels().byteGroup; }

int64_t ct_byte_steps(void) { return ctorch::kernels().byteSteps; }

int64_t ct_byte_panels_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().bytePanelsSize(rows, depth);
}

int64_t ct_byte_tiles_size(int64_t rows, int64_t depth) {
  return ctorch::kernels().byteTilesSize(rows, depth);
}

int ct_pack_byte_panels(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                        float *scales, float *sums) {
  return ctorch::catching([&] {
    ctorch::kernels().packBytePanels(weight, rows, depth, values, scales, sums);
  });
}

int ct_pack_byte_tiles(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                       float *scales, float *sums) {
  return ctorch::catching([&] {
    ctorch::kernels().packByteTiles(weight, rows, depth, values, scales, sums);
  });
}

int ct_mix_rows(const CTRowMix *mix) {
  return ctorch::catching([&] { ctorch::kernels().mixRows(*mix); });
}

int ct_mix_columns(const CTColumnMix *mix) {
  return ctorch::catching([&] { ctorch::kernels().mixColumns(*mix); });
}

int ct_normalize_maps(const CTMapNorm *norm) {
  return ctorch::catching([&] { ctorch::kernels().normalizeMaps(*norm); });
}

int ct_window_maps(const CTMapWindows *windows) {
  return ctorch::catching([&] { ctorch::kernels().windowMaps(*windows); });
}

int ct_gather_runs(const float *x, const CTRun *runs, int64_t count, float *y) {
  return ctorch::catching([&] { ctorch::kernels().gatherRuns(x, runs, count, y); });
}

int ct_gather_numbers(const float *x, const int32_t *from, int64_t count, float *y) {
  return ctorch::catching([&] { ctorch::kernels().gatherNumbers(x, from, count, y); });
}
