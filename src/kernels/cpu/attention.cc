// A work item is a few tokens of one sequence with the query heads that share a key/value head:
// up to kQueries rows of queries. It walks over the pages, kAttentionTile positions at a time, and
// each key and value is turned into f32 once for all its rows.
#include "kernels/attention.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/select.h"
#include "kernels/kv_slot.h"

namespace hachi::ops::cpu {
namespace {

constexpr int64_t kQueries = 32;

struct Item {
  const SequenceSpan* span;
  int64_t first_token, num_tokens;  // rows of the batch
  int64_t first_head, num_heads;    // query heads
};

// Cuts a batch into items and finds the n-th.
struct Schedule {
  const BatchView& batch;
  int64_t kv_heads;
  int64_t sharing;  // query heads a key/value head

  // A group of more than kQueries heads is cut.
  int64_t heads_per_item() const { return std::min(sharing, kQueries); }
  int64_t tokens_per_item() const { return kQueries / heads_per_item(); }
  int64_t chunks_per_group() const { return (sharing + heads_per_item() - 1) / heads_per_item(); }
  int64_t token_tiles(const SequenceSpan& span) const {
    return (span.num_tokens + tokens_per_item() - 1) / tokens_per_item();
  }
  int64_t items(const SequenceSpan& span) const {
    return token_tiles(span) * kv_heads * chunks_per_group();
  }
  int64_t num_items() const {
    int64_t sum = 0;
    for (const SequenceSpan& span : batch.sequences) sum += items(span);
    return sum;
  }

  Item at(int64_t index) const {
    size_t s = 0;
    while (index >= items(batch.sequences[s])) index -= items(batch.sequences[s++]);
    const SequenceSpan& span = batch.sequences[s];
    const int64_t tiles = token_tiles(span);
    // Late tokens see more than early ones: taken in turn from both ends, any run of items costs
    // about the same.
    const int64_t nth = index % tiles;
    const int64_t tile = nth % 2 == 0 ? nth / 2 : tiles - 1 - nth / 2;
    const int64_t group = index / tiles / chunks_per_group();
    const int64_t head = index / tiles % chunks_per_group() * heads_per_item();
    const int64_t token = tile * tokens_per_item();
    return {&span, span.first_token + token, std::min(tokens_per_item(), span.num_tokens - token),
            group * sharing + head, std::min(heads_per_item(), sharing - head)};
  }
};

// The query rows of an item, in the order of tokens: so what they see grows along them.
struct Rows {
  int64_t num = 0;
  const float* q[kQueries];
  float* y[kQueries];
  int64_t visible[kQueries];  // positions that the row may see, from the first on
  SoftmaxState state[kQueries];
};

Rows gather(Tensor y, ConstTensor q, const BatchView& batch, const Item& item, int64_t width) {
  Rows rows;
  for (int64_t t = item.first_token; t < item.first_token + item.num_tokens; ++t) {
    for (int64_t h = item.first_head; h < item.first_head + item.num_heads; ++h) {
      rows.q[rows.num] = q.row<float>(t) + h * width;
      rows.y[rows.num] = y.row<float>(t) + h * width;
      rows.visible[rows.num] = batch.positions[static_cast<size_t>(t)] + int64_t{1};
      rows.state[rows.num] = {-std::numeric_limits<float>::infinity(), 0.0f};
      std::fill(rows.y[rows.num], rows.y[rows.num] + width, 0.0f);
      ++rows.num;
    }
  }
  return rows;
}

// Adds positions [first, first + count), all within a page, to the rows that see any of them.
// `scratch` holds kAttentionTile rows of the head's width.
void attend_tile(const InnerLoops& loops, const KvLayer& kv, std::span<const int32_t> pages,
                 int64_t kv_head, int64_t first, int64_t count, float score_scale, float* scratch,
                 Rows* rows) {
  const DType type = kv.keys.dtype();
  const int64_t width = kv.keys.size(3);
  int64_t begin = 0;
  while (rows->visible[begin] <= first) ++begin;

  for (int64_t s = 0; s < count; ++s) {
    loops.decode(type, kv_slot(kv.keys, pages, first + s, kv_head), width, scratch + s * width);
  }
  std::fill(scratch + count * width, scratch + kAttentionTile * width, 0.0f);
  alignas(64) float scores[kQueries * kAttentionTile];
  loops.dot({rows->q + begin, rows->num - begin, scratch, width, kAttentionTile, width},
            scores + begin * kAttentionTile);
  float factors[kQueries];
  for (int64_t i = begin; i < rows->num; ++i) {
    factors[i] =
        loops.softmax(scores + i * kAttentionTile, std::min(rows->visible[i] - first, count),
                      score_scale, &rows->state[i]);
  }

  for (int64_t s = 0; s < count; ++s) {
    loops.decode(type, kv_slot(kv.values, pages, first + s, kv_head), width, scratch + s * width);
  }
  // Rows that see the same number of these positions go together.
  for (int64_t i = begin; i < rows->num;) {
    const int64_t seen = std::min(rows->visible[i] - first, count);
    int64_t end = i + 1;
    while (end < rows->num && std::min(rows->visible[end] - first, count) == seen) ++end;
    loops.add_values(
        {rows->y + i, factors + i, scores + i * kAttentionTile, end - i, scratch, seen, width});
    i = end;
  }
}

void attend(const InnerLoops& loops, const Item& item, const KvLayer& kv, int64_t kv_head,
            float score_scale, Rows* rows) {
  alignas(64) float scratch[kAttentionTile * kMaxHeadWidth];
  const int64_t page_size = kv.keys.size(2);
  const int64_t visible = rows->visible[rows->num - 1];
  for (int64_t first = 0; first < visible;) {
    const int64_t left_in_page = page_size - first % page_size;
    const int64_t tile = std::min<int64_t>(kAttentionTile, left_in_page);
    attend_tile(loops, kv, item.span->pages, kv_head, first, std::min(tile, visible - first),
                score_scale, scratch, rows);
    first += tile;
  }
  for (int64_t i = 0; i < rows->num; ++i) {
    const float scale = 1.0f / rows->state[i].sum;
    for (int64_t d = 0; d < kv.keys.size(3); ++d) rows->y[i][d] *= scale;
  }
}

}  // namespace

void attention(Context& ctx, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale) {
  const InnerLoops& loops = inner_loops(ctx.features);
  const int64_t width = kv.keys.size(3);
  const int64_t kv_heads = kv.keys.size(1);
  const int64_t sharing = q.size(1) / width / kv_heads;
  const Schedule schedule{batch, kv_heads, sharing};
  ctx.pool->parallel_for(schedule.num_items(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const Item item = schedule.at(index);
      Rows rows = gather(y, q, batch, item, width);
      attend(loops, item, kv, item.first_head / sharing, score_scale, &rows);
    }
  });
}

}  // namespace hachi::ops::cpu
