// How the cache holds the keys, or the values, of one head at 32 consecutive positions: a page.
//
//   keys    [D,P]  a row is one element of the head at all positions, so that scores come out as
//                  vectors of positions and nothing is summed across a vector
//   values  [P,D]  a row is one position
//
// f32, f16 and bf16 are these matrices and nothing else. q8_0 is the matrix as int8, followed by
// scales [D/32,P] in f16, one for 32 elements of a position: as many bytes as GGUF's Q8_0 takes for
// them, with its rounding.
#pragma once

#include "kernels/context.h"

namespace hachi::ops {

inline constexpr int64_t kPagePositions = 32;  // P
inline constexpr int64_t kKvBlock = 32;        // elements that share a scale

enum class KvPart { kKeys, kValues };

// The page of `head` that holds `position`, in keys or values.
template <class Byte>
Byte* kv_page(const BasicTensor<Byte>& cache, std::span<const int32_t> pages, int64_t position,
              int64_t head) {
  const int64_t page = pages[static_cast<size_t>(position / kPagePositions)];
  return cache.data() + page * cache.stride_bytes(0) + head * cache.stride_bytes(1);
}

// Where the elements of one position stand in the matrix of its page.
struct KvPlaces {
  int64_t first, step;
};
inline KvPlaces kv_places(KvPart part, int64_t width, int64_t slot) {
  return part == KvPart::kKeys ? KvPlaces{slot, kPagePositions} : KvPlaces{slot * width, 1};
}

// The scales of a q8_0 page.
template <class Byte>
auto kv_scales(Byte* page, int64_t width) {
  return page + kPagePositions * width;
}

// The `width` elements at `slot`, which is a position % P, in plain code.
void load_position(DType dtype, const std::byte* page, KvPart part, int64_t width, int64_t slot,
                   float* x);
void store_position(DType dtype, std::byte* page, KvPart part, int64_t width, int64_t slot,
                    const float* x);

}  // namespace hachi::ops
