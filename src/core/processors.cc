#include "core/processors.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sched.h>
#include <sstream>
#include <string>

#include <fmt/format.h>

namespace hachi::inline core {
namespace {

std::string read_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Of "QUOTA PERIOD", in microseconds; a quota of "max" or -1 is none, as is what cannot be read.
double ratio(const std::string& text) {
  std::istringstream in(text);
  double quota = 0, period = 0;
  if (!(in >> quota >> period) || !(quota > 0) || !(period > 0)) return 0;
  return quota / period;
}

// Of the folder of a cgroup, whichever version it is of.
double limit_of(const std::filesystem::path& folder) {
  const double limit = ratio(read_line(folder / "cpu.max"));
  if (limit > 0) return limit;
  return ratio(read_line(folder / "cpu.cfs_quota_us") + " " +
               read_line(folder / "cpu.cfs_period_us"));
}

// Of the cgroup `path` below `root` and of those that it is in. In a container the path may be one
// of the host, and not be there: then the root is what counts.
double least_limit(const std::filesystem::path& root, std::string_view path) {
  double least = 0;
  std::filesystem::path group = std::filesystem::path(path).relative_path();
  while (true) {
    const double limit = limit_of(root / group);
    if (limit > 0 && (least == 0 || limit < least)) least = limit;
    if (group.empty()) return least;
    group = group.parent_path();
  }
}

bool lists_cpu(std::string_view controllers) {
  std::istringstream in{std::string(controllers)};
  for (std::string name; std::getline(in, name, ',');) {
    if (name == "cpu") return true;
  }
  return false;
}

}  // namespace

Processors cores_first(std::span<const int> allowed, std::span<const int> core_of) {
  std::map<int, int> taken;            // processors of each core
  std::map<int, std::vector<int>> by;  // those that are the first, second ... of their core
  for (size_t i = 0; i < allowed.size(); ++i) by[taken[core_of[i]]++].push_back(allowed[i]);
  Processors found;
  found.cores = static_cast<int>(taken.size());
  for (const auto& [rank, ids] : by) found.ids.insert(found.ids.end(), ids.begin(), ids.end());
  return found;
}

Processors allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {{0}, 1};
  std::vector<int> allowed, core_of;
  std::map<std::string, int> cores;  // by the list of the processors that share it
  for (int id = 0; id < CPU_SETSIZE; ++id) {
    if (!CPU_ISSET(id, &set)) continue;
    std::string shared =
        read_line(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", id));
    if (shared.empty()) shared = std::to_string(id);
    allowed.push_back(id);
    core_of.push_back(cores.try_emplace(shared, id).first->second);
  }
  return cores_first(allowed, core_of);
}

double cgroup_limit(const std::filesystem::path& root, std::string_view membership) {
  double least = 0;
  std::istringstream in{std::string(membership)};
  for (std::string line; std::getline(in, line);) {
    // "HIERARCHY:CONTROLLERS:PATH"; no controllers in version 2.
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && !lists_cpu(controllers)) continue;
    const auto folder = controllers.empty() ? root : root / "cpu";
    const double limit = least_limit(folder, std::string_view(line).substr(second + 1));
    if (limit > 0 && (least == 0 || limit < least)) least = limit;
  }
  return least;
}

double cgroup_limit() {
  std::ifstream file("/proc/self/cgroup");
  std::stringstream membership;
  membership << file.rdbuf();
  return cgroup_limit("/sys/fs/cgroup", membership.str());
}

int usable_cpus() {
  const auto allowed = static_cast<int>(allowed_processors().ids.size());
  const double limit = cgroup_limit();
  if (limit <= 0 || limit >= allowed) return std::max(1, allowed);
  return std::max(1, static_cast<int>(std::ceil(limit)));
}

}  // namespace hachi::inline core
