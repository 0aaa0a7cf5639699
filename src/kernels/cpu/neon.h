// The inner loops for NEON with its dot product of bytes; inner_loops.h says what each does.
#pragma once

#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu::neon {

void dot_panels(const PanelTile& tile);

}  // namespace hachi::ops::cpu::neon
