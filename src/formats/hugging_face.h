// A model as Hugging Face keeps it: a folder with config.json, safetensors and the tokenizer's
// files.
#pragma once

#include <filesystem>

#include "core/result.h"
#include "formats/contents.h"

namespace hachi::formats {

// Needs config.json and the tensors: model.safetensors, or model.safetensors.index.json with its
// shards, or whatever single *.safetensors there is. The other files may be missing.
Result<Contents> open_hugging_face(const std::filesystem::path& folder);

}  // namespace hachi::formats
