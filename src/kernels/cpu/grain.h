#pragma once

#include <algorithm>
#include <cstdint>

namespace hachi::ops::cpu {

// Elements that a cheap op (a few operations each) must have for every thread it wakes: some 4
// microseconds of work, about what handing it over costs. Less runs on the caller alone, so the
// norms, rotations and gates of a decode step cross no threads.
inline constexpr int64_t kCheapRun = int64_t{1} << 15;

// Rows of `width` elements that make a run.
inline int64_t cheap_rows(int64_t width) {
  return std::max<int64_t>(1, kCheapRun / std::max<int64_t>(1, width));
}

}  // namespace hachi::ops::cpu
