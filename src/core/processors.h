// The processors that this process may use: those of its affinity mask, as far as the CPU limit of
// its cgroup goes.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace hachi::inline core {

// Processors of the affinity mask, one of each core first, then the second threads of the cores.
struct Processors {
  std::vector<int> ids;
  int cores = 0;  // so many of the first are of different cores
};
Processors allowed_processors();

// The order of Processors for `allowed` ones, where core_of[i] is a number for the core of
// allowed[i].
Processors cores_first(std::span<const int> allowed, std::span<const int> core_of);

// The CPU limit of the cgroups that `membership`, in the form of /proc/self/cgroup, names below
// `root`, in processors: the least of those from there up to the root; 0 if there is none.
// Reads cpu.max of version 2 and cpu.cfs_quota_us with cpu.cfs_period_us of version 1.
double cgroup_limit(const std::filesystem::path& root, std::string_view membership);
// That of this process.
double cgroup_limit();

// Threads that this process may use: the affinity mask cut down to the cgroup's limit, rounded up.
int usable_cpus();

}  // namespace hachi::inline core
