// AdamW, averaged weights and copies in low precision in one pass over memory; the gradients' norm.
//
// The pass is bound by memory: 38 bytes for each parameter with an average and a copy, where separate
// passes for clipping, AdamW, the average and autocast's conversion move 54.
#include "../Support.h"
#include "Parallel.h"

#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <tuple>
#include <vector>

// The loops below are compiled for several instruction sets; the widest that the processor has runs.
#if defined(__x86_64__) && defined(__clang__)
#define CTORCH_WIDE 1
#define CTORCH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define CTORCH_AVX2 __attribute__((target("avx2,fma")))
#endif
#define CTORCH_INLINE inline __attribute__((always_inline))

#if __has_builtin(__builtin_elementwise_sqrt)
#define CTORCH_SQRT(x) __builtin_elementwise_sqrt(x)
#else
#define CTORCH_SQRT(x) std::sqrt(x)
#endif

namespace {

/// Elements that a thread takes at a time.
constexpr int64_t part = 1 << 15;

std::vector<at::Tensor> borrowed(const CTTensor *tensors, int32_t count) {
  std::vector<at::Tensor> result(count);
  if (tensors == nullptr) return result;
  for (int i = 0; i < count; ++i) result[i] = ctorch::borrow(tensors[i]);
  return result;
}

bool isPlain(const at::Tensor &tensor, at::ScalarType type = at::kFloat) {
  return !tensor.defined() ||
         (tensor.is_cpu() && tensor.scalar_type() == type && tensor.is_contiguous());
}

/// The elements of a list of tensors, one after the other.
class Elements {
 public:
  explicit Elements(const std::vector<at::Tensor> &tensors) {
    starts.reserve(tensors.size() + 1);
    starts.push_back(0);
    for (auto &tensor : tensors) starts.push_back(starts.back() + tensor.numel());
  }

  int64_t parts() const { return (starts.back() + part - 1) / part; }

  /// Calls `body(tensor, offset, count)` for each tensor's share of a part.
  template <typename Body>
  void each(int64_t index, const Body &body) const {
    auto begin = index * part;
    auto end = std::min(begin + part, starts.back());
    auto next = std::upper_bound(starts.begin(), starts.end(), begin);
    for (auto tensor = next - starts.begin() - 1; begin < end; ++tensor) {
      auto stop = std::min(end, starts[tensor + 1]);
      if (stop > begin) body(tensor, begin - starts[tensor], stop - begin);
      begin = stop;
    }
  }

 private:
  std::vector<int64_t> starts;
};

// MARK: The loops

struct Factors {
  float scale, kept, share1, beta2, share2, rate, root, epsilon, average;

  explicit Factors(const CTAdamW &s)
      : scale(s.gradientScale),
        kept(1 - s.learningRate * s.weightDecay),
        share1(1 - s.beta1),
        beta2(s.beta2),
        share2(1 - s.beta2),
        rate(s.learningRate / (1 - std::pow(s.beta1, static_cast<double>(s.step)))),
        root(1 / std::sqrt(1 - std::pow(s.beta2, static_cast<double>(s.step)))),
        epsilon(s.epsilon),
        average(s.averageShare) {}
};

struct Pointers {
  float *parameter;
  const float *gradient;
  float *first, *second, *average;
  uint16_t *copy;
};

/// To the nearest bfloat16, ties to even; what is not a number stays none.
CTORCH_INLINE uint16_t rounded(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return static_cast<uint16_t>(value != value ? 0x7fc0 : nearest);
}

template <bool hasAverage, bool hasCopy>
CTORCH_INLINE void adamw(const Pointers &at, int64_t count, const Factors &given) {
  float *__restrict p = at.parameter;
  const float *__restrict g = at.gradient;
  float *__restrict m = at.first;
  float *__restrict v = at.second;
  float *__restrict average = at.average;
  uint16_t *__restrict copy = at.copy;
  const Factors f = given;
  for (int64_t i = 0; i < count; ++i) {
    float gradient = f.scale * g[i];
    float first = m[i] + f.share1 * (gradient - m[i]);
    float second = f.beta2 * v[i] + f.share2 * gradient * gradient;
    float value = f.kept * p[i] - f.rate * first / (CTORCH_SQRT(second) * f.root + f.epsilon);
    m[i] = first;
    v[i] = second;
    p[i] = value;
    if constexpr (hasAverage) average[i] += f.average * (value - average[i]);
    if constexpr (hasCopy) copy[i] = rounded(value);
  }
}

CTORCH_INLINE void anyAdamW(const Pointers &at, int64_t count, const Factors &f) {
  if (at.average && at.copy) return adamw<true, true>(at, count, f);
  if (at.average) return adamw<true, false>(at, count, f);
  if (at.copy) return adamw<false, true>(at, count, f);
  adamw<false, false>(at, count, f);
}

/// The sum of squares; at most `part` of them.
CTORCH_INLINE double squares(const float *x, int64_t count) {
  constexpr int lanes = 64;
  float sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int lane = 0; lane < lanes; ++lane) sums[lane] += x[i + lane] * x[i + lane];
  }
  double sum = 0;
  for (float lane : sums) sum += lane;
  for (; i < count; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

using AdamWLoop = void (*)(const Pointers &, int64_t, const Factors &);
using SquaresLoop = double (*)(const float *, int64_t);

void plainAdamW(const Pointers &at, int64_t count, const Factors &f) { anyAdamW(at, count, f); }
double plainSquares(const float *x, int64_t count) { return squares(x, count); }

#ifdef CTORCH_WIDE
CTORCH_AVX2 void adamw256(const Pointers &at, int64_t count, const Factors &f) {
  anyAdamW(at, count, f);
}
CTORCH_AVX512 void adamw512(const Pointers &at, int64_t count, const Factors &f) {
  anyAdamW(at, count, f);
}
CTORCH_AVX2 double squares256(const float *x, int64_t count) { return squares(x, count); }
CTORCH_AVX512 double squares512(const float *x, int64_t count) { return squares(x, count); }
#endif

template <typename Loop>
Loop widest(Loop plain, [[maybe_unused]] Loop avx2, [[maybe_unused]] Loop avx512) {
#ifdef CTORCH_WIDE
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2;
#endif
  return plain;
}

#ifdef CTORCH_WIDE
const AdamWLoop adamwLoop = widest<AdamWLoop>(plainAdamW, adamw256, adamw512);
const SquaresLoop squaresLoop = widest<SquaresLoop>(plainSquares, squares256, squares512);
#else
const AdamWLoop adamwLoop = plainAdamW;
const SquaresLoop squaresLoop = plainSquares;
#endif

// MARK: Lists

/// The lists of a step.
struct Step {
  std::vector<at::Tensor> parameters, gradients, first, second, averages, copies;

  bool isPlain() const {
    for (size_t i = 0; i < parameters.size(); ++i) {
      for (auto tensor : {&parameters[i], &gradients[i], &first[i], &second[i], &averages[i]}) {
        if (!::isPlain(*tensor)) return false;
      }
      if (!::isPlain(copies[i], at::kBFloat16)) return false;
    }
    return true;
  }

  Pointers pointers(size_t i, int64_t offset) const {
    auto floats = [&](const at::Tensor &tensor) {
      return tensor.defined() ? static_cast<float *>(tensor.data_ptr()) + offset : nullptr;
    };
    auto copy = copies[i].defined() ? static_cast<uint16_t *>(copies[i].data_ptr()) + offset : nullptr;
    return {floats(parameters[i]), floats(gradients[i]), floats(first[i]), floats(second[i]),
            floats(averages[i]), copy};
  }

  /// Tells autograd what was written to; ATen's operators on lists do not.
  void touch() const {
    for (auto list : {&parameters, &first, &second, &averages, &copies}) {
      for (auto &tensor : *list) {
        if (tensor.defined()) tensor.unsafeGetTensorImpl()->bump_version();
      }
    }
  }
};

void runKernel(const Step &step, const CTAdamW &settings) {
  Factors factors(settings);
  Elements elements(step.parameters);
  ctorch::parallelFor(elements.parts(), [&](int64_t index) {
    elements.each(index, [&](size_t i, int64_t offset, int64_t count) {
      adamwLoop(step.pointers(i, offset), count, factors);
    });
  });
}

/// The same through ATen's operators, which take tensors of one kind.
void runOperators(const Step &step, const CTAdamW &s) {
  std::map<std::tuple<c10::DeviceType, int, at::ScalarType>, std::vector<size_t>> kinds;
  for (size_t i = 0; i < step.parameters.size(); ++i) {
    auto &tensor = step.parameters[i];
    kinds[{tensor.device().type(), tensor.device().index(), tensor.scalar_type()}].push_back(i);
  }
  for (auto &[kind, places] : kinds) {
    auto those = [&, &places = places](const std::vector<at::Tensor> &list) {
      std::vector<at::Tensor> result;
      for (auto i : places) result.push_back(list[i]);
      return result;
    };
    auto parameters = those(step.parameters);
    auto gradients = those(step.gradients);
    if (s.gradientScale != 1) at::_foreach_mul_(gradients, s.gradientScale);
    auto number = at::full({}, static_cast<double>(s.step),
                           at::dtype(at::kFloat).device(parameters[0].device()));
    std::vector<at::Tensor> steps(places.size(), number);
    at::_fused_adamw_(parameters, gradients, those(step.first), those(step.second), {}, steps,
                      s.learningRate, s.beta1, s.beta2, s.weightDecay, s.epsilon, false, false);
    std::vector<at::Tensor> averages, averaged, copies, copied;
    for (auto i : places) {
      if (step.averages[i].defined()) {
        averages.push_back(step.averages[i]);
        averaged.push_back(step.parameters[i]);
      }
      if (step.copies[i].defined()) {
        copies.push_back(step.copies[i]);
        copied.push_back(step.parameters[i]);
      }
    }
    if (!averages.empty()) at::_foreach_lerp_(averages, averaged, s.averageShare);
    if (!copies.empty()) at::_foreach_copy_(copies, copied);
  }
}

}  // namespace

int ct_adamw(const CTTensor *parameters, const CTTensor *gradients, const CTTensor *first,
             const CTTensor *second, const CTTensor *averages, const CTTensor *copies,
             int32_t count, const CTAdamW *settings) {
  return ctorch::catching([&] {
    Step step{borrowed(parameters, count), borrowed(gradients, count), borrowed(first, count),
              borrowed(second, count),     borrowed(averages, count),  borrowed(copies, count)};
    if (step.isPlain()) {
      runKernel(step, *settings);
    } else {
      runOperators(step, *settings);
    }
    step.touch();
  });
}

int ct_norm(const CTTensor *tensors, int32_t count, double *norm) {
  return ctorch::catching([&] {
    auto list = borrowed(tensors, count);
    *norm = 0;
    if (list.empty()) return;
    if (!std::all_of(list.begin(), list.end(), [](auto &tensor) { return isPlain(tensor); })) {
      *norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(list, 2))).item().toDouble();
      return;
    }
    Elements elements(list);
    std::vector<double> sums(elements.parts(), 0);
    ctorch::parallelFor(elements.parts(), [&](int64_t index) {
      elements.each(index, [&](size_t i, int64_t offset, int64_t length) {
        sums[index] += squaresLoop(list[i].const_data_ptr<float>() + offset, length);
      });
    });
    double sum = 0;
    for (double squares : sums) sum += squares;
    *norm = std::sqrt(sum);
  });
}
