// Weights on their way to the GPU: through pinned memory, and where they are packed through a
// stretch of its own memory, while the next part is read.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/tiles.h"
#include "kernels/cuda_ops.h"
#include "kernels/decode.h"
#include "kernels/dequantize.h"

namespace hachi::ops::cuda {
namespace {

constexpr int64_t kPart = 32 << 20;  // bytes on their way at once

int64_t num_scales(const Weight& w) {
  if (!w.scales) return 0;
  return w.scales.rank() == 1 ? w.scales.size(0) : w.scales.size(0) * w.scales.size(1);
}

// One scale for the whole matrix is kept once for each row: then products of many rows, whose x has
// a scale for each row, are of one kind.
ScaleSpan span_of(const Weight& w) {
  return num_scales(w) <= 1 || w.block_rows == 1 ? ScaleSpan::kRow : ScaleSpan::kBlock128;
}

int64_t placed_scales(const Weight& w) {
  return span_of(w) == ScaleSpan::kRow ? w.values.size(0) : num_scales(w);
}

Layout layout_for(const Weight& w, Use use) {
  const DType type = w.values.dtype();
  if (use == Use::kTable) return type == DType::kF32 ? Layout::kF32 : Layout::kBF16;
  if (type == DType::kF8E4M3) {
    const bool rows = w.block_rows == 1 && w.block_cols >= w.values.size(1);
    const bool blocks = w.block_rows == 128 && w.block_cols == 128;
    if (num_scales(w) > 1 && !rows && !blocks) return Layout::kBF16;
  }
  return layout_of(type, w.values.size(0), w.values.size(1));
}

uint64_t aligned(int64_t bytes) { return (static_cast<uint64_t>(bytes) + 255) / 256 * 256; }

// The bytes of `from`, by all threads.
void copy(ThreadPool& pool, std::byte* to, const std::byte* from, int64_t bytes) {
  constexpr int64_t kGrain = 1 << 20;
  pool.parallel_for(bytes, kGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
  });
}

// Rows [begin, begin + count) as bf16, their scales applied.
void round_rows(Context& host, const Weight& w, int64_t begin, int64_t count, std::byte* to) {
  const int64_t width = w.values.size(1);
  std::vector<float> floats(static_cast<size_t>(count * width));
  const Tensor rows(floats.data(), DType::kF32, {count, width});
  dequantize(host, rows, w, begin);
  host.pool->parallel_for(count, 1, [&](int64_t row, int64_t end) {
    for (; row < end; ++row) {
      encode(DType::kBF16, rows.row<float>(row), width, to + row_bytes(DType::kBF16, row * width));
    }
  });
}

void send_scales(Device& gpu, const Weight& w, std::byte* to) {
  const int64_t given = num_scales(w);
  const int64_t count = placed_scales(w);
  gpu.send(to, static_cast<uint64_t>(count) * sizeof(float), [&](std::byte* data) {
    auto* floats = reinterpret_cast<float*>(data);
    floats[0] = 1;
    if (given > 0) decode(w.scales.dtype(), w.scales.data(), given, floats);
    if (given <= 1) std::fill_n(floats, count, floats[0]);
  });
}

// The rows of w from `begin` on, into `to` where they are to lie.
void send_rows(Device& gpu, Context& host, const Weight& w, Layout layout, int64_t begin,
               int64_t count, std::byte* to) {
  const DType type = w.values.dtype();
  const int64_t width = w.values.size(1);
  const int64_t raw_bytes = count * row_bytes(type, width);
  const auto raw = [&](std::byte* data) { copy(*host.pool, data, w.values.row(begin), raw_bytes); };
  const bool same = (layout == Layout::kF32 && type == DType::kF32) ||
                    (layout == Layout::kBF16 && type == DType::kBF16) ||
                    (layout == Layout::kF8 && type == DType::kF8E4M3);
  if (same) return gpu.send(to, static_cast<uint64_t>(raw_bytes), raw);
  if (layout == Layout::kBF16) {
    const auto bytes = static_cast<uint64_t>(count * row_bytes(DType::kBF16, width));
    return gpu.send(to, bytes, [&](std::byte* data) { round_rows(host, w, begin, count, data); });
  }
  std::byte* blocks = gpu.scratch(static_cast<uint64_t>(2 * kPart));
  gpu.send(blocks, static_cast<uint64_t>(raw_bytes), raw);
  pack(gpu.stream(), to, layout, blocks, type, count, width);
}

}  // namespace

PlacedBytes placed_bytes(const Weight& w, Use use) {
  const Layout layout = layout_for(w, use);
  PlacedBytes bytes{.values = aligned(matrix_bytes(layout, w.values.size(0), w.values.size(1)))};
  if (layout == Layout::kF8) {
    bytes.scales = aligned(placed_scales(w) * static_cast<int64_t>(sizeof(float)));
  }
  return bytes;
}

Weight place(Context& ctx, const Weight& w, Use use, std::byte* values, std::byte* scales) {
  Device& gpu = device_of(ctx);
  gpu.use();
  const Layout layout = layout_for(w, use);
  const int64_t outputs = w.values.size(0);
  const int64_t inputs = w.values.size(1);
  CHECK_EQ(w.values.stride_bytes(0), row_bytes(w.values.dtype(), inputs));
  Context host{.pool = ctx.pool};
  Weight placed = w;
  placed.values = ConstTensor(nullptr, w.values.dtype(), {outputs, inputs});
  placed.scales = {};
  placed.panels = nullptr;
  placed.placed = {.layout = layout, .outputs = outputs, .inputs = inputs, .data = values};
  // Whole tiles and whole blocks of scales at a time, whatever the type is on its way.
  const int64_t widest =
      std::max(row_bytes(DType::kBF16, inputs), row_bytes(w.values.dtype(), inputs));
  const int64_t step = std::max<int64_t>(kPart / widest / 128, 1) * 128;
  for (int64_t begin = 0; begin < outputs; begin += step) {
    const int64_t count = std::min(step, outputs - begin);
    send_rows(gpu, host, w, layout, begin, count, values + matrix_bytes(layout, begin, inputs));
  }
  if (layout == Layout::kF8) {
    send_scales(gpu, w, scales);
    placed.placed.span = span_of(w);
    placed.placed.scales = reinterpret_cast<const float*>(scales);
  }
  return placed;
}

}  // namespace hachi::ops::cuda
