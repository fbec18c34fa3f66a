// Tensors that kernels read where they lie, and what they make of them: sums, and attention; the same for all
// kinds of processors.
#pragma once

#include "CKernels.h"

#include <cstdint>

namespace ctorch {

/// At most so many tensors are added, of so many dimensions.
constexpr int kMostTerms = CT_MOST_TERMS, kMostDimensions = 8;
/// Numbers that lie further apart are copied by libtorch, which goes by the order in which they lie.
constexpr int64_t kMostStride = 8;

/// Dimensions of several tensors, outermost first; neighbours that every tensor walks with one stride are
/// merged.
template <int kTensors>
struct Dimensions {
  int rank = 0;
  int64_t sizes[kMostDimensions];
  int64_t strides[kMostDimensions][kTensors];

  /// Adds a dimension inside of the others; `mostMerged` limits the size of merged ones.
  void add(int64_t size, const int64_t (&steps)[kTensors], int64_t mostMerged = INT64_MAX) {
    if (size == 1) return;
    bool merges = rank > 0 && sizes[rank - 1] <= mostMerged / size;
    for (int i = 0; merges && i < kTensors; ++i) merges = strides[rank - 1][i] == steps[i] * size;
    if (merges) {
      sizes[rank - 1] *= size;
    } else {
      sizes[rank++] = size;
    }
    for (int i = 0; i < kTensors; ++i) strides[rank - 1][i] = steps[i];
  }

  /// Puts dimensions of one position outside until there are `count`.
  void fill(int count) {
    for (; rank < count; ++rank) {
      for (int d = rank; d > 0; --d) {
        sizes[d] = sizes[d - 1];
        for (int i = 0; i < kTensors; ++i) strides[d][i] = strides[d - 1][i];
      }
      sizes[0] = 1;
      for (int i = 0; i < kTensors; ++i) strides[0][i] = rank == 0 ? 1 : 0;
    }
  }

  /// Adds to `starts` how far the `index`-th position of the first `dimensions` is from the first.
  void advance(const float *(&starts)[kTensors], int64_t index, int dimensions) const {
    for (int d = dimensions - 1; d >= 0; --d) {
      for (int i = 0; i < kTensors; ++i) starts[i] += index % sizes[d] * strides[d][i];
      index /= sizes[d];
    }
  }

  /// Moves `starts` from the position `at` of the first `dimensions` to the next; from the last to the first.
  void step(const float *(&starts)[kTensors], int64_t (&at)[kMostDimensions], int dimensions) const {
    for (int d = dimensions - 1; d >= 0; --d) {
      int64_t steps = ++at[d] < sizes[d] ? 1 : 1 - sizes[d];
      for (int i = 0; i < kTensors; ++i) starts[i] += steps * strides[d][i];
      if (steps == 1) return;
      at[d] = 0;
    }
  }

  int64_t count(int dimensions) const {
    int64_t count = 1;
    for (int d = 0; d < dimensions; ++d) count *= sizes[d];
    return count;
  }
};

/// `y = sum of x_j * w_j`, for tensors of one shape, of at least two dimensions. In the innermost the strides
/// of all x are 1, and those of all weights too if they vary, or else 0. A single x may have another stride
/// there, up to `kMostStride`; its weight is 1.
struct WeightedSum {
  int terms;
  bool weightsVary;
  int64_t stride;
  const float *tensors[2 * kMostTerms];  // x_0, w_0, x_1, ...
  Dimensions<2 * kMostTerms> dimensions;
  float *y;                              // contiguous
};

/// `y = factor * sum of x_j` over the terms and the `summed` dimensions. Of each term, the innermost of the
/// `kept` or of the `summed` dimensions has stride 1.
struct ReducedSum {
  struct Term {
    const float *x;
    Dimensions<1> kept, summed;
  };
  int terms;
  Term term[kMostTerms];
  float factor;
  int64_t count, run;                    // of y; numbers side by side in every term
  float *y;                              // contiguous
};

/// From a sample, a head, and a row to the next.
struct HeadStrides {
  int64_t batch, head, row;
};

/// `y = softmax(scale * q k^T + bias) v` for each head, of rows without gaps.
struct Attention {
  int64_t batch, heads, queries, keys, depth, width;
  float scale;
  const float *queriesAt, *keysAt, *valuesAt;  // [batch, heads, queries or keys, depth; values: width]
  HeadStrides q, k, v;
  const float *biasAt;                         // turned around, [batch, heads, keys, queries], or null
  HeadStrides bias;
  float *resultsAt;                            // [batch, heads, queries, width]
  HeadStrides y;
};

}  // namespace ctorch
