// The inner loops for AMX with int8 and bf16; inner_loops.h says what each does.
#pragma once

#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu::amx {

void dot_tiles(const PanelTile& tile);

}  // namespace hachi::ops::cpu::amx
