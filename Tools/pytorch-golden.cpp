// Writes Tests/CheckpointsTests/Golden/libtorch.pt with libtorch's own writer:
//
//   L=$(readlink -f .libtorch) && c++ -std=c++20 -I $L/include Tools/pytorch-golden.cpp -o /tmp/golden \
//     -L $L/lib -ltorch -ltorch_cpu -lc10 -Wl,-rpath,$L/lib
//   /tmp/golden Tests/CheckpointsTests/Golden/libtorch.pt
//
// Every tensor holds 0, 1, 2, ... in the order of its memory (booleans: even or odd).
#include <ATen/ATen.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <fstream>

static at::Tensor counting(at::ScalarType type) {
  at::Tensor values = at::arange(6, at::kFloat);
  if (type == at::kBool) values = values.remainder(2);
  return values.to(type).reshape({2, 3});
}

int main(int, char **arguments) {
  c10::impl::GenericDict model(c10::StringType::get(), c10::TensorType::get());
  for (at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                              at::kShort, at::kChar, at::kByte, at::kBool}) {
    model.insert(std::string(c10::toString(type)), counting(type));
  }
  at::Tensor base = at::arange(24, at::kFloat).reshape({2, 3, 4});
  model.insert("transposed", base.transpose(0, 2));
  model.insert("row", base[1]);
  model.insert("scalar", at::scalar_tensor(3.0));
  model.insert("empty", at::empty({0, 3}));

  c10::impl::GenericDict checkpoint(c10::StringType::get(), c10::AnyType::get());
  checkpoint.insert("model", model);
  checkpoint.insert("epoch", int64_t(300));
  checkpoint.insert("best", 81.5);
  checkpoint.insert("note", std::string("written by libtorch"));
  std::vector<char> data = torch::jit::pickle_save(checkpoint);
  std::ofstream(arguments[1], std::ios::binary).write(data.data(), data.size());
}
