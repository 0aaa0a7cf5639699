// The inner loops for AVX-512 with VNNI; inner_loops.h says what each does.
#pragma once

#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu::avx512 {

void dot_panels(const PanelTile& tile);

}  // namespace hachi::ops::cpu::avx512
