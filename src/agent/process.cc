#include "agent/process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace hachi::agent {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kReadBytes = 64 << 10;
constexpr int kUnknownStatus = 255;  // the system does not keep it (SIGCHLD ignored)

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

// posix_spawn's two lists, with their lifetimes.
class SpawnOptions {
 public:
  SpawnOptions() {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawnattr_init(&attributes_);
    // The masks and handlers of our threads are not the program's.
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnOptions() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&files_);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;

  void set_files(const ProcessCommand& command, int input, int output) {
    if (input >= 0) {
      ::posix_spawn_file_actions_adddup2(&files_, input, STDIN_FILENO);
    } else {
      ::posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    ::posix_spawn_file_actions_adddup2(&files_, output, STDOUT_FILENO);
    if (command.errors == Errors::kWithOutput) {
      ::posix_spawn_file_actions_adddup2(&files_, STDOUT_FILENO, STDERR_FILENO);
    } else {
      const bool is_kept = command.errors == Errors::kToFile;
      ::posix_spawn_file_actions_addopen(&files_, STDERR_FILENO,
                                         is_kept ? command.error_file.c_str() : "/dev/null",
                                         O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    ::posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1);
    if (!command.folder.empty()) {
      ::posix_spawn_file_actions_addchdir_np(&files_, command.folder.c_str());
    }
  }

  Result<pid_t> spawn(const ProcessCommand& command) const {
    std::vector<std::string> arguments = command.arguments;
    std::vector<std::string> environment = command.environment;
    pid_t pid = -1;
    const int error =
        ::posix_spawnp(&pid, arguments.front().c_str(), &files_, &attributes_,
                       pointers_to(arguments).data(), pointers_to(environment).data());
    if (error == 0) return pid;
    return fail(error == ENOENT ? Code::kNotFound : Code::kIo, "cannot start {} in {}: {}",
                command.arguments.front(),
                command.folder.empty() ? "the current folder" : command.folder.native(),
                std::strerror(error));
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

tl::unexpected<Error> no_pipe(const ProcessCommand& command) {
  return fail(Code::kIo, "cannot start {}: no pipe: {}", command.arguments.front(),
              std::strerror(errno));
}

// It stays a zombie, so that its number, which is also that of its group, is nobody else's.
std::optional<int> ended(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    return errno == EINTR ? std::optional<int>() : kUnknownStatus;
  }
  if (info.si_pid == 0) return std::nullopt;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace

std::vector<std::string> basic_environment() {
  constexpr std::array kNames = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"};
  std::vector<std::string> environment;
  for (const char* name : kNames) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(fmt::format("{}={}", name, value));
    }
  }
  return environment;
}

Process::Process(pid_t pid, Descriptor input, Descriptor output)
    : pid_(pid),
      input_(std::move(input)),
      output_(std::move(output)),
      // Without it (Linux before 5.3) the end is seen when wait() times out.
      handle_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      handle_(std::move(other.handle_)),
      status_(other.status_) {}

Process::~Process() { stop(std::chrono::milliseconds(0)); }

Result<Process> Process::start(const ProcessCommand& command) {
  int output[2];
  if (::pipe2(output, O_CLOEXEC) != 0) return no_pipe(command);
  Descriptor from(output[0]);
  const Descriptor to(output[1]);
  ::fcntl(from.get(), F_SETFL, O_NONBLOCK);
  // A socket, because writing to a closed pipe would raise SIGPIPE.
  int input[2] = {-1, -1};
  if (command.has_input && ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) != 0) {
    return no_pipe(command);
  }
  Descriptor ours(input[0]);
  const Descriptor theirs(input[1]);
  SpawnOptions options;
  options.set_files(command, theirs.get(), to.get());
  TRY(const pid_t pid, options.spawn(command));
  return Process(pid, std::move(ours), std::move(from));
}

void Process::wait(bool for_room, int timeout_ms) {
  pollfd watched[] = {
      {.fd = output_.get(), .events = POLLIN, .revents = 0},
      {.fd = handle_.get(), .events = POLLIN, .revents = 0},
      {.fd = for_room ? input_.get() : -1, .events = POLLOUT, .revents = 0},
  };
  ::poll(watched, std::size(watched), timeout_ms);
}

size_t Process::read_some(std::string& out) {
  if (!output_.is_open()) return 0;
  const size_t before = out.size();
  out.resize(before + kReadBytes);
  const ssize_t got = ::read(output_.get(), out.data() + before, kReadBytes);
  const bool is_later = got < 0 && (errno == EAGAIN || errno == EINTR);
  if (got <= 0 && !is_later) output_.close();
  const size_t taken = got > 0 ? static_cast<size_t>(got) : 0;
  out.resize(before + taken);
  return taken;
}

Result<size_t> Process::write_some(std::string_view text) {
  const ssize_t sent = ::send(input_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (errno == EAGAIN || errno == EINTR) return size_t{0};
  return fail(Code::kIo, "nobody reads its input: {}", std::strerror(errno));
}

std::optional<int> Process::status() const { return pid_ < 0 ? status_ : ended(pid_); }

bool Process::wait_for_end(std::chrono::milliseconds time) const {
  const auto give_up = SteadyClock::now() + time;
  while (!status()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(give_up - SteadyClock::now()).count();
    if (left <= 0) return false;
    pollfd handle = {.fd = handle_.get(), .events = POLLIN, .revents = 0};
    ::poll(&handle, 1, handle_.is_open() ? static_cast<int>(left) : 1);
  }
  return true;
}

int Process::stop(std::chrono::milliseconds grace) {
  if (pid_ < 0) return status_;
  input_.close();
  if (grace.count() > 0 && !wait_for_end(grace)) {
    ::kill(-pid_, SIGTERM);
    wait_for_end(grace);
  }
  ::kill(-pid_, SIGKILL);
  wait_for_end(std::chrono::hours(1));
  status_ = ended(pid_).value_or(kUnknownStatus);
  ::waitpid(pid_, nullptr, WNOHANG);
  pid_ = -1;
  return status_;
}

}  // namespace hachi::agent
