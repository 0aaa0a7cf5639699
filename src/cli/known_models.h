// The models that `hachi pull NAME` knows how to get.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hachi::cli {

// A piece of a model's file, as a file inside a Python package.
struct KnownPart {
  std::string_view package;
  std::string_view file;  // its path inside the package
};

// A model that lies as one file inside a Python package, or in pieces inside several.
struct KnownModel {
  std::string_view name;
  std::string_view package;
  std::string_view version;
  std::string_view file;  // its path inside the package; in the store, its last component
  std::span<const KnownPart> parts = {};  // if any: in order; `file` is all of them
  uint64_t bytes;
  std::string_view sha256;  // of the file, 64 hexadecimal digits
  std::string_view licence;
  std::string_view description;
};

std::span<const KnownModel> known_models();

// Null if there is none of that name.
const KnownModel* find_known_model(std::string_view name);

}  // namespace hachi::cli
