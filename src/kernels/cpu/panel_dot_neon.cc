#include "kernels/cpu/dotprod_neon.h"
#include "kernels/cpu/neon.h"
#include "kernels/cpu/panel_dot.h"

namespace hachi::ops::cpu::neon {

void dot_panels(const PanelTile& tile) { dot_panels_with<DotProduct>(tile); }

}  // namespace hachi::ops::cpu::neon
