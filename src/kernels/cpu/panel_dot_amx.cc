// Panels and tiles: the products of groups of 16 tokens on processors with AMX.
#include "kernels/cpu/amx_bf16.h"
#include "kernels/cpu/amx_blocks_of_256.h"
#include "kernels/cpu/amx_blocks_of_32.h"

namespace hachi::ops::cpu::amx {
namespace {

struct DotTiles {
  const PanelTile& tile;
  template <template <class> class T>
  void visit() const {
    using Type = T<Signed>;
    if constexpr (panel_input(Type::kType, true).block == 32) {
      configure(kTokens, 32);
      dot_types_of_32<Type>(tile);
    } else {
      configure(kTokens, 64);
      dot_types_of_256<Type>(tile);
    }
  }
};

}  // namespace

void dot_tiles(const PanelTile& tile) {
  if (tile.dtype == DType::kBF16) {
    configure(tile.tokens, 64);
    if (tile.x_groups == 1) {
      dot_one_group(tile);
    } else {
      dot_groups(tile);
    }
  } else {
    clear(tile);
    visit_block_type(tile.dtype, DotTiles{tile});
  }
  _tile_release();
}

}  // namespace hachi::ops::cpu::amx
