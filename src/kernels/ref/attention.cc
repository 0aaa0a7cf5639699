#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/kv_page.h"
#include "kernels/ref/ref.h"

namespace hachi::ops::ref {
namespace {

// One token and one query head, over positions [first, end).
void attend(float* y, const float* q, const KvLayer& kv, std::span<const int32_t> pages,
            int64_t kv_head, int64_t first, int64_t end, float score_scale) {
  const int64_t width = kv.keys.size(2);
  const DType type = kv.keys.dtype();
  std::vector<float> row(static_cast<size_t>(width));
  std::vector<double> weights;
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t s = first; s < end; ++s) {
    load_position(type, kv_page(kv.keys, pages, s, kv_head), KvPart::kKeys, width,
                  s % kPagePositions, row.data());
    double dot = 0;
    for (int64_t d = 0; d < width; ++d) {
      dot += static_cast<double>(q[d]) * row[static_cast<size_t>(d)];
    }
    weights.push_back(dot * score_scale);
    largest = std::max(largest, weights.back());
  }
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  std::vector<double> sums(static_cast<size_t>(width));
  for (int64_t s = first; s < end; ++s) {
    load_position(type, kv_page(kv.values, pages, s, kv_head), KvPart::kValues, width,
                  s % kPagePositions, row.data());
    for (size_t d = 0; d < row.size(); ++d)
      sums[d] += weights[static_cast<size_t>(s - first)] * row[d];
  }
  for (size_t d = 0; d < sums.size(); ++d) y[d] = static_cast<float>(sums[d] / total);
}

}  // namespace

void attention(Context&, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale, int64_t window) {
  const int64_t width = kv.keys.size(2);
  const int64_t num_heads = q.size(1) / width;
  const int64_t sharing = num_heads / kv.keys.size(1);
  for (const SequenceSpan& span : batch.sequences) {
    for (int64_t t = span.first_token; t < span.first_token + span.num_tokens; ++t) {
      const int64_t end = batch.positions[static_cast<size_t>(t)] + int64_t{1};
      const int64_t first = window > 0 ? std::max<int64_t>(0, end - window) : 0;
      for (int64_t head = 0; head < num_heads; ++head) {
        attend(y.row<float>(t) + head * width, q.row<float>(t) + head * width, kv, span.pages,
               head / sharing, first, end, score_scale);
      }
    }
  }
}

}  // namespace hachi::ops::ref
