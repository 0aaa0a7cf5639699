// Random numbers that are a pure function of (seed, position): the same whatever came before, on
// whatever thread. Philox 4x32-10 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
// 3", with its published constants.
#pragma once

#include <array>
#include <cstdint>

namespace hachi::inline core {

// Four independent 32-bit words for one 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1), 53 bits: draw number `draw` of `position` under `seed`.
double uniform(uint64_t seed, uint64_t position, uint32_t draw = 0);

}  // namespace hachi::inline core
