// What every processor with AVX-512 has. No include guard: included once for each kind of them.

constexpr int kWidth = 16, kTileRows = 14;
typedef int8_t Weight8;
typedef uint8_t Activation8;

static inline __m512 loadFirst(const float *p, int64_t count) {
  return _mm512_maskz_loadu_ps((1u << count) - 1, p);
}
static inline void storeFirst(float *p, __m512 v, int64_t count) {
  _mm512_mask_storeu_ps(p, (1u << count) - 1, v);
}
static inline __m512 reciprocalEstimate(__m512 x) { return _mm512_rcp14_ps(x); }
