// The line files of a batch: its input, read line by line, and its results, appended line by line
// so that what is there after a crash tells what is done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"

namespace hachi::server {

// Reads a file of lines of any number in the memory of one line. Move-only.
class LineReader {
 public:
  static Result<LineReader> open(const std::filesystem::path& path, size_t max_line_bytes);
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();

  // False at the end. Fails with kLimit, naming the line, if one is too long; there is no going on
  // after that.
  Result<bool> next();
  // Without its end, "\n" or "\r\n"; until the next call of next().
  std::string_view line() const { return line_; }
  int64_t number() const { return number_; }  // from 1

 private:
  LineReader(int fd, std::string name, size_t max_line_bytes);
  Result<void> fill();

  int fd_;
  std::string name_;
  size_t max_line_bytes_;
  std::string buffer_;  // what was read and not given away begins at `begin_`
  size_t begin_ = 0;
  bool at_end_ = false;
  std::string_view line_;  // of buffer_
  int64_t number_ = 0;
};

bool is_blank(std::string_view line);

// The id of the result of line `number` of a batch's input: what a result line begins with.
std::string result_id(std::string_view batch_id, int64_t number);

// A file of results, one line each. Lines are appended whole; what a crash leaves of one is cut off
// when it is opened again. Move-only.
class ResultFile {
 public:
  // Creates it, or takes what is there: take_line(number) for each whole line, and at the first
  // that is none of this batch's, or that take_line refuses, the file is cut.
  static Result<ResultFile> open(const std::filesystem::path& path, std::string_view batch_id,
                                 const std::function<bool(int64_t number)>& take_line);
  ResultFile(ResultFile&& other) noexcept;
  ResultFile& operator=(ResultFile&&) = delete;
  ~ResultFile();

  // `line` ends with its newline. After a failure the file is as it was before.
  Result<void> append(std::string_view line);
  // What was appended survives a loss of power. Does nothing if it does already.
  Result<void> sync();
  uint64_t bytes() const { return bytes_; }

 private:
  ResultFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  Result<void> cut();

  int fd_;
  std::string name_;
  uint64_t bytes_ = 0;
  bool is_synced_ = false;
};

}  // namespace hachi::server
