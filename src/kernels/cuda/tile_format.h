// The bytes of the layouts in tiles: 16 rows and 128 columns make a chunk, and the chunks of 16
// rows follow each other from left to right. A chunk holds the weights in the order in which the
// lanes of a warp multiply them, then the scales of each row, then the mins.
//
// Lane 4g + t has the weights of rows g and g + 8. Of each 32 columns it has 8t..8t+7 (in
// kInt8Half, whose matrix products have half the columns, 4t..4t+3 and 16+4t..16+4t+3).
#pragma once

#include <cstdint>

#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

inline constexpr int kTileRows = 16;
inline constexpr int kChunkColumns = 128;

struct ChunkFormat {
  int weight_bytes;    // of the chunk, all rows
  int scales_per_row;  // f16
  bool has_mins;       // as many
  constexpr int bytes() const {
    return weight_bytes + kTileRows * scales_per_row * 2 * (has_mins ? 2 : 1);
  }
};

// Of the layouts in tiles; zeros for the others.
constexpr ChunkFormat chunk_format(Layout layout) {
  switch (layout) {
    case Layout::kInt4:
      return {1024, 4, false};
    case Layout::kInt4Min:
      return {1024, 4, true};
    case Layout::kInt8:
      return {2048, 4, false};
    case Layout::kInt8Half:
      return {2048, 8, false};
    default:
      return {0, 0, false};
  }
}

// Where the weight of a row and a column of a chunk lies: a byte, and for 4 bits which half.
struct WeightPlace {
  int byte;
  int shift;  // bits
};

constexpr WeightPlace weight_place(Layout layout, int row, int column) {
  const int lane_row = row % 8;
  const int group = column / 32;
  const int c = column % 32;
  if (layout == Layout::kInt4 || layout == Layout::kInt4Min) {
    const int lane = lane_row * 4 + c / 8;
    return {row / 8 * 512 + lane * 16 + group * 4 + c % 4, c % 8 / 4 * 4};
  }
  const bool halves = layout == Layout::kInt8Half;
  const int lane = lane_row * 4 + (halves ? c % 16 / 4 : c / 8);
  const int word = halves ? c / 16 : c % 8 / 4;
  return {row / 8 * 1024 + group / 2 * 512 + lane * 16 + (group % 2 * 2 + word) * 4 + c % 4, 0};
}

// Where scale `index` of a row lies, and `min_place` its min.
constexpr int scale_place(ChunkFormat format, int row, int index) {
  return format.weight_bytes + (row * format.scales_per_row + index) * 2;
}
constexpr int min_place(ChunkFormat format, int row, int index) {
  return scale_place(format, kTileRows + row, index);
}

}  // namespace hachi::ops::cuda
