// A work item is up to kRows queries of one sequence that share a key/value head: rows, in the
// order of tokens, so that what they see grows along them. It takes one segment of positions at a
// time: scores of all its pages, one softmax, sums of all its values. Where items are few for the
// threads, segments are shared out too and merged in a second round; the bits are the same.
#include "kernels/attention.h"

#include <algorithm>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"
#include "kernels/cpu/select.h"
#include "kernels/kv_page.h"

namespace hachi::ops::cpu {
namespace {

static_assert(kMaxHeadWidth <= kSegment && kSegment % kPagePositions == 0);

constexpr int64_t kRows = 48;      // of an item: a multiple of kRowBlock
constexpr int64_t kRowBlock = 12;  // the most that the inner loops take at a time

// Items a thread below which segments are shared out: the last item then costs a few percent.
constexpr int64_t kItemsPerThread = 8;
// But not if the sums of all segments take more bytes than this.
constexpr int64_t kMaxPartialBytes = int64_t{64} << 20;
// Multiply-adds that are worth a thread, some 4 microseconds.
constexpr int64_t kMinWork = int64_t{1} << 18;

int64_t quotient_up(int64_t count, int64_t size) { return (count + size - 1) / size; }

// What all items of a call share.
struct Call {
  const InnerLoops& loops;
  Tensor y;
  ConstTensor q;
  const KvLayer& kv;
  const BatchView& batch;
  float score_scale;
  int64_t width = kv.keys.size(2);
  int64_t kv_heads = kv.keys.size(1);
  int64_t heads = q.size(1) / width;
  int64_t sharing = heads / kv_heads;  // query heads a key/value head

  int64_t visible(int64_t token) const {
    return batch.positions[static_cast<size_t>(token)] + int64_t{1};
  }
  // Positions that the last token of a span sees.
  int64_t visible(const SequenceSpan& span) const {
    return span.num_tokens == 0 ? 0 : visible(span.first_token + span.num_tokens - 1);
  }
};

struct Item {
  const SequenceSpan* span;
  int64_t kv_head;
  int64_t first_row, num_rows;  // row r is of token r / sharing of the span
  int64_t segment;              // if segments are shared out
};

// Cuts a batch into items and finds the n-th.
struct Schedule {
  const Call& call;
  bool shares_segments = false;

  int64_t tiles(const SequenceSpan& span) const {
    return quotient_up(span.num_tokens * call.sharing, kRows);
  }
  int64_t segments(const SequenceSpan& span) const {
    return shares_segments ? quotient_up(call.visible(span), kSegment) : 1;
  }
  int64_t num_items(const SequenceSpan& span) const {
    return tiles(span) * call.kv_heads * segments(span);
  }
  int64_t num_items() const {
    int64_t sum = 0;
    for (const SequenceSpan& span : call.batch.sequences) sum += num_items(span);
    return sum;
  }

  Item at(int64_t index) const {
    size_t s = 0;
    while (index >= num_items(call.batch.sequences[s])) {
      index -= num_items(call.batch.sequences[s++]);
    }
    const SequenceSpan& span = call.batch.sequences[s];
    // Late tokens see more than early ones: taken in turn from both ends, any run of items costs
    // about the same.
    const int64_t nth = index % tiles(span);
    const int64_t tile = nth % 2 == 0 ? nth / 2 : tiles(span) - 1 - nth / 2;
    const int64_t rest = index / tiles(span);
    const int64_t row = tile * kRows;
    return {&span, rest / segments(span), row,
            std::min(kRows, span.num_tokens * call.sharing - row), rest % segments(span)};
  }
};

// The rows of an item, and what one segment makes of them.
struct Rows {
  explicit Rows(const Call& call, const Item& item) : num(item.num_rows) {
    for (int64_t i = 0; i < num; ++i) {
      const int64_t row = item.first_row + i;
      token[i] = item.span->first_token + row / call.sharing;
      head[i] = item.kv_head * call.sharing + row % call.sharing;
      visible[i] = call.visible(token[i]);
      const float* from = call.q.row<float>(token[i]) + head[i] * call.width;
      for (int64_t d = 0; d < call.width; ++d) q[i * kRowStride + d] = from[d] * call.score_scale;
    }
  }
  float* y(const Call& call, int64_t i) const {
    return call.y.row<float>(token[i]) + head[i] * call.width;
  }
  // The first row that sees a position.
  int64_t first_to_see(int64_t position) const {
    return std::upper_bound(visible, visible + num, position) - visible;
  }

  int64_t num;
  int64_t token[kRows], head[kRows], visible[kRows];
  SoftmaxState state[kRows];
  alignas(64) float q[kRows * kRowStride];        // times score_scale
  alignas(64) float weights[kRows * kRowStride];  // scores first
  alignas(64) float sums[kRows * kRowStride];     // weights times values
};

// The pages of an item's head. Each is fetched while the one before it is read: a head's pages lie
// too far apart for the processor to foresee them.
struct Pages {
  const Call& call;
  const Item& item;
  int64_t last;  // of the segment: the first position that is not in it

  const std::byte* keys(int64_t position) const {
    return kv_page(call.kv.keys, item.span->pages, position, item.kv_head);
  }
  const std::byte* values(int64_t position) const {
    return kv_page(call.kv.values, item.span->pages, position, item.kv_head);
  }
  const std::byte* after_keys(int64_t position) const {
    const int64_t next = position + kPagePositions;
    return next < last ? keys(next) : values(position / kSegment * kSegment);
  }
  // Behind the segment's last values come the keys of the next segment, if there is one.
  const std::byte* after_values(int64_t position) const {
    const int64_t next = position + kPagePositions;
    if (next < last) return values(next);
    return next < call.visible(*item.span) ? keys(next) : values(position);
  }
};

// Adds the values of the page at `position` to rows [begin, end). A row meets no value that it does
// not see: neither a later token's nor memory that none has written.
void add_page(const Pages& pages, int64_t position, int64_t begin, int64_t end, Rows* rows) {
  const Call& call = pages.call;
  const float* weights = rows->weights + position % kSegment;
  int64_t done = 0;
  for (int64_t i = begin; i < end && done < kPagePositions; ++i) {
    const int64_t seen = std::min(rows->visible[i] - position, kPagePositions);
    if (seen == done) continue;
    call.loops.add_values({call.kv.values.dtype(), pages.values(position),
                           pages.after_values(position), done, seen - done,
                           weights + i * kRowStride + done, end - i, call.width,
                           rows->sums + i * kRowStride});
    done = seen;
  }
}

// Leaves the states and sums of one segment in the rows that see any of it; returns the first.
int64_t attend(const Call& call, const Item& item, int64_t segment, Rows* rows) {
  const int64_t first = segment * kSegment;
  const int64_t begin = rows->first_to_see(first);
  if (begin == rows->num) return begin;
  const int64_t last = std::min(first + kSegment, rows->visible[rows->num - 1]);
  const Pages pages{call, item, last};
  for (int64_t p = first; p < last; p += kPagePositions) {
    const int64_t i = rows->first_to_see(p);
    call.loops.score_keys({call.kv.keys.dtype(), pages.keys(p), pages.after_keys(p),
                           rows->q + i * kRowStride, rows->num - i, call.width,
                           rows->weights + i * kRowStride + (p - first)});
  }
  for (int64_t i = begin; i < rows->num; ++i) {
    rows->state[i] = call.loops.softmax(rows->weights + i * kRowStride,
                                        std::min(rows->visible[i], last) - first);
    std::fill_n(rows->sums + i * kRowStride, kMaxHeadWidth, 0.0f);
  }
  for (int64_t p = first; p < last; p += kPagePositions) {
    for (int64_t i = begin / kRowBlock * kRowBlock; i < rows->num; i += kRowBlock) {
      const int64_t end = std::min(i + kRowBlock, rows->num);
      const int64_t from = std::max(i, rows->first_to_see(p));
      if (from < end) add_page(pages, p, from, end, rows);
    }
  }
  return begin;
}

void divide(float* y, int64_t width, float sum) {
  const float scale = 1.0f / sum;
  for (int64_t d = 0; d < width; ++d) y[d] *= scale;
}

// All segments of an item, one after the other.
void attend_to_all(const Call& call, const Item& item) {
  Rows rows(call, item);
  SoftmaxState total[kRows];
  const int64_t last_token =
      item.span->first_token + (item.first_row + item.num_rows - 1) / call.sharing;
  const int64_t segments = quotient_up(call.visible(last_token), kSegment);
  for (int64_t segment = 0; segment < segments; ++segment) {
    for (int64_t i = attend(call, item, segment, &rows); i < rows.num; ++i) {
      const float* sums = rows.sums + i * kRowStride;
      if (segment == 0) {
        total[i] = rows.state[i];
        std::copy_n(sums, call.width, rows.y(call, i));
      } else {
        call.loops.merge(&total[i], rows.y(call, i), rows.state[i], sums, call.width);
      }
    }
  }
  for (int64_t i = 0; i < rows.num; ++i) divide(rows.y(call, i), call.width, total[i].sum);
}

// The states and sums of all segments of all queries, while they are shared out.
class Partials {
 public:
  static constexpr int64_t kStateFloats = 16;  // the sums start on a cache line

  Partials(const Call& call, int64_t segments) : call_(call), segments_(segments) {}
  int64_t bytes() const {
    return call_.q.size(0) * call_.heads * segments_ * (kStateFloats + call_.width) * 4;
  }
  void place_at(std::byte* memory) { memory_ = reinterpret_cast<float*>(memory); }

  void store(const Item& item) const {
    Rows rows(call_, item);
    for (int64_t i = attend(call_, item, item.segment, &rows); i < rows.num; ++i) {
      float* to = at(rows.token[i] * call_.heads + rows.head[i], item.segment);
      to[0] = rows.state[i].max;
      to[1] = rows.state[i].sum;
      std::copy_n(rows.sums + i * kRowStride, call_.width, to + kStateFloats);
    }
  }

  void merge(int64_t token, int64_t head) const {
    float* y = call_.y.row<float>(token) + head * call_.width;
    const float* from = at(token * call_.heads + head, 0);
    SoftmaxState total{from[0], from[1]};
    std::copy_n(from + kStateFloats, call_.width, y);
    for (int64_t s = 1; s < quotient_up(call_.visible(token), kSegment); ++s) {
      from = at(token * call_.heads + head, s);
      call_.loops.merge(&total, y, {from[0], from[1]}, from + kStateFloats, call_.width);
    }
    divide(y, call_.width, total.sum);
  }

 private:
  float* at(int64_t row, int64_t segment) const {
    return memory_ + (row * segments_ + segment) * (kStateFloats + call_.width);
  }

  const Call& call_;
  int64_t segments_;  // room for so many a query
  float* memory_ = nullptr;
};

}  // namespace

void attention(Context& ctx, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale) {
  const Call call{inner_loops(ctx.features), y, q, kv, batch, score_scale};
  int64_t most_segments = 0;
  int64_t work = 0;
  for (const SequenceSpan& span : batch.sequences) {
    most_segments = std::max(most_segments, quotient_up(call.visible(span), kSegment));
    work += span.num_tokens * call.visible(span) * call.heads * call.width * 2;
  }
  Schedule schedule{call};
  Partials partials(call, most_segments);
  const int threads = ctx.pool->num_threads();
  schedule.shares_segments = threads > 1 && most_segments > 1 &&
                             schedule.num_items() < threads * kItemsPerThread &&
                             partials.bytes() <= kMaxPartialBytes;
  if (schedule.shares_segments) partials.place_at(ctx.workspace.reserve(partials.bytes()));

  const int64_t items = schedule.num_items();
  const int64_t grain = std::max<int64_t>(1, kMinWork * items / std::max<int64_t>(1, work));
  ctx.pool->parallel_for(items, grain, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const Item item = schedule.at(index);
      schedule.shares_segments ? partials.store(item) : attend_to_all(call, item);
    }
  });
  if (!schedule.shares_segments) return;
  const int64_t rows = q.size(0) * call.heads;
  ctx.pool->parallel_for(rows, cheap_rows(rows, call.width * most_segments, threads),
                         [&](int64_t begin, int64_t end) {
                           for (int64_t row = begin; row < end; ++row) {
                             partials.merge(row / call.heads, row % call.heads);
                           }
                         });
}

}  // namespace hachi::ops::cpu
