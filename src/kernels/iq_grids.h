// The grids of the IQ2 and IQ3 types: the magnitudes that 8 or 4 neighbouring elements may have
// together, by index. A grid is a set of numbers in base 3 or 8, in rising order, whose digit i
// (from the lowest) says which of the type's levels element i has.
//
// Source: the tables of ggml (ggml-common.h), as the PyPI package gguf has them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hachi::ops {

template <size_t kSize, size_t kElements>
using Grid = std::array<std::array<int8_t, kElements>, kSize>;

inline constexpr std::array<int8_t, 3> kLevelsIQ2 = {8, 25, 43};
inline constexpr std::array<int8_t, 8> kLevelsIQ3_XXS = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr std::array<int8_t, 8> kLevelsIQ3_S = {1, 3, 5, 7, 9, 11, 13, 15};

extern const Grid<512, 4> kGridIQ3_S;
extern const Grid<256, 4> kGridIQ3_XXS;
extern const Grid<1024, 8> kGridIQ2_S;
extern const Grid<512, 8> kGridIQ2_XS;
extern const Grid<256, 8> kGridIQ2_XXS;

}  // namespace hachi::ops
