// What one rendering may use. Templates come with models, so they are as little trusted as any
// file: every node that is run, every byte that is read and every byte that is made is charged
// here, and what would go over a limit fails with kLimit before it is done.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/result.h"

namespace hachi::chat::jinja {

// Nodes run, elements visited, and 32 bytes of text read, are one step each. The templates of the
// known families take about 100 steps a message.
inline constexpr uint64_t kMaxSteps = 2'000'000;
// Bytes of text and lists made in one rendering, all together, freed or not.
inline constexpr uint64_t kMaxBytes = uint64_t{96} << 20;
// Statements, expressions and macro calls inside one another while a template runs.
inline constexpr int kMaxRunDepth = 400;
// Lists and dicts inside one another.
inline constexpr int kMaxValueDepth = 100;

class Budget {
 public:
  Result<void> spend_steps(uint64_t steps) {
    if (steps > steps_left_) {
      steps_left_ = 0;
      return fail(Code::kLimit, "the template runs for more than {} steps", kMaxSteps);
    }
    steps_left_ -= steps;
    return {};
  }

  // For going through `bytes` of text.
  Result<void> spend_reading(size_t bytes) { return spend_steps(1 + bytes / 32); }

  // False if fewer than `bytes` are left.
  bool take_bytes(uint64_t bytes) {
    if (bytes > bytes_left_) return false;
    bytes_left_ -= bytes;
    return true;
  }

  Result<void> spend_bytes(uint64_t bytes) {
    if (!take_bytes(bytes)) return too_much_text();
    return {};
  }

  static tl::unexpected<Error> too_much_text() {
    return fail(Code::kLimit, "the template makes more than {} MiB of text and lists",
                kMaxBytes >> 20);
  }

 private:
  uint64_t steps_left_ = kMaxSteps;
  uint64_t bytes_left_ = kMaxBytes;
};

}  // namespace hachi::chat::jinja
