// Boxed calls through the dispatcher: one function for every operator of libtorch.
#include "Support.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <vector>

namespace {

using c10::IValue;

IValue listOf(const CTValue &value) {
  auto tensors = static_cast<const CTTensor *>(value.pointer);
  c10::List<at::Tensor> list;
  list.reserve(value.count);
  for (int i = 0; i < value.count; ++i) list.push_back(ctorch::borrow(tensors[i]));
  return list;
}

/// The value as the operator's schema wants it: an integer passed for a float becomes one.
IValue boxed(const CTValue &value, const c10::Argument &argument) {
  auto integers = static_cast<const int64_t *>(value.pointer);
  switch (value.kind) {
    case CT_DEFAULT:
      TORCH_CHECK(argument.default_value().has_value(), "argument '", argument.name(),
                  "' has no default");
      return *argument.default_value();
    case CT_NONE:
      return IValue();
    case CT_TENSOR:
      return ctorch::borrow(reinterpret_cast<CTTensor>(const_cast<void *>(value.pointer)));
    case CT_TENSORS:
      return listOf(value);
    case CT_INTEGER: {
      auto kind = argument.type()->kind();
      if (kind == c10::TypeKind::OptionalType) {
        kind = argument.type()->castRaw<c10::OptionalType>()->getElementType()->kind();
      }
      if (kind == c10::TypeKind::FloatType) return static_cast<double>(value.integer);
      return value.integer;
    }
    case CT_INTEGERS:
      return c10::List<int64_t>(c10::ArrayRef<int64_t>(integers, value.count));
    case CT_REAL:
      return value.real;
    case CT_REALS:
      return c10::List<double>(
          c10::ArrayRef<double>(static_cast<const double *>(value.pointer), value.count));
    case CT_BOOL:
      return value.integer != 0;
    case CT_BOOLS: {
      c10::List<bool> list;
      for (int i = 0; i < value.count; ++i) list.push_back(integers[i] != 0);
      return list;
    }
    case CT_STRING:
      return std::string(static_cast<const char *>(value.pointer));
    case CT_DEVICE:
      return ctorch::device(static_cast<int32_t>(value.integer));
    case CT_GENERATOR:
      return *static_cast<const at::Generator *>(value.pointer);
    case CT_NO_SCALARS:
      return c10::List<std::optional<at::Scalar>>();
  }
  TORCH_CHECK(false, "unknown kind of argument ", static_cast<int>(value.kind));
}

void append(std::vector<CTTensor> &results, const IValue &value) {
  if (value.isTensor()) {
    results.push_back(ctorch::give(value.toTensor()));
  } else if (value.isTensorList()) {
    for (const at::Tensor &tensor : value.toTensorList()) {
      results.push_back(ctorch::give(tensor));
    }
  } else if (value.isNone()) {
    results.push_back(nullptr);
  }
}

}  // namespace

int ct_operator(const char *name, const char *overload, CTOperator *result) {
  return ctorch::catching([&] {
    auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
    *result = reinterpret_cast<CTOperator>(new c10::OperatorHandle(handle));
  });
}

int ct_has_operator(const char *name, const char *overload) {
  return c10::Dispatcher::singleton().findSchema({name, overload}).has_value();
}

int ct_call(CTOperator op, const CTValue *arguments, int32_t count, CTTensor **results,
            int32_t *resultCount) {
  static thread_local std::vector<CTTensor> owned;
  return ctorch::catching([&] {
    auto &handle = *reinterpret_cast<const c10::OperatorHandle *>(op);
    const auto &schema = handle.schema().arguments();
    TORCH_CHECK(static_cast<size_t>(count) <= schema.size(), "too many arguments: ", count);
    torch::jit::Stack stack;
    stack.reserve(schema.size());
    for (size_t i = 0; i < schema.size(); ++i) {
      bool given = i < static_cast<size_t>(count);
      stack.push_back(boxed(given ? arguments[i] : CTValue{}, schema[i]));
    }
    handle.callBoxed(stack);
    // The call above may have come back here through a custom function's backward pass.
    owned.clear();
    for (const auto &value : stack) append(owned, value);
    *results = owned.data();
    *resultCount = static_cast<int32_t>(owned.size());
  });
}
