// One tensor of a checkpoint, and the checks that all tensor files share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/tensor.h"

namespace hachi::formats {

struct TensorEntry {
  std::string_view name;
  ConstTensor data;  // sizes outermost first, as [out, in]; a scalar has the shape [1]
  // Of a matrix in panels (gguf.h): where they lie; `data` then has a type and sizes but no bytes.
  const std::byte* panels = nullptr;

  int64_t num_elements() const;
  uint64_t bytes() const;  // without those that fill up the last panel
};

inline constexpr uint64_t kMaxTensors = 1 << 17;  // a large mixture of experts has 30,000
inline constexpr uint64_t kMaxTensorNameBytes = 256;

// A tensor as a header describes it. Nothing in it has been checked.
struct TensorClaim {
  std::string_view name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> sizes;  // outermost first
  bool panels = false;          // a matrix in panels: rows that fill up the last are there too
};

inline constexpr uint64_t kPanelRows = 16;  // of a panel in a file

// Bytes of the dense tensor. Fails, naming `file` and the tensor, if there are not 1 to 4 sizes, if
// one is 0, if the row is not whole blocks, if the product does not fit 63 bits, or if panels have
// other than 2 sizes.
Result<uint64_t> dense_bytes(const TensorClaim& claim, std::string_view file);

// The entry of a claim that dense_bytes() has let pass. `data` is the tensor's first byte.
TensorEntry make_entry(const TensorClaim& claim, const std::byte* data);

// Fails, naming `file`, if two entries share a name or if one has a name that is empty, too long or
// not UTF-8.
Result<void> check_names(std::span<const TensorEntry> entries, std::string_view file);

}  // namespace hachi::formats
