// A model in one GGUF file, or in a set of them named NAME-00001-of-00003.gguf and so on, of which
// the first holds the metadata and each has a share of the tensors.
#pragma once

#include <filesystem>

#include "core/result.h"
#include "formats/contents.h"

namespace hachi::formats {

// `path`: the file, or any part of a set, all parts of which are opened.
Result<Contents> open_gguf(const std::filesystem::path& path);

}  // namespace hachi::formats
