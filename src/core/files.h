// Files: mapped for reading, read whole below a limit, written beside and renamed when whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace hachi::inline core {

// A regular file mapped read-only. Move-only; the bytes live as long as the object.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  static Result<MappedFile> open(const std::filesystem::path& path);

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Tells the system that nobody will soon read these bytes of a mapping: whole pages among them
// leave the process's memory, and come back from the file if they are read after all.
void release_pages(std::span<const std::byte> mapped);

// The whole file, if it has at most `max_bytes`.
Result<std::string> read_file(const std::filesystem::path& path, uint64_t max_bytes);

// A file that is written beside its place and renamed into it when it is whole: a reader sees what
// was there before or all of it, and what is given up on (disk full, an error, Ctrl-C noted and
// obeyed) leaves nothing behind. Move-only.
class NewFile {
 public:
  static Result<NewFile> create(const std::filesystem::path& path);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  // Takes the disk space now, so that a disk that is too small is told of before the work.
  Result<void> reserve(uint64_t bytes);
  Result<void> write(std::span<const std::byte> bytes);
  // Syncs and renames; the file is then nobody's to remove. Once, at the end.
  Result<void> commit();

 private:
  NewFile(int fd, std::filesystem::path path, std::string beside);

  int fd_;  // -1 when moved from or committed
  std::filesystem::path path_;
  std::string beside_;
};

// Writes `bytes` beside `path`, syncs, and renames over it: a reader sees the old file or the new
// one, and a failure (disk full, no permission) leaves nothing behind.
Result<void> write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace hachi::inline core
