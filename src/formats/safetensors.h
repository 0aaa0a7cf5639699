// safetensors: tensors alone. The layout: u64 (little endian) length of a JSON object, the object,
// then the bytes of the tensors without a gap:
//
//   {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, "__metadata__": ...}
//
// Offsets count from the end of the JSON. Source: README.md of the safetensors repository.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "core/result.h"
#include "formats/tensor_entry.h"

namespace hachi::formats {

struct Safetensors {
  boost::json::object header;        // owns the names
  std::vector<TensorEntry> tensors;  // in the order of their bytes
};

// Reads the header at the start of `bytes`, the whole of a file, and checks every size and offset
// in it against them. Tensors are views into `bytes`. `file` names the file in messages.
Result<Safetensors> parse_safetensors(std::span<const std::byte> bytes, std::string_view file);

}  // namespace hachi::formats
