// Products of 8-bit integers without an instruction for them. No include guard: included for each kind
// of processor that lacks it.

typedef float Floats __attribute__((ext_vector_type(kWidth)));
typedef int32_t Ints __attribute__((ext_vector_type(kWidth)));
typedef int16_t Weight8, Activation8;

/// a + x . y for each two integers of 16 bits.
static inline __attribute__((always_inline)) Ints addProducts(Ints a, Ints x, Ints y) {
  return a + ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
}
