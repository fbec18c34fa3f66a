// What a training step does to all parameters at once. Included by CTorch.h.
#ifndef CTORCH_TRAINING_H
#define CTORCH_TRAINING_H

// Lists hold one tensor for each parameter, in equal order and of equal shape.

/// The settings of a step of AdamW.
typedef struct {
  double learningRate;
  double beta1;
  double beta2;
  double epsilon;
  double weightDecay;
  /// Every gradient counts as so many times itself: clipping, and the mean over a group of batches.
  double gradientScale;
  /// The share of the new weights in `averages`.
  double averageShare;
  /// Counted from 1.
  int64_t step;
} CTAdamW;

/// One pass over memory: with g the scaled gradient,
///
///     p = (1 - learningRate * weightDecay) * p
///     m = m + (1 - beta1) * (g - m)
///     v = beta2 * v + (1 - beta2) * g^2
///     p = p - learningRate / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + epsilon)
///     average = average + averageShare * (p - average)
///     copy = p, rounded
///
/// `averages` and `copies` may be null, and so may each of their items. Gradients are only read by the
/// kernel, which takes contiguous float32 on the CPU with copies in bfloat16; others go through ATen,
/// which may scale the gradients in place.
int ct_adamw(const CTTensor *parameters, const CTTensor *gradients, const CTTensor *first,
             const CTTensor *second, const CTTensor *averages, const CTTensor *copies,
             int32_t count, const CTAdamW *settings);

/// The Euclidean norm over all elements of all tensors. For float32 on the CPU the order of the sums
/// does not depend on the number of threads.
int ct_norm(const CTTensor *tensors, int32_t count, double *norm);

// MARK: Activation checkpointing

/// The leaves of the graph that `output` was computed by since `input`: owned references, in storage
/// that is valid until this thread's next call.
int ct_graph_leaves(CTTensor output, CTTensor input, CTTensor **leaves, int32_t *count);
/// As ``ct_gradients`` for one output, but as autograd has them: they may share memory.
int ct_raw_gradients(CTTensor output, CTTensor outputGradient, const CTTensor *inputs,
                     int32_t inputCount, CTTensor *results);

#endif
