#include "cli/ranks.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <random>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <CLI/Validators.hpp>

#include "cli/child.h"

namespace hachi::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kVisible = "CUDA_VISIBLE_DEVICES";
// Of a rank that another has started: that one, and how many are on the machine.
constexpr const char* kStarter = "HACHI_STARTED_BY";
constexpr const char* kLocalSize = "HACHI_LOCAL_SIZE";

// What NCCL takes of a GPU's memory, at most.
constexpr uint64_t kNcclBytes = uint64_t{1} << 30;

constexpr seconds kGraceTime{10};

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

// This rank's GPU is the only one that its process sees: looking at one takes of its memory. Where
// the starter has given each rank a GPU of its own, that one.
void see_own_gpu(const engine::RankPlace& place, DeviceOptions& options) {
  if (options.device == "cpu") return;
  const int index = first_gpu(options) + place.local_rank;
  std::vector<std::string> entries;
  if (const auto visible = variable(kVisible)) {
    for (size_t at = 0; at <= visible->size();) {
      const size_t comma = std::min(visible->find(',', at), visible->size());
      entries.push_back(visible->substr(at, comma - at));
      at = comma + 1;
    }
  }
  const auto place_in = static_cast<size_t>(index);
  if (entries.empty()) {
    ::setenv(kVisible, std::to_string(index).c_str(), 1);
  } else if (entries.size() > 1) {
    ::setenv(kVisible, place_in < entries.size() ? entries[place_in].c_str() : "", 1);
  }
  if (options.device != "auto") options.device = "cuda:0";
  options.left_bytes = kNcclBytes;
}

// Ends with the process that has started it, and goes when rank 0 says so, not on a signal that is
// meant for rank 0.
void be_a_follower() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_IGN);
  const auto starter = variable(kStarter);
  if (!starter) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (std::to_string(::getppid()) != *starter) std::_Exit(2);
}

std::string random_key() {
  std::random_device random;
  std::string key;
  for (int i = 0; i < 4; ++i) key += fmt::format("{:08x}", random());
  return key;
}

std::vector<std::string> own_command() {
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

// In a process group of its own, so that Ctrl-C reaches rank 0 alone.
Result<pid_t> spawn(std::vector<std::string> arguments, std::vector<std::string> environment) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &files, &attributes,
                                  pointers_to(arguments).data(), pointers_to(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return fail(Code::kIo, "cannot start a rank: {}", std::strerror(error));
  return pid;
}

}  // namespace

void add_tensor_parallel_option(CLI::App& app, int& size) {
  app.add_option("--tensor-parallel", size,
                 "Divide each model among so many processes, each with a GPU of its own, from that "
                 "of --device on; mpirun or srun can start them on several machines")
      ->check(CLI::Range(1, engine::RankGroup::kMaxRanks).description(""))
      ->type_name("N")
      ->capture_default_str();
}

Result<Ranks> Ranks::find(int size, ModelOptions& model) {
  Ranks ranks;
  if (size == 1) return ranks;
  TRY(const auto given, find_place(size, variable));
  ranks.starts_others_ = !given;
  ranks.place_ = given.value_or(engine::RankPlace{.size = size, .host = "127.0.0.1"});
  const int here =
      ranks.starts_others_ ? size : std::atoi(variable(kLocalSize).value_or("1").c_str());
  if (model.threads == 0) model.threads = std::max(usable_cpus() / std::max(here, 1), 1);
  model.shard = {ranks.place_.rank, size};
  ranks.visible_gpus_ = variable(kVisible);
  see_own_gpu(ranks.place_, model.device);
  if (ranks.rank() != 0) be_a_follower();
  return ranks;
}

Result<void> Ranks::meet() {
  if (place_.size == 1) return {};
  if (rank() != 0) {
    TRY(group_, engine::RankGroup::join(place_));
    return {};
  }
  TRY(ListenSocket listener, ListenSocket::open(starts_others_ ? place_.host : "", place_.port));
  if (starts_others_) {
    TRY(start_others(listener.port()));
  }
  TRY(group_,
      engine::RankGroup::lead(std::move(listener), place_, [this] { return check_children(); }));
  return {};
}

Result<void> Ranks::start_others(int port) {
  place_.key = random_key();
  const std::vector<std::string> command = own_command();
  for (int rank = 1; rank < place_.size; ++rank) {
    TRY(const pid_t pid,
        spawn(command,
              merged_environment(
                  {fmt::format("HACHI_RANK={}", rank),
                   fmt::format("HACHI_WORLD_SIZE={}", place_.size),
                   fmt::format("HACHI_LOCAL_RANK={}", rank),
                   fmt::format("HACHI_MASTER=127.0.0.1:{}", port),
                   fmt::format("HACHI_KEY={}", place_.key),
                   fmt::format("{}={}", kStarter, ::getpid()),
                   fmt::format("{}={}", kLocalSize, place_.size),
                   visible_gpus_ ? fmt::format("{}={}", kVisible, *visible_gpus_) : kVisible})));
    children_.push_back(pid);
  }
  return {};
}

// While the others are awaited: none has ended, and nobody asks to stop.
Result<void> Ranks::check_children() const {
  sigset_t pending;
  sigpending(&pending);
  if (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1) {
    return fail(Code::kCancelled, "interrupted");
  }
  for (size_t i = 0; i < children_.size(); ++i) {
    siginfo_t info{};
    const int options = WEXITED | WNOHANG | WNOWAIT;
    if (::waitid(P_PID, static_cast<id_t>(children_[i]), &info, options) == 0 && info.si_pid != 0) {
      return fail(Code::kIo, "rank {} of {} ended before it came", i + 1, place_.size);
    }
  }
  return {};
}

void Ranks::finish() {
  if (group_ == nullptr) return;
  if (rank() == 0) return group_->end();
  group_->wait_for_end();
}

Ranks::~Ranks() {
  group_.reset();
  const auto give_up = std::chrono::steady_clock::now() + kGraceTime;
  for (const pid_t child : children_) {
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > give_up) ::kill(child, SIGKILL);
      std::this_thread::sleep_for(milliseconds(10));
    }
  }
}

}  // namespace hachi::cli
