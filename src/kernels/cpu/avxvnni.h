// The inner loops for AVX2 with VNNI in 256 bits; inner_loops.h says what each does.
#pragma once

#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu::avxvnni {

void dot_panels(const PanelTile& tile);

}  // namespace hachi::ops::cpu::avxvnni
