// Running another program: no shell, its complaints read line by line, ended with us on Ctrl-C.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::cli {

struct ChildCommand {
  std::vector<std::string> arguments;    // the program first; looked up in PATH
  std::vector<std::string> environment;  // NAME=value, over those of this process
  bool show_output = false;              // its standard output goes to our standard error
};

// Runs the command to its end, with nothing on its standard input, and returns its exit status, or
// 128 + the signal that ended it. `on_error_line` gets each line of its standard error, without the
// line end, cut at 4096 bytes. Fails with kNotFound if there is no such program, and with
// kCancelled if InterruptGuard saw a signal: then the program and what it started were ended.
Result<int> run_child(const ChildCommand& command,
                      const std::function<void(std::string_view)>& on_error_line);

// For posix_spawn(). The variables of this process with `changes` in place of the same names;
// NAME without a value: not set.
std::vector<std::string> merged_environment(const std::vector<std::string>& changes);
// To each of them, and null at the end.
std::vector<char*> pointers_to(std::vector<std::string>& strings);

}  // namespace hachi::cli
