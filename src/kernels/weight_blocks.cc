#include "kernels/weight_blocks.h"

#include "kernels/panels.h"

namespace hachi::ops {

const std::byte* weight_blocks(const Weight& w, int64_t row, int64_t first, int64_t n,
                               std::byte* scratch) {
  const DType dtype = w.values.dtype();
  if (w.values) return w.values.row(row) + row_bytes(dtype, first);
  const int64_t elements = panel_format(dtype).elements;
  unpack_panel_row(dtype, w.panels, w.values.size(1), row, first / elements, n / elements, scratch);
  return scratch;
}

}  // namespace hachi::ops
