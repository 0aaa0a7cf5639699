// The element types of tensors. A block type packs `block_size` neighbouring elements of a row with
// their scales into `block_bytes` bytes; the layouts are those of GGUF and stand, field by field,
// in kernels/blocks.h. Plain types are blocks of one element.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hachi::inline core {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,  // 1 sign, 4 exponent, 3 mantissa bits, bias 7, no infinities; its scales lie apart
  kI32,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kIQ3_S,
  kIQ3_XXS,
  kIQ2_S,
  kIQ2_XS,
  kIQ2_XXS,
};
inline constexpr int kNumDTypes = static_cast<int>(DType::kIQ2_XXS) + 1;

struct DTypeTraits {
  std::string_view name;  // as users of GGUF write it: "Q4_K"
  int block_size;         // elements a block
  int block_bytes;        // bytes a block
};

const DTypeTraits& traits(DType dtype);

inline std::string_view name(DType dtype) { return traits(dtype).name; }

// Bytes of a row of `elements`, which must be a multiple of the block size.
int64_t row_bytes(DType dtype, int64_t elements);

// The type of that name, in any case of letters.
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace hachi::inline core
