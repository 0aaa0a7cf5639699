// A program that runs beside us: its input and output without blocking, and its end as a whole.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "agent/descriptor.h"
#include "core/result.h"

namespace hachi::agent {

enum class Errors { kDropped, kWithOutput, kToFile };

struct ProcessCommand {
  std::vector<std::string> arguments;    // the program first; looked up in our PATH
  std::vector<std::string> environment;  // NAME=value, all that it gets
  std::filesystem::path folder;          // where it runs; empty: where we do
  bool has_input = false;                // else its standard input is empty
  Errors errors = Errors::kDropped;      // where its standard error goes
  std::filesystem::path error_file;      // for kToFile, which appends
};

// Those of PATH, HOME, USER, LANG, LC_ALL, TZ and TMPDIR that we have: no keys, no tokens.
std::vector<std::string> basic_environment();

// A process that leads a group of its own, and is ended with all of that group by the destructor.
// What leaves the group (setsid) is out of reach. Used by one thread at a time.
class Process {
 public:
  // kNotFound if there is no such program or folder.
  static Result<Process> start(const ProcessCommand& command);
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  // Until there is output to read, room to write (if asked for) or the process has ended, or
  // `timeout_ms` have passed.
  void wait(bool for_room, int timeout_ms);

  // Appends what is there, at most 64 KiB, and returns how much that was.
  size_t read_some(std::string& out);
  bool is_output_closed() const { return !output_.is_open(); }

  // Bytes of `text` that were taken, 0 if there is no room. kIo if nobody will read them.
  Result<size_t> write_some(std::string_view text);

  // Whether it ends within `time`.
  bool wait_for_end(std::chrono::milliseconds time) const;
  // Its exit status, or 128 + the signal that ended it, once it has ended.
  std::optional<int> status() const;

  // Closes the input, gives it `grace` to end by itself and as long again after SIGTERM, then kills
  // what is left of the group. Without grace it kills at once. Returns the exit status.
  int stop(std::chrono::milliseconds grace);

 private:
  Process(pid_t pid, Descriptor input, Descriptor output);

  pid_t pid_;  // -1 when moved from or reaped
  Descriptor input_;
  Descriptor output_;  // not blocking; closed at its end
  Descriptor handle_;  // becomes readable at the process's end
  int status_ = 0;     // when reaped
};

}  // namespace hachi::agent
