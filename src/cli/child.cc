#include "cli/child.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "cli/interrupt.h"

extern char** environ;

namespace hachi::cli {
namespace {

constexpr size_t kMaxLineBytes = 4096;
constexpr int kPollMs = 50;
constexpr auto kGraceTime = std::chrono::seconds(2);  // from SIGTERM to SIGKILL

class LineReader {
 public:
  explicit LineReader(const std::function<void(std::string_view)>& on_line) : on_line_(on_line) {}

  // False at the end of the stream; true also when nothing is there now.
  bool read_some(int fd) {
    char bytes[4096];
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    for (const char c : std::string_view(bytes, static_cast<size_t>(got))) take(c);
    return got > 0;
  }

  void finish() {
    if (!line_.empty()) on_line_(line_);
    line_.clear();
  }

 private:
  void take(char c) {
    if (c == '\n' || c == '\r') return finish();
    if (line_.size() < kMaxLineBytes) line_ += c;
  }

  const std::function<void(std::string_view)>& on_line_;
  std::string line_;
};

// In a process group of its own, so that a Ctrl-C reaches it through us alone and kill() reaches
// what it started.
Result<pid_t> spawn(const ChildCommand& command, int error_fd) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = merged_environment(command.environment);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (command.show_output) {
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  }
  posix_spawn_file_actions_adddup2(&files, error_fd, STDERR_FILENO);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);

  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments.front().c_str(), &files, &attributes,
                                   pointers_to(arguments).data(), pointers_to(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    return fail(error == ENOENT ? Code::kNotFound : Code::kIo, "cannot start {}: {}",
                command.arguments.front(), std::strerror(error));
  }
  return pid;
}

int exit_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

void end_group(pid_t pid) {
  ::kill(-pid, SIGTERM);
  const auto give_up = std::chrono::steady_clock::now() + kGraceTime;
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > give_up) {
      ::kill(-pid, SIGKILL);
      ::waitpid(pid, &status, 0);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(-pid, SIGKILL);  // whatever it started and left behind
}

// Reads until the program ended, not until the pipe closed: what it left behind may hold that open.
Result<int> wait_for(pid_t pid, int error_fd, LineReader& lines) {
  bool open = true;
  while (true) {
    if (InterruptGuard::requested()) {
      end_group(pid);
      return fail(Code::kCancelled, "interrupted");
    }
    pollfd readable = {.fd = open ? error_fd : -1, .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, kPollMs) > 0) {
      open = lines.read_some(error_fd);
      continue;
    }
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      lines.finish();
      return exit_status(status);
    }
  }
}

}  // namespace

std::vector<std::string> merged_environment(const std::vector<std::string>& changes) {
  const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
  std::vector<std::string> merged;
  for (const std::string& change : changes) {
    if (change.find('=') != change.npos) merged.push_back(change);
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const bool changed = std::any_of(changes.begin(), changes.end(), [&](const auto& change) {
      return name_of(change) == name_of(*entry);
    });
    if (!changed) merged.emplace_back(*entry);
  }
  return merged;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

Result<int> run_child(const ChildCommand& command,
                      const std::function<void(std::string_view)>& on_error_line) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return fail(Code::kIo, "cannot start {}: {}", command.arguments.front(), std::strerror(errno));
  }
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const Result<pid_t> pid = spawn(command, ends[1]);
  ::close(ends[1]);
  LineReader lines(on_error_line);
  Result<int> status = pid ? wait_for(*pid, ends[0], lines) : tl::unexpected<Error>(pid.error());
  ::close(ends[0]);
  return status;
}

}  // namespace hachi::cli
