// How a cluster of blocks divides a row of logits, and reads it.
#pragma once

#include "kernels/cuda/draw_line.cuh"

namespace hachi::ops::cuda::line {

// Tokens of a warp: a part of the vocabulary that ends with a word of the mask.
constexpr int chunk_of(int64_t vocab_size) {
  constexpr int64_t kTokens = int64_t{kBlocks} * kWarps * kStride;
  return static_cast<int>((vocab_size + kTokens - 1) / kTokens * kStride);
}

// What row_in() needs.
constexpr int shared_bytes(int64_t vocab_size) {
  return static_cast<int>(sizeof(Shared) + sizeof(float) * kWarps * chunk_of(vocab_size));
}

// Whether four logits that follow each other lie on 16 bytes, in all rows.
inline bool is_wide(const float* logits, int64_t stride, int64_t vocab_size) {
  return vocab_size % kVector == 0 && stride % kVector == 0 &&
         reinterpret_cast<uintptr_t>(logits) % 16 == 0;
}

// The logits of a row.
struct Logits {
  const float* data;
  int vocab_size;
  bool wide;
};

__device__ __forceinline__ void load_vector(const Logits& logits, int token,
                                            float (&parts)[kVector]) {
  if (logits.wide && token < logits.vocab_size) {
    const float4 vector = *reinterpret_cast<const float4*>(logits.data + token);
    parts[0] = vector.x;
    parts[1] = vector.y;
    parts[2] = vector.z;
    parts[3] = vector.w;
    return;
  }
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    parts[k] = token + k < logits.vocab_size ? logits.data[token + k] : 0;
  }
}

// The thread's view of the row of its cluster; `memory` is the block's. Nothing is read yet.
__device__ __forceinline__ Row row_in(unsigned char* memory, int chunk) {
  Row row;
  row.shared = reinterpret_cast<Shared*>(memory);
  row.values = reinterpret_cast<float*>(row.shared + 1);
  row.rank = static_cast<int>(cooperative_groups::this_cluster().block_rank());
  row.warp = static_cast<int>(threadIdx.x) / kWarp;
  row.lane = static_cast<int>(threadIdx.x) % kWarp;
  row.chunk = chunk;
  row.first = (row.rank * kWarps + row.warp) * chunk;
  row.turn = 0;
  return row;
}

}  // namespace hachi::ops::cuda::line
