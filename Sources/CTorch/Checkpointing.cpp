// What activation checkpointing needs of autograd: the leaves of a graph, and gradients as they come.
#include "Support.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/variable.h>

#include <unordered_set>
#include <vector>

namespace {

using torch::autograd::Node;

thread_local std::vector<CTTensor> found;

}  // namespace

int ct_graph_leaves(CTTensor output, CTTensor input, CTTensor **leaves, int32_t *count) {
  return ctorch::catching([&] {
    auto end = ctorch::borrow(output);
    auto start = ctorch::borrow(input);
    found.clear();
    std::unordered_set<Node *> seen;
    // A leaf has its own node, which gathers its gradient.
    auto stop = start.defined() && start.requires_grad()
                    ? torch::autograd::impl::gradient_edge(start).function
                    : decltype(torch::autograd::impl::gradient_edge(start).function)();
    if (stop) seen.insert(stop.get());
    std::vector<Node *> open;
    if (end.requires_grad()) {
      auto first = torch::autograd::impl::gradient_edge(end).function;
      if (seen.insert(first.get()).second) open.push_back(first.get());
      while (!open.empty()) {
        auto *node = open.back();
        open.pop_back();
        if (auto leaf = dynamic_cast<torch::autograd::AccumulateGrad *>(node)) {
          found.push_back(ctorch::give(leaf->variable));
        }
        for (auto &edge : node->next_edges()) {
          auto *next = edge.function.get();
          if (next && seen.insert(next).second) open.push_back(next);
        }
      }
    }
    *leaves = found.data();
    *count = static_cast<int32_t>(found.size());
  });
}

int ct_raw_gradients(CTTensor output, CTTensor outputGradient, const CTTensor *inputs,
                     int32_t inputCount, CTTensor *results) {
  return ctorch::catching([&] {
    torch::autograd::variable_list list;
    for (int i = 0; i < inputCount; ++i) list.push_back(ctorch::borrow(inputs[i]));
    auto gradients = torch::autograd::grad({ctorch::borrow(output)}, list,
                                           {ctorch::borrow(outputGradient)}, std::nullopt,
                                           /*create_graph=*/false, /*allow_unused=*/true);
    for (int i = 0; i < inputCount; ++i) results[i] = ctorch::give(gradients[i]);
  });
}
