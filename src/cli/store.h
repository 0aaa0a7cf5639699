// The model store: the models that this user has, one folder each, under a name.
//
//   <root>/models/NAME/      a GGUF file, all parts of a split one, or a Hugging Face folder;
//                            or a symbolic link to such a folder
//   <root>/.pull-XXXXXX/     what a pull is working on (pull.h)
//   <root>/.lock             held by the pull at work
//
// <root> is $HACHI_HOME, or ~/.cache/hachi.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::cli {

struct StoredModel {
  std::string name;
  std::filesystem::path path;  // what to open; empty if nothing there can be opened
  std::string kind;            // "gguf", "huggingface", or "broken"
  uint64_t bytes = 0;          // of all its files, links followed
  bool linked = false;         // the files lie elsewhere
};

class ModelStore {
 public:
  // The store of this user; it need not exist yet. Fails if neither HACHI_HOME nor HOME is set.
  static Result<ModelStore> open();
  explicit ModelStore(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path folder_of(std::string_view name) const;

  // What to open for MODEL as a user gives it: a model's path, else a name in the store. Fails with
  // kNotFound and what to do next.
  Result<std::filesystem::path> resolve(std::string_view model) const;

  // Sorted by name. A store that does not exist yet is empty.
  Result<std::vector<StoredModel>> list() const;

 private:
  std::filesystem::path root_;
};

// A name is 1 to 100 letters, digits, dots, underscores and dashes, and begins with a letter or a
// digit: no name leads out of the store, hides in it, or reads as an option.
bool is_model_name(std::string_view name);

// What to open for a folder: itself if it has a config.json, else its first .gguf file by name.
std::optional<std::filesystem::path> model_in(const std::filesystem::path& folder);

// " (did you mean 'x' or 'y'?)" with those of `names` that `given` may be a slip of, or nothing.
std::string did_you_mean(std::string_view given, std::span<const std::string> names);

// "98.4 MB"; powers of 1000, as the disks are sold.
std::string human_bytes(uint64_t bytes);

}  // namespace hachi::cli
