// The inner loops for AVX2, FMA and F16C; inner_loops.h says what each does.
#pragma once

#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu::avx2 {

void decode(DType dtype, const std::byte* data, int64_t n, float* y);
void encode(DType dtype, const float* x, int64_t n, std::byte* data);
void unpack(DType dtype, const std::byte* data, int64_t n, const UnpackedRow& row);
void round_to_int8(DType dtype, const float* x, int64_t n, const Int8Row& row);
void dot_panels(const PanelTile& tile);
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

}  // namespace hachi::ops::cpu::avx2
