// The key-value pairs at the start of a GGUF file (gguf.h has the whole layout).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "formats/byte_reader.h"
#include "formats/metadata.h"

namespace hachi::formats {

// One pair as it lies in a file: what a copy of the file can be written from, whatever its type.
struct RawPair {
  std::string_view key;
  std::span<const std::byte> value;  // u32 type, then the value
};

struct GgufPairs {
  Metadata metadata;
  std::vector<RawPair> raw;  // in the order of the file
};

// Reads `count` pairs where `reader` stands. A value is, by its type: u8 i8 u16 i16 u32 i32 f32,
// bool (one byte), string, list (u32 type, u64 number of elements, elements), u64 i64 f64. Strings
// are views into the reader's bytes, and UTF-8. Refuses a key that is there twice.
Result<GgufPairs> read_gguf_pairs(ByteReader& reader, uint64_t count, std::string_view file);

}  // namespace hachi::formats
