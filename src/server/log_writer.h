// Lines to a file or a pipe by a thread of their own, so that whoever has a line never waits.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/result.h"

namespace hachi::server {

// Where lines go: the end of a file, or stderr. Move-only.
class LogFile {
 public:
  // Creates the file if it is not there, for its owner and group; an empty path is stderr.
  static Result<LogFile> open(const std::filesystem::path& path);
  explicit LogFile(int fd) : fd_(fd) {}  // owned, unless it is stderr's
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&& other) noexcept;
  ~LogFile();

  // Bytes written: all of them, unless the disk is full, the reader is gone, or a pipe has not
  // made room for them by `deadline`. Needs SIGPIPE to be blocked or ignored.
  size_t write(std::string_view bytes, std::chrono::steady_clock::time_point deadline) const;

 private:
  int fd_;
};

// Any thread may call it.
class LogWriter {
 public:
  static constexpr size_t kMaxPendingBytes = 4 << 20;
  static constexpr std::chrono::seconds kPatience{1};  // with a pipe that nobody reads

  explicit LogWriter(LogFile file);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // `line` ends with a line feed. Dropped and counted if too much is pending.
  void write(std::string_view line);
  // Lines that come after this go to `file`; those pending may go to either.
  void replace(LogFile file);
  // Returns when what was written before is in the file or dropped.
  void flush();
  int64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void run();
  void write_out(std::string_view lines);

  std::mutex mutex_;  // guards all that follows, up to the fields of the thread
  std::condition_variable news_, done_;
  std::string pending_;
  std::optional<LogFile> next_file_;
  uint64_t num_taken_ = 0;  // bytes that were pending once
  uint64_t num_done_ = 0;   // of those, written or dropped
  bool stop_ = false;

  std::atomic<int64_t> dropped_{0};

  LogFile file_;              // the thread's
  bool inside_line_ = false;  // the thread's: the last line that went out is not whole
  std::thread thread_;        // last: it uses all of the above
};

}  // namespace hachi::server
