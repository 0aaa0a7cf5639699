#include "engine/speculation.h"

#include <algorithm>

namespace hachi::engine {
namespace {

constexpr size_t kMinEnding = 2, kMaxEnding = 4;
constexpr size_t kMaxSearched = 8192;

}  // namespace

std::span<const int32_t> guess_from(std::span<const int32_t> tokens, int64_t most) {
  if (tokens.size() > kMaxSearched) tokens = tokens.last(kMaxSearched);
  for (size_t length = kMaxEnding; length >= kMinEnding; --length) {
    if (tokens.size() <= length) continue;
    const auto ending = tokens.last(length);
    const auto before = tokens.first(tokens.size() - 1);
    const auto found = std::find_end(before.begin(), before.end(), ending.begin(), ending.end());
    if (found == before.end()) continue;
    const auto at = static_cast<size_t>(std::distance(before.begin(), found)) + length;
    return tokens.subspan(at, std::min(static_cast<size_t>(most), tokens.size() - at));
  }
  return {};
}

}  // namespace hachi::engine
