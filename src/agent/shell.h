// The tool `shell`: commands in a folder. It can do all that its user can, so nobody gets it who
// did not ask for it: it is in no default set of tools.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>

#include "agent/tool.h"

namespace hachi::agent {

struct ShellLimits {
  std::chrono::seconds time{60};
  size_t output_bytes = 24 << 10;  // its first and its last half are kept
};

// {"command": "ls | wc -l"}: runs `sh -c command` with nothing on its input and little in its
// environment; the answer is its output and errors, and how it ended. At the end of the command or
// of its time, whatever it started and left in its process group is killed.
class Shell : public Tool {
 public:
  Shell(std::filesystem::path folder, ShellLimits limits);
  Result<std::string> call(const boost::json::object& arguments,
                           const CallContext& context) override;

 private:
  std::filesystem::path folder_;
  ShellLimits limits_;
};

}  // namespace hachi::agent
