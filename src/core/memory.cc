#include "core/memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace hachi::inline core {
namespace {

// The number that follows `key` in a file of the system; none for "max" and the like.
std::optional<uint64_t> read_number(const char* path, std::string_view key = "") {
  std::ifstream file(path);  // such files say that they have no bytes
  const std::string text(std::istreambuf_iterator<char>(file), {});
  size_t at = text.find(key);
  if (at == std::string::npos) return std::nullopt;
  at = text.find_first_not_of(" \t", at + key.size());
  if (at == std::string::npos) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

uint64_t available_memory() {
  uint64_t bytes = 1024 * read_number("/proc/meminfo", "MemAvailable:").value_or(0);
  // Version 2 of cgroups, then version 1.
  constexpr const char* kFiles[][2] = {
      {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
      {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
       "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
  for (const auto& [limit_file, used_file] : kFiles) {
    const auto limit = read_number(limit_file), used = read_number(used_file);
    if (limit && used) bytes = std::min(bytes, *limit - std::min(*limit, *used));
  }
  return bytes;
}

}  // namespace hachi::inline core
