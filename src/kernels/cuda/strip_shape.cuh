// What a kernel for products of tens of rows has in shared memory, and which strips are a CTA's
// (strip_kernel.cuh).
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/stream_params.cuh"

namespace hachi::ops::cuda::strip {

inline constexpr int kRows = 64;
inline constexpr int kCluster = 2;
inline constexpr uint16_t kAllCtas = (1 << kCluster) - 1;

inline constexpr int kConsumers = 4;  // warps
inline constexpr int kWeightsWarp = kConsumers;
inline constexpr int kRowsWarp = kWeightsWarp + 1;
inline constexpr int kThreads = 32 * (kRowsWarp + 1);

// A stage is two panels of 128 bytes a row: 256 bytes of a row of weights at a time, as memory is
// slower with less.
inline constexpr int kPanels = 2;
inline constexpr int kPanelRowBytes = 128;
inline constexpr int kStageRowBytes = kPanels * kPanelRowBytes;
inline constexpr int kXPanelBytes = kRows * kPanelRowBytes;
inline constexpr int kXBytes = kPanels * kXPanelBytes;
inline constexpr int kXStages = 5;
inline constexpr int kWeightRingBytes = 128 * 1024;

struct Params {
  StreamParams all;  // a group of outputs is a strip
  CUtensorMap x_map;
  int x_rows;  // that are copied: T, rounded up to 8
  int strips;  // of a CTA, at most

  __device__ int stages_per_strip() const {
    return (all.inputs * all.element_bytes + kStageRowBytes - 1) / kStageRowBytes;
  }
};

// Outputs of one product, or of gate and up alike.
struct Strip {
  int product;
  int first;
  int end;  // of the product's outputs
};

// Those of a CTA: every gridDim.x-th. Where there are none left, as many as its neighbours have,
// with no outputs.
__device__ inline Strip strip_of(const StreamParams& p, int i) {
  int group = i * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  if (group >= p.num_groups) return {0, p.products[0].outputs, 0};
  int product = 0;
  while (group >= p.products[product].groups) group -= p.products[product++].groups;
  return {product, group * p.group_outputs, p.products[product].outputs};
}

// Of rows of e4m3, if kIsF8, or of bf16.
template <int kOutputs_, bool kIsF8_>
struct Shape {
  static constexpr int kOutputs = kOutputs_;
  static constexpr bool kIsF8 = kIsF8_;
  static constexpr int kPanelBytes = kOutputs * kPanelRowBytes;
  static constexpr int kWeightBytes = kPanels * kPanelBytes;
  static constexpr int kStages = kWeightRingBytes / kWeightBytes;
  static constexpr int kX = kStages * kWeightBytes;          // where x stands,
  static constexpr int kBarriers = kX + kXStages * kXBytes;  // the barriers,
  static constexpr int kNumBarriers = 2 * (kStages + kXStages) + 1;
  static constexpr int kScales = kBarriers + kNumBarriers * 8;  // and the rows' scales
  static constexpr int kSharedBytes = kScales + kRows * 4;
  static_assert(kPanelBytes / 2 % 1024 == 0 && kStages >= 3 && kStages <= 32 &&
                kSharedBytes <= 227 * 1024);

  __device__ static uint32_t barrier(const uint8_t* memory, int i) {
    return shared_address(memory + kBarriers + i * 8);
  }
  __device__ static uint32_t full(const uint8_t* memory, int slot) { return barrier(memory, slot); }
  __device__ static uint32_t empty(const uint8_t* memory, int slot) {
    return barrier(memory, kStages + slot);
  }
  __device__ static uint32_t x_full(const uint8_t* memory, int slot) {
    return barrier(memory, 2 * kStages + slot);
  }
  __device__ static uint32_t x_empty(const uint8_t* memory, int slot) {
    return barrier(memory, 2 * kStages + kXStages + slot);
  }
  __device__ static uint32_t scales_full(const uint8_t* memory) {
    return barrier(memory, kNumBarriers - 1);
  }
};

// Which slot of a ring the stages have, one after the other. Of the parity of a slot's first phase,
// or, to wait for an empty one, of that before it.
template <int kStages>
struct Slots {
  int slot = 0;
  uint32_t parity = 0;

  __device__ void advance() {
    if (++slot < kStages) return;
    slot = 0;
    parity ^= 1;
  }
};

}  // namespace hachi::ops::cuda::strip
