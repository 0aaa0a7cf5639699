// Where the small tokenizers of these tests lie.
#pragma once

#include <filesystem>

namespace hachi::tokenizer {

inline std::filesystem::path data_folder() {
  return std::filesystem::path(HACHI_TEST_DIR) / "tokenizer" / "data";
}

}  // namespace hachi::tokenizer
