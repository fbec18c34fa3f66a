// Products of bytes without an instruction for them. No include guard: included for each kind of
// processor that lacks it.

typedef float Floats __attribute__((ext_vector_type(kWidth)));
typedef int32_t Ints __attribute__((ext_vector_type(kWidth)));

/// a + x . y for each four bytes, x unsigned and y signed.
static inline __attribute__((always_inline)) Ints addProducts(Ints a, Ints x, Ints y) {
  for (int shift = 0; shift < 32; shift += 8) {
    a += ((x >> shift) & 255) * ((y << (24 - shift)) >> 24);
  }
  return a;
}
