#include "model/shard.h"

#include <cstring>
#include <utility>

#include "core/processors.h"
#include "core/thread_pool.h"
#include "kernels/panels.h"

namespace hachi::model {
namespace {

constexpr int64_t kCopyRows = 64;     // at once, by one thread
constexpr int64_t kHeadBorders = 16;  // parts of a row of logits begin at multiples of so many

struct Range {
  int64_t first = 0;
  int64_t count = 0;
};

Range part_of(int64_t size, Shard shard) {
  const int64_t count = size / shard.size;
  return {count * shard.rank, count};
}

tl::unexpected<Error> no_border(std::string_view what, int64_t at, int64_t block) {
  return fail(Code::kUnsupported,
              "the model's weights cannot be divided among so many ranks: a border would fall on "
              "{} {}, and {} of them belong together; take fewer ranks or weights of another type",
              what, at, block);
}

Result<void> take_rows(ops::Weight& w, Range rows) {
  const DType type = w.values.dtype();
  const int64_t columns = w.values.size(1);
  const bool has_blocks = w.scales.rank() == 2 && w.scales.size(0) > 1;
  if (has_blocks) {
    if (rows.first % w.block_rows != 0) return no_border("row", rows.first, w.block_rows);
    const int64_t count = (rows.count + w.block_rows - 1) / w.block_rows;
    w.scales = w.scales.rows(rows.first / w.block_rows, count);
  }
  if (w.panels == nullptr) {
    w.values = w.values.rows(rows.first, rows.count);
    return {};
  }
  if (rows.first % ops::kPanelRows != 0) return no_border("row", rows.first, ops::kPanelRows);
  w.values = ConstTensor(nullptr, type, {rows.count, columns});
  w.panels += ops::panels_bytes(type, rows.first, columns);
  return {};
}

// Copies stretches of `bytes` that lie `stride` apart.
void copy_stretches(ThreadPool& pool, std::byte* to, const std::byte* from, int64_t count,
                    int64_t stride, int64_t bytes) {
  pool.parallel_for(count, kCopyRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(to + i * bytes, from + i * stride, static_cast<size_t>(bytes));
    }
  });
}

class ColumnTaker {
 public:
  ColumnTaker(Weights& weights, ThreadPool& pool) : weights_(weights), pool_(pool) {}

  Result<void> take(ops::Weight& w, Range columns) {
    const DType type = w.values.dtype();
    const int64_t block = traits(type).block_size;
    if (columns.count % block != 0) return no_border("column", columns.count, block);
    TRY(take_scales(w, columns));
    const int64_t rows = w.values.size(0);
    const int64_t bytes = row_bytes(type, columns.count);
    if (w.panels != nullptr) {
      if (!ops::has_panels(type, columns.count)) return no_border("column", columns.first, 2);
      const int64_t panel = ops::kPanelRows * row_bytes(type, w.values.size(1));
      const std::byte* from = w.panels + ops::kPanelRows * row_bytes(type, columns.first);
      TRY(w.panels, copied(from, ops::num_panels(rows), panel, ops::kPanelRows * bytes));
      w.values = ConstTensor(nullptr, type, {rows, columns.count});
      return {};
    }
    const std::byte* from = w.values.data() + row_bytes(type, columns.first);
    TRY(const std::byte* to, copied(from, rows, w.values.stride_bytes(0), bytes));
    w.values = ConstTensor(to, type, {rows, columns.count});
    return {};
  }

 private:
  Result<void> take_scales(ops::Weight& w, Range columns) {
    if (w.scales.rank() != 2 || w.scales.size(1) == 1) return {};
    const int64_t first = columns.first / w.block_cols;
    if (columns.first % w.block_cols != 0) return no_border("column", columns.first, w.block_cols);
    const int64_t count = (columns.count + w.block_cols - 1) / w.block_cols;
    const DType type = w.scales.dtype();
    const int64_t rows = w.scales.size(0);
    TRY(const std::byte* to, copied(w.scales.data() + row_bytes(type, first), rows,
                                    w.scales.stride_bytes(0), row_bytes(type, count)));
    w.scales = ConstTensor(to, type, {rows, count});
    return {};
  }

  Result<const std::byte*> copied(const std::byte* from, int64_t count, int64_t stride,
                                  int64_t bytes) {
    TRY(Buffer to, Buffer::allocate(static_cast<uint64_t>(count * bytes)));
    copy_stretches(pool_, to.data(), from, count, stride, bytes);
    const std::byte* data = to.data();
    weights_.owned.push_back(std::move(to));
    return data;
  }

  Weights& weights_;
  ThreadPool& pool_;
};

}  // namespace

bool divides_head(const ModelConfig& config, int size) {
  return size > 1 && !config.tied_head && config.vocab_size % (kHeadBorders * size) == 0;
}

Result<ModelConfig> shard_config(const ModelConfig& whole, int size) {
  if (whole.num_kv_heads % size != 0 || whole.ffn_size % size != 0) {
    return fail(Code::kInvalidArgument,
                "the model cannot be divided among {} ranks: that must divide its {} key/value "
                "heads and its feed-forward of {}",
                size, whole.num_kv_heads, whole.ffn_size);
  }
  ModelConfig config = whole;
  config.num_heads /= size;
  config.num_kv_heads /= size;
  config.ffn_size /= size;
  return config;
}

Result<void> shard_weights(Weights& weights, const ModelConfig& whole, Shard shard) {
  if (shard.size == 1) return {};
  const Range queries = part_of(whole.num_heads * whole.head_dim, shard);
  const Range keys = part_of(whole.num_kv_heads * whole.head_dim, shard);
  const Range ffn = part_of(whole.ffn_size, shard);
  ThreadPool pool(usable_cpus());
  ColumnTaker columns(weights, pool);
  for (LayerWeights& layer : weights.layers) {
    TRY(take_rows(layer.query, queries));
    TRY(take_rows(layer.key, keys));
    TRY(take_rows(layer.value, keys));
    TRY(columns.take(layer.out, queries));
    TRY(take_rows(layer.gate, ffn));
    TRY(take_rows(layer.up, ffn));
    TRY(columns.take(layer.down, ffn));
  }
  if (divides_head(whole, shard.size)) {
    TRY(take_rows(weights.head, part_of(whole.vocab_size, shard)));
  }
  return {};
}

}  // namespace hachi::model
