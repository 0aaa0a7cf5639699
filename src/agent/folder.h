// A folder that nothing opened through it can leave.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "agent/descriptor.h"
#include "core/result.h"

namespace hachi::agent {

// The kernel itself holds each path below the folder (openat2 with RESOLVE_BENEATH, Linux 5.6): no
// "..", no absolute path and no link leads out, whatever is renamed meanwhile. Links that stay
// inside work if they are relative.
class Folder {
 public:
  static Result<Folder> open(const std::filesystem::path& path);

  // The regular file `path`, whole, if it has at most `max_bytes`.
  Result<std::string> read(std::string_view path, uint64_t max_bytes) const;
  // The folder `path` ("" is this one), open for readdir.
  Result<Descriptor> open_folder(std::string_view path) const;

 private:
  explicit Folder(Descriptor folder) : folder_(std::move(folder)) {}
  Result<Descriptor> open_beneath(std::string_view path, uint64_t flags) const;

  Descriptor folder_;
};

}  // namespace hachi::agent
