// The C face of libtorch: boxed operator calls, autograd, autocast, generators, devices, threads.
//
// Every function that returns `int` returns 0 when done and -1 when libtorch threw; the message is
// then in `ct_last_error()`. A `CTTensor` is an owned reference: release each one once.
#ifndef CTORCH_H
#define CTORCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensorImpl *CTTensor;
typedef const struct CTOperatorImpl *CTOperator;
typedef struct CTGeneratorImpl *CTGenerator;

/// The message of this thread's last failure, valid until its next one.
const char *ct_last_error(void);

// MARK: Operators

typedef enum {
  CT_DEFAULT,           // what the operator's schema says
  CT_NONE,
  CT_TENSOR,            // pointer: CTTensor
  CT_TENSORS,           // pointer: CTTensor[count]
  CT_INTEGER,           // integer; also dtypes, layouts and memory formats
  CT_INTEGERS,          // pointer: int64_t[count]
  CT_REAL,              // real
  CT_REALS,             // pointer: double[count]
  CT_BOOL,              // integer
  CT_BOOLS,             // pointer: int64_t[count]
  CT_STRING,            // pointer: NUL-terminated UTF-8
  CT_DEVICE,            // integer: type << 8 | index
  CT_GENERATOR,         // pointer: CTGenerator
  CT_NO_SCALARS,        // an empty list of optional numbers
} CTKind;

/// One argument of an operator call.
typedef struct {
  CTKind kind;
  int32_t count;
  int64_t integer;
  double real;
  const void *pointer;
} CTValue;

/// The handle of operator `name` ("aten::add") with `overload` ("Tensor"), for the whole process.
int ct_operator(const char *name, const char *overload, CTOperator *result);

/// Whether there is such an operator.
int ct_has_operator(const char *name, const char *overload);

/// Calls the operator with positional arguments; missing trailing ones take the schema's defaults.
///
/// `results` points to the owned result tensors (lists are flattened, None is null), in storage that
/// is valid until this thread's next call.
int ct_call(CTOperator op, const CTValue *arguments, int32_t count, CTTensor **results,
            int32_t *resultCount);

// MARK: Tensors

/// A tensor over `data`, which must stay alive until `release(context)` is called.
int ct_tensor_borrow(void *data, const int64_t *sizes, int32_t rank, int32_t dtype,
                     void (*release)(void *), void *context, CTTensor *result);
/// Uninitialised memory on `device` (type << 8 | index).
int ct_tensor_empty(const int64_t *sizes, int32_t rank, int32_t dtype, int32_t device,
                    CTTensor *result);
CTTensor ct_tensor_retain(CTTensor tensor);
void ct_tensor_release(CTTensor tensor);
int32_t ct_tensor_rank(CTTensor tensor);
void ct_tensor_sizes(CTTensor tensor, int64_t *sizes);
int32_t ct_tensor_dtype(CTTensor tensor);
int32_t ct_tensor_device(CTTensor tensor);
int64_t ct_tensor_count(CTTensor tensor);
int ct_tensor_is_contiguous(CTTensor tensor);
void *ct_tensor_data(CTTensor tensor);
/// In elements, one for each dimension.
void ct_tensor_strides(CTTensor tensor, int64_t *strides);
/// The same for all tensors that share memory.
const void *ct_tensor_storage(CTTensor tensor);
int ct_tensor_real(CTTensor tensor, double *value);
/// Grows with each operator that writes to the tensor's memory.
int64_t ct_tensor_version(CTTensor tensor);
/// Tells autograd that the memory was written to without an operator.
void ct_tensor_touch(CTTensor tensor);
/// How many `CTTensor` references live in this process.
int64_t ct_live_tensors(void);

// MARK: Autograd

int ct_requires_grad(CTTensor tensor);
int ct_set_requires_grad(CTTensor tensor, int value);
/// Sets this thread's gradient mode; returns the mode before.
int ct_grad_mode(int enabled);
/// Gradients of `outputs` with respect to `inputs`, null where an input does not matter. Each has
/// contiguous memory of its own: autograd gives one tensor for both terms of a sum.
int ct_gradients(const CTTensor *outputs, const CTTensor *outputGradients, int32_t outputCount,
                 const CTTensor *inputs, int32_t inputCount, int retainGraph, int createGraph,
                 CTTensor *results);

/// The backward pass of a custom function: borrowed `gradients` of its outputs (null: zero) in,
/// owned gradients of its inputs (null: none) out. Returns 0 when done.
typedef int (*CTBackward)(void *context, const CTTensor *gradients, int32_t gradientCount,
                          CTTensor *results, int32_t resultCount);
/// Ties `outputs`, computed without a graph, to `inputs`: `results` are new references to the same
/// memory whose gradient is computed by `backward`. `release(context)` is called with the graph.
int ct_custom_function(const CTTensor *inputs, int32_t inputCount, const CTTensor *outputs,
                       int32_t outputCount, CTBackward backward, void (*release)(void *),
                       void *context, CTTensor *results);

// MARK: Autocast

typedef struct {
  int enabled;
  int32_t dtype;
} CTAutocast;

/// Sets this thread's autocast for a device type; returns the state before.
CTAutocast ct_autocast(int32_t deviceType, CTAutocast state);
/// The dtype of this thread's autocast for a device type; -1 where it is off.
int32_t ct_autocast_dtype(int32_t deviceType);
/// Forgets the weights that autocast keeps in low precision.
void ct_autocast_clear_cache(void);

#include "CTorchTraining.h"

// MARK: Generators

int ct_generator(int32_t device, uint64_t seed, CTGenerator *result);
void ct_generator_release(CTGenerator generator);
/// The state as a byte tensor.
int ct_generator_state(CTGenerator generator, CTTensor *result);
int ct_generator_set_state(CTGenerator generator, CTTensor state);

// MARK: Devices and threads

/// Devices of a type that this process can use: 0 where the build or the machine has none.
int32_t ct_device_count(int32_t deviceType);
int ct_synchronize(int32_t device);
/// Lets libtorch's worker threads sleep, instead of spinning, soon after they run out of work.
void ct_share_cores(void);
/// Lets the process keep memory that was freed for what it makes next.
void ct_keep_memory(void);
void ct_set_threads(int32_t count);
int32_t ct_threads(void);
/// The version libtorch was built as, "2.13.0".
const char *ct_version(void);
/// Build settings and CPU capabilities, several lines.
const char *ct_build_description(void);

#ifdef __cplusplus
}
#endif

#include "CKernels.h"

#endif
