#include "kernels/cpu/avx512.h"
#include "kernels/cpu/panel_dot.h"
#include "kernels/cpu/vnni_avx512.h"

namespace hachi::ops::cpu::avx512 {

void dot_panels(const PanelTile& tile) { dot_panels_with<Vnni>(tile); }

}  // namespace hachi::ops::cpu::avx512
