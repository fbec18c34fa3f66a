// The fused kernels of all-MLP networks on the CPU, in float32: linear layers over the channels or the
// tokens, with what stands before and after them, convolutions, and norms and windows of maps.
//
// Weights are packed once, for the processor that runs. All memory is the caller's; after the first
// call with some sizes nothing is allocated. Strides count floats; the last dimension is contiguous.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensorImpl *CTTensor;
typedef enum { CT_IDENTITY, CT_GELU, CT_GELU_TANH, CT_RELU, CT_SILU } CTActivation;

/// A packed weight in 8 bits (kept in 16 by the plain kernels). The numbers that it multiplies are rounded
/// to whole steps, `ct_byte_steps()` of them, of the range from `low` to `high`, those outside to its ends;
/// where the two are equal, of the range of each row (of each column, in token mixing), part by part.
typedef struct {
  const int8_t *values;
  const float *scales;  // one for each row of the weight
  const float *sums;    // of the integers of each row and part
  float low, high;
} CTByteWeight;

/// Channel mixing: `y = activation(f(x) W^T + bias) * gate + residual` for each row, where f is the
/// normalisation of the row (zero mean, unit variance), if asked for, and then, if `hidden` > 0,
/// `hiddenActivation(. hiddenWeight^T + hiddenBias)`.
typedef struct {
  int64_t rows, depth, hidden, columns;
  const float *x;             // [rows, depth]
  int64_t xStride;
  bool normalizes;
  float epsilon;
  const float *hiddenWeight;  // packed by ct_pack_panels, [hidden, depth]
  const float *hiddenBias;    // [padded hidden]
  CTByteWeight hiddenBytes;   // in the place of hiddenWeight where its values are not null
  CTActivation hiddenActivation;
  const float *weight;        // packed by ct_pack_panels, [columns, depth or padded hidden]
  CTByteWeight weightBytes;   // in the place of weight; both layers or none
  bool bfloat16;              // hiddenWeight and weight are packed by ct_pack_bfloat16_panels
  bool strassen;              // hiddenWeight and weight are packed by ct_pack_strassen_panels
  const float *bias;          // [padded columns] or null
  CTActivation activation;
  const float *gate;          // [rows, columns] or null
  int64_t gateStride;
  const float *residual;      // [rows, columns] or null; may be y
  int64_t residualStride;
  float *y;                   // [rows, columns]; may be the residual, not x
  int64_t yStride;
  // What training needs besides; each may be null.
  const float *factors;       // one for `rowsOfFactor` rows: times this before the residual is added
  int64_t rowsOfFactor;
  float *moments;             // [rows, 2], written: mean and reciprocal deviation of each row
  float *preactivation;       // [rows, hidden, or columns without], written: before the activation
  int64_t preactivationStride;
} CTRowMix;

/// What is normalised to zero mean and unit variance.
typedef enum { CT_NO_NORM, CT_ROW_NORM, CT_MATRIX_NORM } CTNormalization;

/// How far rows of a map, whose positions are the channels, move: channel c becomes that at c - offset.
/// `across` of these positions are along a line of the map. Zeros come in from beyond its edges.
typedef struct {
  int32_t offset, across;
} CTMove;

/// One of the rows that are multiplied: a row of x, and which of the moves it makes.
typedef struct {
  int32_t row, move;
} CTMovedRow;

/// So many moves at most are made of one map.
#define CT_MOST_MOVES 64

/// Token mixing: `y = sumActivation(activation(W f(x) + bias) * resultScale * gate + residual)` for each
/// matrix of a batch, where f is the normalisation of each row or of the whole matrix (if asked for), then
/// `* scale + shift` for each channel, `* tokenScale + tokenShift` for each row, the `inputActivation`, the
/// `movedRows` of that as tokens, and, if `hidden` > 0, `hiddenActivation(hiddenWeight . + hiddenBias)`.
/// A convolution is that of a row for each channel of the map and position of the kernel.
typedef struct {
  int64_t batch, tokens, channels, hidden, rows;
  const float *x;             // [batch, tokens (where rows move, mapRows), channels]
  int64_t xBatchStride, xStride;
  CTNormalization normalization;
  float epsilon;
  const float *scale, *shift; // [channels], both or neither
  const float *tokenScale, *tokenShift;  // for each row of x, both or neither
  CTActivation inputActivation;
  const CTMovedRow *movedRows;  // [tokens] or null; not together with scale and shift
  const CTMove *moves;          // [moveCount]
  int64_t moveCount, mapRows, mapWidth;  // mapWidth: the length of a map's lines
  const float *hiddenWeight;  // packed by ct_pack_tiles, [hidden, tokens]
  const float *hiddenBias;    // [hidden]
  CTByteWeight hiddenBytes;   // in the place of hiddenWeight where its values are not null
  CTActivation hiddenActivation;
  const float *weight;        // packed by ct_pack_tiles, [rows, tokens or hidden]
  CTByteWeight weightBytes;   // in the place of weight; both layers or none
  bool bfloat16;              // hiddenWeight and weight are packed by ct_pack_bfloat16_tiles
  bool strassen;              // hiddenWeight and weight are packed by ct_pack_strassen_tiles
  int32_t winograd;           // 0, or the side of the squares for which weight is packed by ct_pack_winograd_tiles:
                              // a convolution of 3 x 3, stride and padding 1, of maps x, without a hidden layer, or
                              // anything before it; movedRows and moves are not read
  bool turned;                // they are packed in panels, and biases padded, as for channel mixing, which
                              // computes it; not for bytes, nor for training
  const float *bias;          // [rows] or null
  CTActivation activation;
  const float *resultScale;   // [channels] or null
  const float *gate;          // [batch, rows, channels] or null; may be y
  int64_t gateBatchStride, gateStride;
  const float *residual;      // [batch, rows, channels] or null; may be y
  int64_t residualBatchStride, residualStride;
  CTActivation sumActivation;
  float *y;                   // [batch, rows, channels]; not x
  int64_t yBatchStride, yStride;
  // What training needs besides; each may be null.
  const float *factors;       // [batch]: times this before gate and residual
  float *moments;             // [batch, tokens, 2], written: mean and reciprocal deviation of rows
  float *preactivation;       // [batch, panels of channels, hidden, panel width], written: before
                              // the hidden activation
  float *ungated;             // [batch, rows, channels], written: before the gate
} CTColumnMix;

/// Maps [maps, channels, positions], each to zero mean and unit variance:
/// `y = activation(n(x) * gain + shift)`.
typedef struct {
  int64_t maps, channels, positions;
  const float *x;
  int64_t xMapStride, xStride;  // from a map, and from a channel, to the next
  float epsilon;
  const float *gain, *shift;    // [channels] or null
  CTActivation activation;
  float *y;                     // without gaps; not x
} CTMapNorm;

/// For each channel of maps [maps, channels, height, width] by itself, what a window says that moves over it by
/// `stride` at a time: `y = activation(sum of weight * x + bias)`, or without a weight the largest number.
typedef struct {
  int64_t maps, channels, height, width;
  const float *x;
  int64_t xMapStride, xStride;  // from a map, and from a channel, to the next
  int64_t windowHeight, windowWidth, stride;
  int64_t top, left;            // how far the first window reaches out of the map, where nothing counts
  const float *weight;          // [channels, windowHeight, windowWidth] or null
  const float *bias;            // [channels] or null
  CTActivation activation;
  int64_t rows, columns;        // of windows
  float *y;                     // [maps, channels, rows, columns]; not x
} CTMapWindows;

/// Floats side by side that move from one place to another, counted from the first of each memory.
typedef struct {
  int32_t from, to, count;
} CTRun;

/// The kind of processor that the kernels are for: "avx2".
const char *ct_kernel_name(void);
/// Columns are computed so many at a time: what is padded has a multiple of it.
int64_t ct_panel_width(void);
/// Floats that a packed weight [rows, depth] takes.
int64_t ct_panels_size(int64_t rows, int64_t depth);
int64_t ct_tiles_size(int64_t rows, int64_t depth);
/// Packs a row-major weight [rows, depth] for channel mixing. This, and all that packs: 0, or -1 with
/// `ct_last_error` where memory is lacking.
int ct_pack_panels(const float *weight, int64_t rows, int64_t depth, float *packed);
/// Packs a row-major weight [rows, depth] for token mixing.
int ct_pack_tiles(const float *weight, int64_t rows, int64_t depth, float *packed);
/// The same for Strassen's products: seven halves of sums in the place of four, an eighth less to multiply.
int64_t ct_strassen_panels_size(int64_t rows, int64_t depth);
int64_t ct_strassen_tiles_size(int64_t rows, int64_t depth);
int ct_pack_strassen_panels(const float *weight, int64_t rows, int64_t depth, float *packed);
int ct_pack_strassen_tiles(const float *weight, int64_t rows, int64_t depth, float *packed);
/// Packs a row-major weight [rows, channels * 9] of a convolution for squares of `side` x `side` results, 2 or 4, by
/// minimal filtering: 16 products for 4 results, or 36 for 16, in the place of 9 for each.
int64_t ct_winograd_tiles_size(int64_t rows, int64_t depth, int64_t side);
int ct_pack_winograd_tiles(const float *weight, int64_t rows, int64_t depth, int64_t side, float *packed);
/// Whether the processor has an instruction for products of bfloat16. Without it kernels compute them
/// nevertheless, more slowly than in float32.
bool ct_has_bfloat16_products(void);
/// Floats whose memory a weight [rows, depth] takes as products of bfloat16 read it.
int64_t ct_bfloat16_panels_size(int64_t rows, int64_t depth);
int64_t ct_bfloat16_tiles_size(int64_t rows, int64_t depth);
/// Rounds and packs a row-major weight [rows, depth] for channel mixing, two neighbours along depth in
/// each 32 bits. Activations will be rounded in the same way, sums are in float32.
int ct_pack_bfloat16_panels(const float *weight, int64_t rows, int64_t depth, float *packed);
/// Rounds and packs a row-major weight [rows, depth] for token mixing.
int ct_pack_bfloat16_tiles(const float *weight, int64_t rows, int64_t depth, float *packed);
/// How many numbers along depth have a range in common.
int64_t ct_byte_group(void);
/// In how many steps of their range numbers are rounded: 255, or 181 where products are added in 16 bits.
int64_t ct_byte_steps(void);
/// Bytes that a weight [rows, depth] takes as products of bytes read it.
int64_t ct_byte_panels_size(int64_t rows, int64_t depth);
int64_t ct_byte_tiles_size(int64_t rows, int64_t depth);
/// Rounds and packs a row-major weight [rows, depth] for channel mixing; `scales` [padded rows], `sums`
/// [padded rows * groups of depth].
int ct_pack_byte_panels(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                        float *scales, float *sums);
/// Rounds and packs a row-major weight [rows, depth] for token mixing; `scales` [rows], `sums` [rows *
/// groups of depth].
int ct_pack_byte_tiles(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                       float *scales, float *sums);
/// 0, or -1 with `ct_last_error` where memory for a thread's work is lacking.
int ct_mix_rows(const CTRowMix *mix);
int ct_mix_columns(const CTColumnMix *mix);
int ct_normalize_maps(const CTMapNorm *norm);
int ct_window_maps(const CTMapWindows *windows);
/// Copies runs of x to y.
int ct_gather_runs(const float *x, const CTRun *runs, int64_t count, float *y);
/// `y[i] = x[from[i]]`
int ct_gather_numbers(const float *x, const int32_t *from, int64_t count, float *y);

// MARK: Sums and attention
//
// Of tensors on the CPU in float32, permuted as they may be; what has no stride of 1 in its last dimension,
// and all else, is left to libtorch's operators. Without gradients. 0, or -1 with `ct_last_error`.

/// So many terms at most are added in one pass.
#define CT_MOST_TERMS 4

/// `y = sum of x_j * weights_j` for some terms, of shapes that broadcast; a null weight is 1.
int ct_weighted_sum(const CTTensor *x, const CTTensor *weights, int32_t terms, CTTensor *y);
/// `y = sum of mean(x_j)` over some dimensions of terms of one shape, which may stay with one position.
int ct_sum_of_means(const CTTensor *x, int32_t terms, const int64_t *dimensions, int32_t count,
                    int32_t keepsDimensions, CTTensor *y);
/// The elements of `x` in row-major order; in its memory where they lie so.
int ct_reshape(CTTensor x, const int64_t *shape, int32_t rank, CTTensor *y);

/// `y = softmax(q k^T / sqrt(D) + bias) v` for each head: q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; the
/// bias, or null, broadcasts turned around to [B, H, K, Q]. y lies as [B, Q, H, E].
int ct_attention(CTTensor q, CTTensor k, CTTensor v, CTTensor bias, CTTensor *y);

// MARK: Residual branches with gradients
//
// Each is one function for autograd, whose forward and backward pass are kernels. Tensors are float32
// on the CPU, as `ct_has_kernels` tells; null where a part is left out; layers over channels multiply by
// Strassen's products where `strassen` is not 0. The result is a new tensor, also recorded. 0, or -1 with
// `ct_last_error`.

/// `gain * n(x) + shift` for each channel, where n normalises the last dimension, or leaves it.
typedef struct {
  CTTensor gain, shift;  // C numbers; null for neither
  int32_t normalizes;
  double epsilon;
} CTNorm;

/// Whether kernels take these tensors (null ones are passed over): float32 in the CPU's memory,
/// contiguous but for the first, while no autocast is on.
int ct_has_kernels(const CTTensor *tensors, int32_t count);

/// `y = x + factors * scale * (W2 activation(W1 norm(x) + b1) + b2)`: x [B, ..., C], W1 [F, C],
/// W2 [C, F], scale [C], factors [B].
int ct_channel_mlp(CTTensor x, CTNorm norm, CTTensor w1, CTTensor b1, CTTensor w2, CTTensor b2,
                   CTTensor scale, CTTensor factors, CTActivation activation, int32_t strassen,
                   CTTensor *y);
/// The same over tokens, for each channel: x [B, S, C], W1 [T, S], W2 [S, T]; without scale.
int ct_token_mlp(CTTensor x, CTNorm norm, CTTensor w1, CTTensor b1, CTTensor w2, CTTensor b2,
                 CTTensor factors, CTActivation activation, CTTensor *y);
/// `y = x + factors * scale * (W norm(x) + b)` over tokens: x [B, S, C], W [S, S], scale [C].
int ct_token_linear(CTTensor x, CTNorm norm, CTTensor weight, CTTensor bias, CTTensor scale,
                    CTTensor factors, CTTensor *y);
/// `y = x + factors * (W2 (u * (W gateNorm(v) + b)) + b2)`, `[u, v] = activation(W1 norm(x) + b1)`:
/// x [B, S, C], W1 [F, C], W [S, S] over tokens, W2 [C, F / 2].
int ct_gated_mlp(CTTensor x, CTNorm norm, CTTensor w1, CTTensor b1, CTNorm gateNorm,
                 CTTensor gateWeight, CTTensor gateBias, CTTensor w2, CTTensor b2, CTTensor factors,
                 CTActivation activation, int32_t strassen, CTTensor *y);

#ifdef __cplusplus
}
#endif
#endif
