// The tools `read_file` and `list_files`, which see one folder and nothing beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/folder.h"
#include "agent/tool.h"

namespace hachi::agent {

inline constexpr uint64_t kMaxTextFileBytes = 16 << 20;
inline constexpr int64_t kDefaultLines = 500;
inline constexpr size_t kMaxReadBytes = 24 << 10;  // of one answer
inline constexpr size_t kMaxListedFiles = 500;

// {"path", "offset", "limit"}: `limit` lines of a text from line `offset` on, which counts from 1.
// A note says where to go on if there are more.
class ReadFile : public Tool {
 public:
  explicit ReadFile(std::shared_ptr<const Folder> folder);
  Result<std::string> call(const boost::json::object& arguments,
                           const CallContext& context) override;

 private:
  std::shared_ptr<const Folder> folder_;
};

// {"path"}: the names in a folder, sorted, one a line: "notes.txt (120 bytes)", "data/".
class ListFiles : public Tool {
 public:
  explicit ListFiles(std::shared_ptr<const Folder> folder);
  Result<std::string> call(const boost::json::object& arguments,
                           const CallContext& context) override;

 private:
  std::shared_ptr<const Folder> folder_;
};

}  // namespace hachi::agent
