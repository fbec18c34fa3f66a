// What needs no instruction of a kind of processor. No include guard: included where there are no such.

typedef float Floats __attribute__((ext_vector_type(kWidth)));
typedef int32_t Ints __attribute__((ext_vector_type(kWidth)));
typedef int16_t Weight8, Activation8;

static inline __attribute__((always_inline)) Floats loadFirst(const float *p, int64_t count) {
  Floats v = {};
  for (int64_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
}
static inline __attribute__((always_inline)) void storeFirst(float *p, Floats v, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
}
static inline Floats reciprocalEstimate(Floats x) { return 1.0f / x; }

constexpr bool kSumsShort = false;
constexpr int kByteRows = kTileRows;

/// a + x . y + u . v for each two integers of 16 bits.
static inline __attribute__((always_inline)) Ints addProducts(Ints a, Ints x, Ints y, Ints u, Ints v) {
  auto product = [](Ints p, Ints q) __attribute__((always_inline)) {
    return ((p << 16) >> 16) * ((q << 16) >> 16) + (p >> 16) * (q >> 16);
  };
  return a + product(x, y) + product(u, v);
}
