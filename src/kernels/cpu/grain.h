#pragma once

#include <algorithm>
#include <cstdint>

namespace hachi::ops::cpu {

// Elements that a cheap op (a few operations each) must have for every thread it wakes: a
// few microseconds of work, a little more than handing it over costs. Less runs on the caller
// alone, so the norms, rotations and gates of a decode step cross no threads.
inline constexpr int64_t kCheapRun = int64_t{1} << 13;

// How many of the rows of `width` elements a thread takes: as many for each that is worth waking.
inline int64_t cheap_rows(int64_t rows, int64_t width, int threads) {
  const int64_t sharers = std::clamp<int64_t>(rows * width / kCheapRun, 1, threads);
  return std::max<int64_t>(1, (rows + sharers - 1) / sharers);
}

}  // namespace hachi::ops::cpu
