// The models that `hachi pull NAME` knows how to get.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hachi::cli {

// A model that lies as one file inside a Python package.
struct KnownModel {
  std::string_view name;
  std::string_view package;
  std::string_view version;
  std::string_view file;  // its path inside the package
  uint64_t bytes;
  std::string_view sha256;  // of the file, 64 hexadecimal digits
  std::string_view licence;
  std::string_view description;
};

std::span<const KnownModel> known_models();

// Null if there is none of that name.
const KnownModel* find_known_model(std::string_view name);

}  // namespace hachi::cli
