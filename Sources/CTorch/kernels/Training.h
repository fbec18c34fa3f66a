// What the kernels of training take, the same for all kinds of processors. Shapes are row-major and
// contiguous unless a stride is given; strides count floats.
#pragma once

#include "CKernels.h"

namespace ctorch {

/// A weight to be packed, as `diag(rowScale) matrix diag(columnScale)`.
struct MatrixPacking {
  const float *matrix;       // [rows, columns]
  int64_t rows, columns;
  const float *rowScale;     // [rows] or null
  const float *columnScale;  // [columns] or null
  int64_t depth;             // K of a panel, at least that of the matrix: zeros behind
  float *packed;
};

/// The input's gradient through channel mixing `y = x + W2 a(h), h = W1 n(x) + b1`, where gain and shift
/// of n belong to W1 and b1:
///
///     dh = (W2^T dy) a'(h)        kept, with a(h), for the weights' gradients
///     dn = W1^T dh
///     dx = r (dn - mean(dn) - n mean(dn n)) + dy
///
/// for a row of deviation 1 / r; without normalisation dx = dn + dy. Without W2, dh is given.
struct RowGradients {
  int64_t rows, hidden, depth;
  int64_t columns;            // of y
  const float *dy;            // [rows, columns]
  bool strassen;              // both weights are packed for Strassen's products
  const float *weight;        // panels of W2's columns, K = columns; or null
  const float *h;             // [rows, hidden]
  CTActivation activation;
  float *activated;           // [rows, hidden], written
  float *dh;                  // [rows, hidden], written, or read without W2
  const float *hiddenWeight;  // panels of W1's columns, K = padded hidden
  const float *x;             // [rows, depth]
  const float *moments;       // [rows, 2], or null without normalisation
  const float *residual;      // [rows, depth], the gradient that goes past the branch; or null
  float *dx;                  // [rows, depth], written
};

/// The first part of the backward pass of a gated MLP `y = W2 p, p = u g, [u, v] = a(h)`, where the gate
/// g depends on v:
///
///     dp = W2^T dy,  dg = dp u,  dh_u = dp g a'(h_u)
struct GateGradients {
  int64_t rows, columns, width;
  const float *dy;      // [rows, columns]
  bool strassen;        // weight is packed for Strassen's products
  const float *weight;  // panels of W2's columns, K = columns
  const float *h;       // h_u [rows, width] of stride 2 width
  CTActivation activation;
  const float *g;       // [rows, width]
  float *p, *dg;        // [rows, width], written
  float *dh;            // dh_u, as h_u, written
};

/// The second part, through the norm of the gate's input: with n = (v - mean) r and m = gain n + shift,
///
///     dn = gain dm,  dv = r (dn - mean(dn) - n mean(dn n)),  dh_v = dv a'(h_v)
///     dgain = sum of dm n,  dshift = sum of dm, over the rows
struct GateNormGradients {
  int64_t batch, rows, width;
  const float *h;              // h_v [batch, rows, width] of stride 2 width
  CTActivation activation;
  const float *moments;        // [batch, rows, 2]
  const float *gain, *shift;   // [width]
  float *m;                    // [batch, rows, width]: dm; m when done
  float *dh;                   // dh_v, as h_v, written
  float *sums;                 // [batch, row chunks, 2, width], written: parts of dgain and dshift
};

/// The gradient of token mixing's input before its norm: `dn = W1^T dh, dh = (W2^T dy) a'(h)` for each
/// matrix; without hidden tokens `dn = W^T dy`.
struct ColumnGradients {
  int64_t batch, tokens, channels, hidden;
  int64_t rows;               // of y
  const float *dy;            // [batch, rows, channels]
  const float *weight;        // tiles of W2's columns, K = rows
  const float *hiddenWeight;  // tiles of W1's columns, K = hidden
  const float *h;             // [batch, panels of channels, hidden, panel width]
  CTActivation activation;
  float *activated, *dh;      // as h, written
  float *dn;                  // [batch, tokens, channels], written
};

/// From the gradient of a norm `gain n + shift` to that of its input, and of gain and shift, over rows:
/// as `GateNormGradients`, plus a residual gradient. Without moments n = x and dx = dn. `scale` is a
/// gain that stands behind the branch and has been left out of dm, see `ColumnGradients`' caller.
struct NormGradients {
  int64_t rows, width;
  const float *dm, *x;      // [rows, width]
  const float *moments;     // [rows, 2] or null
  const float *gain;        // [width] or null
  const float *scale;       // [width] or null
  const float *residual;    // [rows, width] or null
  float *dx;                // [rows, width], written; may be dm
  float *sums;              // [row chunks, 2, width], written: parts of the sums of dm n and dm
};

/// `G = A^T B`, the sum over rows, with A's column sums s, and from them a weight's gradient
/// `rowScale_i (G_ij columnScale_j + s_i columnShift_j)`.
struct WeightGradient {
  int64_t rows;             // K
  int64_t m, n;
  bool strassen;            // by Strassen's products
  const float *a, *b;       // [rows, m], [rows, n]
  int64_t aStride, bStride;
  const float *moments;     // [rows, 2] or null: B's rows are normalised by them
  const float *rowScale;    // [m] or null
  const float *columnScale, *columnShift;  // [n] or null
  float *gradient;          // [m, n], written
  float *sums;              // [m] or null, written: s
  const float *weight;      // [m, n], for the products; or null
  float *columnProducts;    // [row tiles, 2, n] or null, written: parts of sum_i weight_ij (G_ij, s_i)
  float *rowProducts;       // [column panels, m] or null, written: parts of sum_j weight_ij G_ij
};

/// `G = sum over the batch of A B^T`, with A's row sums, for token mixing. Rows of A are multiplied by
/// `scale`; those of B are normalised (if moments are given), then `* gain + shift`.
struct TokenWeightGradient {
  int64_t batch, channels;
  int64_t m, n;
  const float *a, *b;       // [batch, m, channels], [batch, n, channels]
  bool aHasPanels, bHasPanels;  // [batch, panels of channels, m or n, panel width] instead
  const float *scale;       // [channels] or null
  const float *moments;     // [batch, n, 2] or null
  const float *gain, *shift;  // [channels], both or neither
  float *gradient;          // [m, n], written
  float *sums;              // [m], written
};

/// Rows of which a pass over rows gives one part of a sum over all of them.
constexpr int64_t kRowChunk = 32;

}  // namespace ctorch
