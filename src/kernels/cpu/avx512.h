// The inner loops for AVX-512 with VNNI; inner_loops.h says what each does.
#pragma once

#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu::avx512 {

void round_to_int8(DType dtype, const float* x, int64_t n, const Int8Row& row);
void dot_panels(const PanelTile& tile);
void score_keys(const KeyTile& tile);
void add_values(const ValueTile& tile);
SoftmaxState softmax(float* scores, int64_t count);
void merge(SoftmaxState* into, float* y, const SoftmaxState& from, const float* sums, int64_t n);
void swiglu(float* y, const float* gate, const float* up, int64_t n);
void geglu(float* y, const float* gate, const float* up, int64_t n);

}  // namespace hachi::ops::cpu::avx512
