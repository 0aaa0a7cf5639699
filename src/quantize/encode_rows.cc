#include "quantize/encode_rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/decode.h"
#include "kernels/unpack.h"
#include "quantize/blocks.h"
#include "quantize/encode.h"

namespace hachi::quantize {

Result<void> encode_rows(const SourceTensor& tensor, DType type, const float* importance,
                         int64_t first, int64_t count, ThreadPool& pool, std::byte* out) {
  const int64_t columns = tensor.columns();
  const int64_t bytes = row_bytes(type, columns);
  const bool half = type == DType::kF16;
  const float limit = half ? kLargest : std::numeric_limits<float>::max();
  std::atomic<int64_t> wrong_row{-1};
  pool.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(columns));
    for (int64_t r = begin; r < end; ++r) {
      read_rows(tensor, first + r, 1, row.data());
      const bool fits = std::all_of(row.begin(), row.end(),
                                    [&](float x) { return std::fabs(x) <= limit; });  // no NaN
      if (!fits) {
        wrong_row = first + r;
      } else if (ops::is_block_type(type)) {
        quantize_row(type, row.data(), columns, importance, out + r * bytes);
      } else {
        ops::encode(type, row.data(), columns, out + r * bytes);
      }
    }
  });
  if (wrong_row < 0) return {};
  return fail(Code::kCorrupt, "{}: row {} has a weight that is infinite or no number{}; {}",
              tensor.name, wrong_row.load(), half ? ", or above F16's 65504" : "",
              half ? "the source is damaged, or needs --to BF16" : "the source is damaged");
}

}  // namespace hachi::quantize
