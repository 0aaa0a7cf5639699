// GGUF: one file with a model's metadata and its tensors. The layout, all little endian:
//
//   "GGUF", u32 version, u64 number of tensors, u64 number of pairs
//   pairs:   string key, u32 type, value       a string is u64 length, bytes
//   tensors: string name, u32 rank, u64 sizes (innermost first), u32 type, u64 offset
//   padding to `general.alignment` (32), then the tensors, each padded to it
//
// Offsets count from the end of that first padding. Versions 2 and 3 differ only in that 3 may be
// big-endian. Source: docs/gguf.md of the ggml repository.
//
// Types of our own: kGgufPanelTypes + the number of a type is a matrix of that type in panels of 16
// rows, its fields in the order of kernels/panels.h and the last panel filled up with rows of
// zeros. Readers that know nothing of panels refuse such a file as one of an unknown type. Another
// order of the fields would be another base.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "formats/gguf_pairs.h"
#include "formats/metadata.h"
#include "formats/tensor_entry.h"

namespace hachi::formats {

struct Gguf {
  Metadata metadata;
  std::vector<RawPair> raw_pairs;    // the same, as they lie in the file and in its order
  std::vector<TensorEntry> tensors;  // in the order of the header
};

// Reads the header at the start of `bytes`, the whole of a file, and checks every count, size and
// offset in it against them before it is used. Names, strings and tensors are views into `bytes`.
// `file` names the file in messages. Memory stays in proportion to what the header really holds.
Result<Gguf> parse_gguf(std::span<const std::byte> bytes, std::string_view file);

// The format's number of a type; nothing for one that GGUF does not have (F8_E4M3).
std::optional<uint32_t> gguf_type_number(DType dtype);

inline constexpr uint64_t kGgufAlignment = 32;  // where a file does not say

inline constexpr uint32_t kGgufPanelTypes = 0x48500000;  // "HP"

}  // namespace hachi::formats
