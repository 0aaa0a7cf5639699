// What an opened checkpoint holds: filled by gguf_set.cc, hugging_face.cc or in
// memory, shown by Checkpoint.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "core/buffer.h"
#include "core/files.h"
#include "formats/gguf_pairs.h"
#include "formats/metadata.h"
#include "formats/tensor_entry.h"

namespace hachi::formats {

// All views point into the first four, and keep pointing there when a Contents is moved: mappings,
// the insides of JSON objects, the elements of a deque and buffers do not move with their owners.
struct Contents {
  std::vector<MappedFile> files;
  std::vector<boost::json::value> documents;
  std::deque<std::string> names;
  Buffer memory;

  uint64_t file_bytes = 0;  // of the files that hold tensors
  std::vector<TensorEntry> tensors;
  Metadata metadata;
  std::vector<RawPair> raw_pairs;  // of the first GGUF file
  Metadata generation;
  Metadata tokenizer_config;
  std::string_view tokenizer_json;
  std::optional<std::string_view> chat_template;
};

}  // namespace hachi::formats
