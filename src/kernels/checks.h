// The checks that the contracts of several ops share. Each ends the process with the values.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "kernels/context.h"
#include "kernels/kv_page.h"

namespace hachi::ops {

// The end of an op that a GPU has only as part of `fused`.
[[noreturn]] inline void only_fused(std::string_view fused) {
  check_failed(__FILE__, __LINE__, fmt::format("on a GPU this op is part of {}", fused));
}

// Rows of f32 on a 4-byte boundary.
inline void check_f32(ConstTensor t, int64_t rows, int64_t columns) {
  CHECK_EQ(t.rank(), 2);
  CHECK_EQ(name(t.dtype()), name(DType::kF32));
  CHECK_EQ(t.size(0), rows);
  CHECK_EQ(t.size(1), columns);
  CHECK_EQ(reinterpret_cast<uintptr_t>(t.data()) % 4, 0u);
  CHECK_EQ(t.stride_bytes(0) % 4, 0);
}

inline void check_f32(ConstTensor t, int64_t size) {
  CHECK_EQ(t.rank(), 1);
  CHECK_EQ(name(t.dtype()), name(DType::kF32));
  CHECK_EQ(t.size(0), size);
  CHECK_EQ(reinterpret_cast<uintptr_t>(t.data()) % 4, 0u);
}

// A matrix with `columns`, and scales that fit it.
inline void check_weight(const Weight& w, int64_t columns) {
  CHECK_EQ(w.values.rank(), 2);
  CHECK_NE(name(w.values.dtype()), name(DType::kI32));
  CHECK_EQ(w.values.size(1), columns);
  if (!w.scales) return;
  CHECK_EQ(name(w.values.dtype()), name(DType::kF8E4M3));
  const DType type = w.scales.dtype();
  CHECK(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16);
  if (w.scales.rank() == 1) {
    CHECK_EQ(w.scales.size(0), 1);
    return;
  }
  CHECK_EQ(w.scales.rank(), 2);
  CHECK_GT(w.block_rows, 0);
  CHECK_GT(w.block_cols, 0);
  CHECK_EQ(w.scales.size(0), (w.values.size(0) + w.block_rows - 1) / w.block_rows);
  CHECK_EQ(w.scales.size(1), (columns + w.block_cols - 1) / w.block_cols);
}

// Keys and values of one type, and shapes that fit each other.
inline void check_kv(const KvLayer& kv) {
  const DType type = kv.keys.dtype();
  CHECK(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kQ8_0);
  CHECK_EQ(name(kv.values.dtype()), name(type));
  CHECK_EQ(kv.keys.rank(), 4);
  CHECK_EQ(kv.values.rank(), 4);
  CHECK_EQ(kv.keys.size(0), kv.values.size(0));
  CHECK_GT(kv.keys.size(1), 0);
  CHECK_EQ(kv.keys.size(1), kv.values.size(1));
  CHECK_GT(kv.keys.size(2), 0);
  CHECK_EQ(kv.keys.size(2), kv.values.size(3));
  CHECK_EQ(kv.keys.size(3), kPagePositions);
  CHECK_EQ(kv.values.size(2), kPagePositions);
}

// The spans cover the rows in order, and each token's page is one of the cache's.
inline void check_batch(const BatchView& batch, int64_t num_cache_pages, int64_t num_tokens) {
  CHECK_EQ(static_cast<int64_t>(batch.positions.size()), num_tokens);
  int64_t next = 0;
  for (const SequenceSpan& span : batch.sequences) {
    CHECK_EQ(span.first_token, next);
    CHECK_GE(span.num_tokens, 0);
    next += span.num_tokens;
    CHECK_LE(next, num_tokens);
    if (span.num_tokens == 0) continue;
    const int64_t first = batch.positions[static_cast<size_t>(span.first_token)];
    const int64_t last = batch.positions[static_cast<size_t>(next - 1)];
    CHECK_GE(first, 0);
    CHECK_EQ(last, first + span.num_tokens - 1);
    const int64_t num_pages = last / kPagePositions + 1;
    CHECK_LE(num_pages, static_cast<int64_t>(span.pages.size()));
    for (int32_t page : span.pages.first(static_cast<size_t>(num_pages))) {
      CHECK(page >= 0 && page < num_cache_pages);
    }
  }
  CHECK_EQ(next, num_tokens);
}

}  // namespace hachi::ops
