#include "kernels/cpu/weight_rows.h"

#include <algorithm>

#include "kernels/decode.h"

namespace hachi::ops::cpu {

void decode_weights(const InnerLoops& loops, const Weight& w, int64_t row, int64_t first, int64_t n,
                    float* y) {
  const DType type = w.values.dtype();
  loops.decode(type, w.values.row(row) + row_bytes(type, first), n, y);
  if (!w.scales) return;
  const DType scale_type = w.scales.dtype();
  const bool whole = w.scales.rank() == 1;
  const int64_t run = whole ? first + n : w.block_cols;
  const std::byte* scales = whole ? w.scales.data() : w.scales.row(row / w.block_rows);
  for (int64_t begin = first; begin < first + n;) {
    const int64_t end = std::min((begin / run + 1) * run, first + n);
    float scale = 0;
    ops::decode(scale_type, scales + row_bytes(scale_type, begin / run), 1, &scale);
    for (int64_t i = begin; i < end; ++i) y[i - first] *= scale;
    begin = end;
  }
}

}  // namespace hachi::ops::cpu
