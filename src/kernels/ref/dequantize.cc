#include <vector>

#include "kernels/decode.h"
#include "kernels/ref/ref.h"
#include "kernels/weight_blocks.h"

namespace hachi::ops::ref {
namespace {

float scale_at(const Weight& w, int64_t row, int64_t column) {
  if (!w.scales) return 1.0f;
  const bool whole = w.scales.rank() == 1;
  const std::byte* scales = whole ? w.scales.data() : w.scales.row(row / w.block_rows);
  const int64_t index = whole ? 0 : column / w.block_cols;
  float scale = 0;
  decode(w.scales.dtype(), scales + row_bytes(w.scales.dtype(), index), 1, &scale);
  return scale;
}

}  // namespace

void dequantize(Context&, Tensor y, const Weight& w, int64_t first_row) {
  for (int64_t r = 0; r < y.size(0); ++r) {
    float* out = y.row<float>(r);
    const int64_t n = y.size(1);
    std::vector<std::byte> scratch(static_cast<size_t>(row_bytes(w.values.dtype(), n)));
    decode(w.values.dtype(), weight_blocks(w, first_row + r, 0, n, scratch.data()), n, out);
    for (int64_t i = 0; i < y.size(1); ++i) out[i] *= scale_at(w, first_row + r, i);
  }
}

void embed(Context& ctx, Tensor y, std::span<const int32_t> ids, const Weight& table, float scale) {
  for (int64_t t = 0; t < y.size(0); ++t) {
    dequantize(ctx, y.rows(t, 1), table, ids[static_cast<size_t>(t)]);
    for (int64_t c = 0; c < y.size(1); ++c) y.row<float>(t)[c] *= scale;
  }
}

}  // namespace hachi::ops::ref
