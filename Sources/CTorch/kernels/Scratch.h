// A thread's working memory: grows to what the largest call needs, and stays.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

namespace ctorch {

class Scratch {
 public:
  static constexpr int kSlots = 7;

  /// At least `count` floats, aligned to 64 bytes, of any content; each slot's own.
  float *floats(int slot, int64_t count) {
    if (count > sizes_[slot]) {
      std::free(slots_[slot]);
      slots_[slot] = nullptr;
      sizes_[slot] = 0;
      int64_t bytes = (count * static_cast<int64_t>(sizeof(float)) + 4159) / 64 * 64;
      slots_[slot] = static_cast<float *>(std::aligned_alloc(64, bytes));
      if (slots_[slot] == nullptr) throw std::bad_alloc();
      sizes_[slot] = count;
    }
    return slots_[slot];
  }

  static Scratch &ofThread() {
    static thread_local Scratch scratch;
    return scratch;
  }

  ~Scratch() {
    for (float *slot : slots_) std::free(slot);
  }

 private:
  float *slots_[kSlots] = {};
  int64_t sizes_[kSlots] = {};
};

}  // namespace ctorch
