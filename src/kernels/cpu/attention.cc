// A work item is up to kRows queries of one sequence that share a key/value head: rows, in the
// order of tokens, so that where what they see begins and ends grows along them. It takes one
// segment of positions at a time: scores of all its pages, one softmax, sums of all its values.
// Where items are few for the threads, segments are shared out too and merged in a second round;
// the bits are the same.
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
  int64_t window;
  int64_t width = kv.keys.size(2);
  int64_t kv_heads = kv.keys.size(1);
  int64_t heads = q.size(1) / width;
  int64_t sharing = heads / kv_heads;  // query heads a key/value head

  // A token sees positions [seen_from, seen_to).
  int64_t seen_to(int64_t token) const {
    return batch.positions[static_cast<size_t>(token)] + int64_t{1};
  }
  int64_t seen_from(int64_t token) const {
    return window > 0 ? std::max<int64_t>(0, seen_to(token) - window) : 0;
  }
  // The same of all tokens of a span together.
  int64_t seen_to(const SequenceSpan& span) const {
    return span.num_tokens == 0 ? 0 : seen_to(span.first_token + span.num_tokens - 1);
  }
  int64_t seen_from(const SequenceSpan& span) const {
    return span.num_tokens == 0 ? 0 : seen_from(span.first_token);
  }
  // The segments from that of the first position to that of the last one.
  template <class Seer>
  int64_t segments(const Seer& seer) const {
    return quotient_up(seen_to(seer), kSegment) - seen_from(seer) / kSegment;
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
    return shares_segments ? call.segments(span) : 1;
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
            std::min(kRows, span.num_tokens * call.sharing - row),
            call.seen_from(span) / kSegment + rest % segments(span)};
  }
};

struct Range {
  int64_t first, end;
};

// The rows of an item, and what one segment makes of them.
struct Rows {
  explicit Rows(const Call& call, const Item& item) : num(item.num_rows) {
    for (int64_t i = 0; i < num; ++i) {
      const int64_t row = item.first_row + i;
      token[i] = item.span->first_token + row / call.sharing;
      head[i] = item.kv_head * call.sharing + row % call.sharing;
      from[i] = call.seen_from(token[i]);
      to[i] = call.seen_to(token[i]);
      const float* given = call.q.row<float>(token[i]) + head[i] * call.width;
      for (int64_t d = 0; d < call.width; ++d) q[i * kRowStride + d] = given[d] * call.score_scale;
    }
  }
  float* y(const Call& call, int64_t i) const {
    return call.y.row<float>(token[i]) + head[i] * call.width;
  }
  // Rows [first, end) see positions of [begin, end); there may be none.
  Range that_see(int64_t begin, int64_t end) const {
    const int64_t first = std::upper_bound(to, to + num, begin) - to;
    return {first, std::max(first, std::lower_bound(from, from + num, end) - from)};
  }

  int64_t num;
  int64_t token[kRows], head[kRows];
  int64_t from[kRows], to[kRows];  // positions [from, to) are seen
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
  int64_t first, last;  // positions of the segment from a page's first on: [first, last)

  const std::byte* keys(int64_t position) const {
    return kv_page(call.kv.keys, item.span->pages, position, item.kv_head);
  }
  const std::byte* values(int64_t position) const {
    return kv_page(call.kv.values, item.span->pages, position, item.kv_head);
  }
  const std::byte* after_keys(int64_t position) const {
    const int64_t next = position + kPagePositions;
    return next < last ? keys(next) : values(first);
  }
  // Behind the segment's last values come the keys of the next segment, if there is one.
  const std::byte* after_values(int64_t position) const {
    const int64_t next = position + kPagePositions;
    if (next < last) return values(next);
    return next < call.seen_to(*item.span) ? keys(next) : values(position);
  }
};

// Adds the values of the page at `position` to rows [begin, end), each of which sees some of it. A
// row meets no value that it does not see: neither one that has left its window nor a later token's
// nor memory that none has written.
void add_page(const Pages& pages, int64_t position, int64_t begin, int64_t end, Rows* rows) {
  const Call& call = pages.call;
  const int64_t last = position + kPagePositions;
  int64_t past = begin;  // the first row whose window begins beyond p
  for (int64_t p = std::max(position, rows->from[begin]); p < last;) {
    while (begin < end && rows->to[begin] <= p) ++begin;
    while (past < end && rows->from[past] <= p) ++past;
    if (begin == end) return;
    int64_t next = std::min(last, rows->to[begin]);  // so far, the same rows see all positions
    if (past < end) next = std::min(next, rows->from[past]);
    if (begin < past) {
      call.loops.add_values({call.kv.values.dtype(), pages.values(position),
                             pages.after_values(position), p - position, next - p,
                             rows->weights + begin * kRowStride + p % kSegment, past - begin,
                             call.width, rows->sums + begin * kRowStride});
    }
    p = next;
  }
}

// Leaves the states and sums of one segment in the rows that see any of it; returns which.
Range attend(const Call& call, const Item& item, int64_t segment, Rows* rows) {
  const int64_t start = segment * kSegment;
  const Range all = rows->that_see(start, start + kSegment);
  if (all.first == all.end) return all;
  const int64_t first = std::max(start, rows->from[all.first] / kPagePositions * kPagePositions);
  const int64_t last = std::min(start + kSegment, rows->to[all.end - 1]);
  const Pages pages{call, item, first, last};
  for (int64_t p = first; p < last; p += kPagePositions) {
    const auto [i, end] = rows->that_see(p, p + kPagePositions);
    call.loops.score_keys({call.kv.keys.dtype(), pages.keys(p), pages.after_keys(p),
                           rows->q + i * kRowStride, end - i, call.width,
                           rows->weights + i * kRowStride + (p - start)});
  }
  for (int64_t i = all.first; i < all.end; ++i) {
    const int64_t from = std::max(rows->from[i], start);
    rows->state[i] = call.loops.softmax(rows->weights + i * kRowStride + (from - start),
                                        std::min(rows->to[i], last) - from);
    std::fill_n(rows->sums + i * kRowStride, kMaxHeadWidth, 0.0f);
  }
  for (int64_t p = first; p < last; p += kPagePositions) {
    const Range seeing = rows->that_see(p, p + kPagePositions);
    for (int64_t i = all.first / kRowBlock * kRowBlock; i < all.end; i += kRowBlock) {
      const int64_t begin = std::max(i, seeing.first);
      const int64_t end = std::min(i + kRowBlock, seeing.end);
      if (begin < end) add_page(pages, p, begin, end, rows);
    }
  }
  return all;
}

void divide(float* y, int64_t width, float sum) {
  const float scale = 1.0f / sum;
  for (int64_t d = 0; d < width; ++d) y[d] *= scale;
}

// All segments of an item, one after the other.
void attend_to_all(const Call& call, const Item& item) {
  Rows rows(call, item);
  SoftmaxState total[kRows];
  const int64_t first_token = item.span->first_token + item.first_row / call.sharing;
  const int64_t last_token =
      item.span->first_token + (item.first_row + item.num_rows - 1) / call.sharing;
  const int64_t end = quotient_up(call.seen_to(last_token), kSegment);
  for (int64_t segment = call.seen_from(first_token) / kSegment; segment < end; ++segment) {
    const Range seeing = attend(call, item, segment, &rows);
    for (int64_t i = seeing.first; i < seeing.end; ++i) {
      const float* sums = rows.sums + i * kRowStride;
      if (segment == rows.from[i] / kSegment) {
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
    const Range seeing = attend(call_, item, item.segment, &rows);
    for (int64_t i = seeing.first; i < seeing.end; ++i) {
      const int64_t nth = item.segment - rows.from[i] / kSegment;
      float* to = at(rows.token[i] * call_.heads + rows.head[i], nth);
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
    for (int64_t s = 1; s < call_.segments(token); ++s) {
      from = at(token * call_.heads + head, s);
      call_.loops.merge(&total, y, {from[0], from[1]}, from + kStateFloats, call_.width);
    }
    divide(y, call_.width, total.sum);
  }

 private:
  // `nth`: counted from the first segment of what the row sees.
  float* at(int64_t row, int64_t nth) const {
    return memory_ + (row * segments_ + nth) * (kStateFloats + call_.width);
  }

  const Call& call_;
  int64_t segments_;  // room for so many a query
  float* memory_ = nullptr;
};

}  // namespace

void attention(Context& ctx, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale, int64_t window) {
  const Call call{inner_loops(ctx.features), y, q, kv, batch, score_scale, window};
  int64_t most_segments = 0;
  int64_t work = 0;
  for (const SequenceSpan& span : batch.sequences) {
    most_segments = std::max(most_segments, call.segments(span));
    const int64_t seen = call.seen_to(span) - call.seen_from(span);
    work += span.num_tokens * seen * call.heads * call.width * 2;
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
