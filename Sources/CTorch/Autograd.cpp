// Gradients, custom functions whose backward pass is the caller's, autocast.
#include "Support.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <type_traits>

namespace {

using torch::autograd::variable_list;

variable_list list(const CTTensor *tensors, int32_t count) {
  variable_list result;
  result.reserve(count);
  for (int i = 0; i < count; ++i) {
    result.push_back(tensors ? ctorch::borrow(tensors[i]) : at::Tensor());
  }
  return result;
}

/// A node of the graph whose backward pass is a C function pointer with a context.
struct CallerFunction final : torch::autograd::Node {
  CTBackward backward;
  void (*releaseContext)(void *);
  void *context;

  CallerFunction(CTBackward backward, void (*release)(void *), void *context)
      : backward(backward), releaseContext(release), context(context) {}
  ~CallerFunction() override { releaseContext(context); }

  std::string name() const override { return "CallerFunction"; }

  variable_list apply(variable_list &&gradients) override {
    std::vector<CTTensor> incoming;
    for (auto &gradient : gradients) incoming.push_back(ctorch::give(gradient));
    std::vector<CTTensor> outgoing(num_outputs(), nullptr);
    int status = backward(context, incoming.data(), static_cast<int32_t>(incoming.size()),
                          outgoing.data(), static_cast<int32_t>(outgoing.size()));
    for (auto tensor : incoming) ctorch::take(tensor);
    variable_list result;
    for (auto tensor : outgoing) result.push_back(ctorch::take(tensor));
    TORCH_CHECK(status == 0, "a custom function's backward pass failed");
    return result;
  }
};

/// A node owned as this libtorch owns them: 2.13 counts references in the node itself, 2.11 beside it.
template <typename Node, typename... Arguments>
auto makeNode(Arguments... arguments) {
  if constexpr (std::is_base_of_v<c10::intrusive_ptr_target, Node>) {
    return c10::make_intrusive<Node>(arguments...);
  } else {
    return std::make_shared<Node>(arguments...);
  }
}

}  // namespace

int ct_requires_grad(CTTensor tensor) { return ctorch::borrow(tensor).requires_grad(); }

int ct_set_requires_grad(CTTensor tensor, int value) {
  return ctorch::catching([&] { ctorch::borrow(tensor).set_requires_grad(value != 0); });
}

int ct_grad_mode(int enabled) {
  bool before = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(enabled != 0);
  return before;
}

int ct_gradients(const CTTensor *outputs, const CTTensor *outputGradients, int32_t outputCount,
                 const CTTensor *inputs, int32_t inputCount, int retainGraph, int createGraph,
                 CTTensor *results) {
  return ctorch::catching([&] {
    auto gradients = torch::autograd::grad(
        list(outputs, outputCount), list(inputs, inputCount), list(outputGradients, outputCount),
        retainGraph != 0, createGraph != 0, /*allow_unused=*/true);
    // The gradient of a linear layer's weight is a view, whose base would count as another owner.
    for (auto &gradient : gradients) {
      if (gradient.defined() && createGraph == 0) gradient = gradient.variable_data();
    }
    for (auto &gradient : gradients) {
      if (!gradient.defined()) continue;
      bool isShared = gradient.storage().use_count() > 1;
      if (isShared || !gradient.is_contiguous()) {
        gradient = gradient.clone(at::MemoryFormat::Contiguous);
      }
    }
    for (int i = 0; i < inputCount; ++i) results[i] = ctorch::give(gradients[i]);
  });
}

int ct_custom_function(const CTTensor *inputs, int32_t inputCount, const CTTensor *outputs,
                       int32_t outputCount, CTBackward backward, void (*release)(void *),
                       void *context, CTTensor *results) {
  bool owned = false;
  int status = ctorch::catching([&] {
    auto inputList = list(inputs, inputCount);
    auto node = makeNode<CallerFunction>(backward, release, context);
    owned = true;
    bool tracked = torch::autograd::compute_requires_grad(inputList);
    if (tracked) node->set_next_edges(torch::autograd::collect_next_edges(inputList));
    for (int i = 0; i < outputCount; ++i) {
      auto output = ctorch::borrow(outputs[i]).detach();
      if (tracked) torch::autograd::set_history(output, node);
      results[i] = ctorch::give(output);
    }
  });
  if (!owned) release(context);
  return status;
}

CTAutocast ct_autocast(int32_t deviceType, CTAutocast state) {
  auto type = static_cast<c10::DeviceType>(deviceType);
  CTAutocast before;
  before.enabled = at::autocast::is_autocast_enabled(type);
  before.dtype = static_cast<int32_t>(at::autocast::get_autocast_dtype(type));
  at::autocast::set_autocast_enabled(type, state.enabled != 0);
  at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(state.dtype));
  return before;
}

int32_t ct_autocast_dtype(int32_t deviceType) {
  auto type = static_cast<c10::DeviceType>(deviceType);
  bool isOn = at::autocast::is_autocast_available(type) && at::autocast::is_autocast_enabled(type);
  if (!isOn) return -1;
  return static_cast<int32_t>(at::autocast::get_autocast_dtype(type));
}

void ct_autocast_clear_cache(void) { at::autocast::clear_cache(); }
