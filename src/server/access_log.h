// The access log: one line of JSON a request, on stderr or at the end of a file.
//
// A request never waits for the log: its line joins those of a bounded buffer, which a thread of
// the log's own writes out. Lines that find no room there, or that the disk or the pipe does not
// take, are dropped and counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace hachi::server {

class LogWriter;

// One request. What is empty or absent is left out of the line. Strings from outside are cut to
// AccessLog::kMaxFieldBytes and escaped.
struct AccessRecord {
  std::chrono::system_clock::time_point time{};  // when it came
  std::string_view client;                       // address
  std::string_view key;                          // its name
  std::string_view method, path;
  int status = 0;
  double ms = 0;  // until the last byte of the answer
  std::string_view model;
  std::optional<int64_t> prompt_tokens, cached_tokens, completion_tokens;
  std::optional<double> ttft_ms;  // until the first token
  std::string_view finish;
  std::string_view request_id;
  std::string_view error;  // a short code
  std::optional<bool> stream;
  std::string_view prompt, answer;  // written only if the log was opened with text
};

struct AccessLogOptions {
  std::filesystem::path file;  // empty: stderr
  bool with_text = false;      // also prompts and answers
};

// Any thread may call it.
class AccessLog {
 public:
  static constexpr size_t kMaxFieldBytes = 256;
  static constexpr size_t kMaxTextBytes = 64 << 10;  // of a prompt or an answer

  static Result<std::unique_ptr<AccessLog>> open(const AccessLogOptions& options);
  // Writes what is pending, but waits no longer than LogWriter::kPatience for a pipe that nobody
  // reads.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Never blocks on the file. Whether prompts and answers are wanted is with_text().
  void write(const AccessRecord& record);
  bool with_text() const { return options_.with_text; }

  // Opens the file anew, after something moved it away; the old one stays if that fails.
  Result<void> reopen();

  // Returns when all lines written before are in the file or dropped.
  void flush();

  int64_t dropped() const;  // lines

 private:
  AccessLog(AccessLogOptions options, std::unique_ptr<LogWriter> writer);

  AccessLogOptions options_;
  std::unique_ptr<LogWriter> writer_;
};

// `record` as a line of JSON, with its line feed.
std::string access_line(const AccessRecord& record, bool with_text);

}  // namespace hachi::server
