// What an opened checkpoint holds: filled by gguf_set.cc or hugging_face.cc, shown by Checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "core/files.h"
#include "formats/gguf_pairs.h"
#include "formats/metadata.h"
#include "formats/tensor_entry.h"

namespace hachi::formats {

// All views point into `files` and `documents`, and keep pointing there when a Contents is moved:
// mappings and the insides of JSON objects do not move with their owners.
struct Contents {
  std::vector<MappedFile> files;
  std::vector<boost::json::value> documents;

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
