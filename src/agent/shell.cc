#include "agent/shell.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "agent/process.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;

constexpr int kLastReads = 16;  // more than a pipe holds

// The first and the last half of a text that may be endless.
class Clipped {
 public:
  explicit Clipped(size_t max_bytes) : half_(max_bytes / 2) {}

  void append(std::string_view text) {
    const size_t to_head = std::min(text.size(), half_ - head_.size());
    head_ += text.substr(0, to_head);
    tail_ += text.substr(to_head);
    // Not at each call: that would move the tail each time.
    if (tail_.size() > 2 * half_) trim();
  }

  std::string text() {
    trim();
    if (dropped_ == 0) return head_ + tail_;
    return fmt::format("{}\n[{} bytes are left out here]\n{}", head_, dropped_, tail_);
  }

 private:
  void trim() {
    if (tail_.size() <= half_) return;
    const size_t excess = tail_.size() - half_;
    tail_.erase(0, excess);
    dropped_ += excess;
  }

  size_t half_;
  std::string head_;
  std::string tail_;
  uint64_t dropped_ = 0;
};

std::string with_note(std::string text, std::string_view note) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text + fmt::format("[{}]", note);
}

std::string describe(std::string output, int status) {
  if (status > 128) return with_note(std::move(output), fmt::format("signal {}", status - 128));
  if (status != 0) return with_note(std::move(output), fmt::format("exit status {}", status));
  return output.empty() ? "[no output]" : output;
}

}  // namespace

Shell::Shell(std::filesystem::path folder, ShellLimits limits)
    : Tool("shell",
           fmt::format("Runs a command with sh and returns its output. Each command starts in the "
                       "same folder, has no input and at most {} seconds.",
                       limits.time.count()),
           object_schema({{"command", {{"type", "string"}, {"description", "the command line"}}}},
                         {"command"})),
      folder_(std::move(folder)),
      limits_(limits) {}

Result<std::string> Shell::call(const json::object& arguments, const CallContext& context) {
  TRY(const auto command, text_argument(arguments, "command"));
  if (command.find('\0') != command.npos) {
    return fail(Code::kInvalidArgument, "a command cannot hold a zero byte");
  }
  const CallContext limited = within(context, limits_.time);
  TRY(Process process, Process::start({.arguments = {"sh", "-c", std::string(command)},
                                       .environment = basic_environment(),
                                       .folder = folder_,
                                       .errors = Errors::kWithOutput}));
  Clipped output(limits_.output_bytes);
  std::string bytes;
  const auto read = [&] {
    bytes.clear();
    process.read_some(bytes);
    output.append(bytes);
  };
  // Bounded, because what left the group may go on writing.
  const auto stop = [&] {
    const int status = process.stop(std::chrono::milliseconds(0));
    for (int i = 0; i < kLastReads; ++i) read();
    return status;
  };
  while (!process.status()) {
    if (limited.is_cancelled()) return fail(Code::kCancelled, "the command was cancelled");
    if (limited.is_late()) {
      stop();
      return with_note(output.text(), "killed: its time was over");
    }
    process.wait(false, limited.poll_ms());
    read();
  }
  const int status = stop();
  return describe(output.text(), status);
}

}  // namespace hachi::agent
