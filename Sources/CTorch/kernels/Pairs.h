// Products of pairs of numbers in bfloat16 without an instruction for them. No include guard: included
// for each kind of processor that lacks it.

constexpr bool kMultipliesPairs = false;

typedef float Floats __attribute__((ext_vector_type(kWidth)));
typedef int32_t Ints __attribute__((ext_vector_type(kWidth)));

/// sum + x . y for the two numbers in each 32 bits.
static inline __attribute__((always_inline)) Floats addPairs(Floats sum, Floats x, Floats y) {
  const Ints upper = (Ints)(-1 << 16);
  Ints a = __builtin_bit_cast(Ints, x), b = __builtin_bit_cast(Ints, y);
  sum = __builtin_elementwise_fma(__builtin_bit_cast(Floats, a << 16),
                                  __builtin_bit_cast(Floats, b << 16), sum);
  return __builtin_elementwise_fma(__builtin_bit_cast(Floats, a & upper),
                                   __builtin_bit_cast(Floats, b & upper), sum);
}

/// The numbers of `first`, then those of `second`, rounded to the nearest bfloat16, ties to even.
static inline __attribute__((always_inline)) Floats bfloat16(Floats first, Floats second) {
  typedef int16_t Halves __attribute__((ext_vector_type(kWidth)));
  Halves halves[2];
  Floats both[2] = {first, second};
  for (int i = 0; i < 2; ++i) {
    Ints v = __builtin_bit_cast(Ints, both[i]);
    // What is no number stays so.
    Ints rounded = both[i] == both[i] ? v + ((v >> 16) & 1) + 0x7fff : v | 0x400000;
    halves[i] = __builtin_convertvector(rounded >> 16, Halves);
  }
  Floats result;
  __builtin_memcpy(&result, halves, sizeof result);
  return result;
}
