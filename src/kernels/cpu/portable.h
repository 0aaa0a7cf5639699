// The inner loops in plain C++; inner_loops.h says what each does.
#pragma once

#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu::portable {

void dot_int8(const Int8Tile& tile, float* lanes);
void dot_lanes(const DotTile& tile, float* lanes);
void sum_lanes(const float* lanes, int64_t count, float* y);
void score_keys(const KeyTile& tile);
void add_values(const ValueTile& tile);
SoftmaxState softmax(float* scores, int64_t count);
void merge(SoftmaxState* into, float* y, const SoftmaxState& from, const float* sums, int64_t n);
void rms_norm(float* y, const float* x, const float* w, int64_t n, float eps);
void rope_halves(float* x, const float* cosines, const float* sines, int64_t half);
void rope_interleaved(float* x, const float* cosines, const float* sines, int64_t half);
void swiglu(float* y, const float* gate, const float* up, int64_t n);
void geglu(float* y, const float* gate, const float* up, int64_t n);

}  // namespace hachi::ops::cpu::portable
