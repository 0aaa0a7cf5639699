// The levels that a block's scales leave for its elements, and blocks with other choices among
// them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "kernels/unpack.h"

namespace hachi::quantize {

// True of the block types whose elements are chosen one by one, each from the levels of its group.
// The IQ2 and IQ3 types choose several together.
bool has_grid(DType type);

inline constexpr int64_t kMaxBlock = 256;

// Of one block, which element i of it may be scales[g] * q + mins[g], g = i / 16, for any q that
// the type has.
class BlockGrid {
 public:
  // Reads the scales of the block at `block`.
  BlockGrid(DType type, const std::byte* block);

  // The level of element i that is nearest to x; remembers the choice.
  float choose(int64_t i, float x);

  // Writes the choices of all elements into the block that the grid was read from.
  void store(std::byte* block) const;

 private:
  DType type_;
  int8_t q_[kMaxBlock];
  float scales_[kMaxBlock / ops::kGroup];
  float mins_[kMaxBlock / ops::kGroup] = {};
};

}  // namespace hachi::quantize
