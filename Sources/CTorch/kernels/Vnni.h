// What every processor with AVX-512 and VNNI has. No include guard: included once for each kind of them.

constexpr bool kSumsShort = false;
constexpr int kByteRows = kTileRows;

static inline __m512i addProducts(__m512i a, __m512i x, __m512i y, __m512i u, __m512i v) {
  return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(a, x, y), u, v);
}
