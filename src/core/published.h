// Published: the latest value of one writer for any number of readers. The writer never waits; a
// reader tries again when the writer came between. A sequence lock over words (Boehm 2012, "Can
// seqlocks get along with programming language memory models?").
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace hachi::inline core {

template <class T>
class Published {
  static_assert(std::is_trivially_copyable_v<T>);
  static_assert(sizeof(T) % sizeof(uint64_t) == 0, "padding would be read");

 public:
  explicit Published(const T& value = {}) { store(value); }

  // One thread only.
  void store(const T& value) {
    Words words;
    std::memcpy(words.data(), &value, sizeof(T));
    const uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_relaxed);
    version_.store(version + 2, std::memory_order_release);
  }

  T load() const {
    Words words;
    uint64_t before = 0, after = 0;
    do {
      before = version_.load(std::memory_order_acquire);
      for (size_t i = 0; i < words.size(); ++i)
        words[i] = words_[i].load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      after = version_.load(std::memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    T value;
    std::memcpy(static_cast<void*>(&value), words.data(), sizeof(T));
    return value;
  }

 private:
  using Words = std::array<uint64_t, sizeof(T) / sizeof(uint64_t)>;

  std::atomic<uint64_t> version_{0};  // odd while a value is written
  std::array<std::atomic<uint64_t>, sizeof(T) / sizeof(uint64_t)> words_{};
};

}  // namespace hachi::inline core
