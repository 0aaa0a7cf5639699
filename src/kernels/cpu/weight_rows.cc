#include "kernels/cpu/weight_rows.h"

#include <algorithm>

#include "kernels/decode.h"
#include "kernels/weight_blocks.h"

namespace hachi::ops::cpu {

void decode_weights(const InnerLoops& loops, const Weight& w, int64_t row, int64_t first, int64_t n,
                    float* y) {
  const DType type = w.values.dtype();
  constexpr int64_t kChunk = 1024;  // a multiple of every block size
  alignas(64) std::byte scratch[kChunk * sizeof(float)];
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = std::min(kChunk, n - i);
    loops.decode(type, weight_blocks(w, row, first + i, count, scratch), count, y + i);
  }
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
