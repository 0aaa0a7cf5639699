// The folder in which a server keeps what outlives it: ids that are safe as file names, records
// that survive a crash, and the lock that keeps a second server out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace hachi::server {

inline constexpr std::string_view kFileId = "file-";
inline constexpr std::string_view kBatchId = "batch_";
// Of a record; none that is written comes near it.
inline constexpr uint64_t kMaxRecordBytes = 1 << 20;

// `prefix` and 32 hexadecimal digits that nobody can guess.
Result<std::string> fresh_id(std::string_view prefix);
// Of that form. Nothing else may become part of a path.
bool is_id(std::string_view prefix, std::string_view text);

// Makes the folder, for its owner alone, and those above it.
Result<void> make_folder(const std::filesystem::path& folder);

// Writes `text` beside `path` and renames it; once it returns, it survives a loss of power.
Result<void> write_record(const std::filesystem::path& path, std::string_view text);

// The ids ID, with `prefix`, of the files ID.json of a folder. What an interrupted write has left
// there is removed.
Result<std::vector<std::string>> record_ids(const std::filesystem::path& folder,
                                            std::string_view prefix);

// Held by one server at a time; the system takes it back however the process ends. Move-only.
class FolderLock {
 public:
  // Fails if another server has it.
  static Result<FolderLock> take(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace hachi::server
