#include "kernels/cpu/avx2.h"
#include "kernels/cpu/pairs_avx2.h"
#include "kernels/cpu/panel_dot.h"

namespace hachi::ops::cpu::avx2 {

void dot_panels(const PanelTile& tile) { dot_panels_with<Pairs>(tile); }

}  // namespace hachi::ops::cpu::avx2
