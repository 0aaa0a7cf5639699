// The kernel of the products of tens of rows with bf16. A CTA takes strips of kOutputs outputs with
// all columns, so that no sum is divided and a row's does not depend on the others. A warp copies
// stages of weights ahead, across strips and before the kernels that make x have ended; another one
// x, in step with the other CTA of the cluster, each a half for both, as x is up to twice what a
// strip's weights are. Four warps multiply, x as the matrix unit's first operand;
// the rest find what the rows are divided by.
#pragma once

#include <limits>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/strip_finish.cuh"
#include "kernels/cuda/strip_wgmma.cuh"

namespace hachi::ops::cuda::strip {

inline constexpr int kCluster = 2;
inline constexpr uint16_t kAllCtas = (1 << kCluster) - 1;
inline constexpr int kConsumers = 4;  // warps
inline constexpr int kWeightsWarp = kConsumers;
inline constexpr int kRowsWarp = kWeightsWarp + 1;
inline constexpr int kFirstNormWarp = kRowsWarp + 1;
inline constexpr int kNormWarps = 4;
inline constexpr int kThreads = 32 * (kFirstNormWarp + kNormWarps);

// A stage is two panels of 64 columns: 256 bytes of a row of weights at a time, as memory is slower
// with less.
inline constexpr int kPanels = 2;
inline constexpr int kPanelRowBytes = 128;
inline constexpr int kStageColumns = kPanels * kPanelRowBytes / 2;
inline constexpr int kXPanelBytes = kRows * kPanelRowBytes;
inline constexpr int kXBytes = kPanels * kXPanelBytes;
inline constexpr int kXStages = 5;
inline constexpr int kWeightRingBytes = 128 * 1024;

struct Params {
  StreamParams all;  // a group of outputs is a strip
  CUtensorMap x_map;
  int x_rows;  // that are copied: T, rounded up to 8
  int strips;  // of a CTA, at most
};

template <int kOutputs>
struct Shape {
  static constexpr int kPanelBytes = kOutputs * kPanelRowBytes;
  static constexpr int kWeightBytes = kPanels * kPanelBytes;
  static constexpr int kStages = kWeightRingBytes / kWeightBytes;
  static constexpr int kX = kStages * kWeightBytes;                          // where x stands,
  static constexpr int kBarriers = kX + kXStages * kXBytes;                  // the barriers,
  static constexpr int kInverse = kBarriers + 2 * (kStages + kXStages) * 8;  // and 1 / RMS(x)
  static constexpr int kSharedBytes = kInverse + kRows * 4;
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

// The copies of the CTA's weights, stage after stage. One lane has them.
template <int kOutputs>
class WeightCopies {
 public:
  using S = Shape<kOutputs>;

  __device__ WeightCopies(const Params& p, const uint8_t* memory, int stages_per_strip)
      : p_(p),
        memory_(memory),
        stages_per_strip_(stages_per_strip),
        policy_(evict_first_policy()) {}

  // The next `count`, or all that are left.
  __device__ void start(int count) {
    for (; strip_index_ < p_.strips && count > 0; --count) {
      if (stage_ == 0) strip_ = strip_of(p_.all, strip_index_);
      barrier_wait(S::empty(memory_, at_.slot), at_.parity);
      barrier_expect(S::full(memory_, at_.slot), S::kWeightBytes);
      copy();
      at_.advance();
      if (++stage_ < stages_per_strip_) continue;
      stage_ = 0;
      ++strip_index_;
    }
  }

 private:
  __device__ void copy() const {
    const uint32_t full = S::full(memory_, at_.slot);
    const uint32_t to = shared_address(memory_ + at_.slot * S::kWeightBytes);
    const int panel = stage_ * kPanels;
    const CUtensorMap* maps = p_.all.maps;
    if (!is_gated(p_.all.finish)) {
      panel_copy(to, &maps[strip_.product], panel, strip_.first, full, policy_);
      return;
    }
    for (int i = 0; i < kPanels; ++i) {  // gate's rows, and up's behind them
      const uint32_t gate = to + static_cast<uint32_t>(i * S::kPanelBytes);
      panel_copy(gate, &maps[0], panel + i, strip_.first, full, policy_);
      panel_copy(gate + S::kPanelBytes / 2, &maps[1], panel + i, strip_.first, full, policy_);
    }
  }

  const Params& p_;
  const uint8_t* const memory_;
  const int stages_per_strip_;
  const uint64_t policy_;
  int strip_index_ = 0;
  int stage_ = 0;
  Strip strip_ = {};
  Slots<S::kStages> at_{0, 1};
};

// Copies one panel of each stage of x to both CTAs, once for each strip. Rows that are not copied
// are multiplied with what is there, and not stored.
template <int kOutputs>
__device__ void copy_rows(const Params& p, const uint8_t* memory, int stages_per_strip) {
  using S = Shape<kOutputs>;
  static_assert(kPanels == kCluster);
  const int panel = static_cast<int>(blockIdx.x) % kCluster;
  const uint8_t* to = memory + S::kX + panel * kXPanelBytes;
  const auto bytes = static_cast<uint32_t>(kPanels * p.x_rows * kPanelRowBytes);
  wait_for_earlier_kernels();
  bulk_copy_fence();
  Slots<kXStages> at{0, 1};
  for (int i = 0; i < p.strips; ++i) {
    for (int stage = 0; stage < stages_per_strip; ++stage, at.advance()) {
      barrier_wait(S::x_empty(memory, at.slot), at.parity);
      const uint32_t full = S::x_full(memory, at.slot);
      barrier_expect(full, bytes);
      panel_copy_to_all(shared_address(to + at.slot * kXBytes), &p.x_map, stage * kPanels + panel,
                        0, full, kAllCtas);
    }
  }
}

// Two sums a result, which take turns: one product need not wait for the one before it.
template <int kOutputs>
struct Sums {
  float a[kOutputs / 2] = {};
  float b[kOutputs / 2] = {};

  __device__ __forceinline__ void pin() {
    attend::pin(a);
    attend::pin(b);
  }
  __device__ __forceinline__ void multiply_stage(const uint8_t* weights, const uint8_t* x,
                                                 bool first) {
    const uint32_t w = shared_address(weights);
    const uint32_t rows = shared_address(x);
    constexpr uint32_t kPanelBytes = Shape<kOutputs>::kPanelBytes;
#pragma unroll
    for (uint32_t k = 0; k < kPanelRowBytes; k += 32) {
      multiply(a, attend::descriptor(rows + k, 0), attend::descriptor(w + k, 0), !first || k > 0);
      multiply(b, attend::descriptor(rows + kXPanelBytes + k, 0),
               attend::descriptor(w + kPanelBytes + k, 0), !first || k > 0);
    }
  }
};

// Gives the slots of this stage back. No CTA of the cluster is told of a slot that it will not fill
// again: it may have ended.
template <class S>
__device__ inline void release(const uint8_t* memory, int slot, int x_slot, bool last, int lane) {
  if (lane == 0) barrier_arrive(S::empty(memory, slot));
  if (last || lane >= kCluster) return;
  barrier_arrive_at(S::x_empty(memory, x_slot), static_cast<uint32_t>(lane));
}

template <int kOutputs>
__device__ void consume(const Params& p, const uint8_t* memory, int stages_per_strip) {
  using S = Shape<kOutputs>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int releases = p.strips * stages_per_strip - kXStages;  // that others have to know of
  const auto* inverse = reinterpret_cast<const float*>(memory + S::kInverse);
  Slots<S::kStages> at, released;
  Slots<kXStages> x_at, x_released;
  int num_released = 0;
  const auto release_next = [&] {
    release<S>(memory, released.slot, x_released.slot, num_released++ >= releases, lane);
    released.advance();
    x_released.advance();
  };
  wait_for_earlier_kernels();
  for (int i = 0; i < p.strips; ++i) {
    const Finish<kOutputs> finish(p.all, strip_of(p.all, i));
    Sums<kOutputs> sums;
    for (int stage = 0; stage < stages_per_strip; ++stage, at.advance(), x_at.advance()) {
      barrier_wait(S::full(memory, at.slot), at.parity);
      barrier_wait(S::x_full(memory, x_at.slot), x_at.parity);
      sums.pin();
      attend::mma_fence();
      sums.multiply_stage(memory + at.slot * S::kWeightBytes, memory + S::kX + x_at.slot * kXBytes,
                          stage == 0);
      attend::mma_commit();
      attend::mma_wait<1>();
      sums.pin();
      if (stage > 0) release_next();
    }
    attend::mma_wait<0>();
    sums.pin();
    release_next();
    if (i == 0) asm volatile("bar.sync 1, %0;" ::"n"(32 * (kConsumers + kNormWarps)) : "memory");
#pragma unroll
    for (int k = 0; k < kOutputs / 2; ++k) sums.a[k] += sums.b[k];
    finish.end(sums.a, inverse);
  }
}

// 1 / RMS(x) of each row, or 1. Four rows at a time, so that their reads wait together.
template <class S>
__device__ void find_norms(const StreamParams& p, uint8_t* memory) {
  constexpr int kAtOnce = 4;
  auto* inverse = reinterpret_cast<float*>(memory + S::kInverse);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32 - kFirstNormWarp;
  const int groups = p.inputs / 32;
  wait_for_earlier_kernels();
  for (int first = warp * kAtOnce; first < p.rows; first += kNormWarps * kAtOnce) {
    float sums[kAtOnce] = {};
    if (p.x_squares != nullptr) {
#pragma unroll 4
      for (int i = lane; i < groups; i += 32) {
#pragma unroll
        for (int r = 0; r < kAtOnce; ++r) {
          sums[r] += p.x_squares[min(first + r, p.rows - 1) * groups + i];
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r) {
      const float mean = warp_sum(sums[r]) / static_cast<float>(p.inputs);
      const float value = p.x_squares == nullptr ? 1.0f : 1.0f / sqrtf(mean + p.eps);
      if (lane == 0 && first + r < kRows) inverse[first + r] = value;
    }
  }
  asm volatile("bar.arrive 1, %0;" ::"n"(32 * (kConsumers + kNormWarps)) : "memory");
}

template <class S>
__device__ void init_barriers(const uint8_t* memory) {
  for (int i = 0; i < S::kStages; ++i) {
    barrier_init(S::full(memory, i), 1);
    barrier_init(S::empty(memory, i), kConsumers);
  }
  barrier_init_fence();
}

template <class S>
__device__ void init_x_barriers(const uint8_t* memory) {
  for (int i = 0; i < kXStages; ++i) {
    barrier_init(S::x_full(memory, i), 1);
    barrier_init(S::x_empty(memory, i), kCluster * kConsumers);
  }
  barrier_init_fence();
}

// Copies of x queue up behind those of weights, so that only half of the ring is filled before x is
// there.
template <int kOutputs>
__device__ void copy_weights(const Params& p, const uint8_t* memory, int stages_per_strip,
                             bool first_lane) {
  using S = Shape<kOutputs>;
  constexpr int kAtOnce = S::kStages / 4;
  WeightCopies<kOutputs> copies(p, memory, stages_per_strip);
  if (first_lane) {
    init_barriers<S>(memory);
    copies.start(kAtOnce);
  }
  __syncthreads();
  cluster_arrive();
  if (!first_lane) return;
  copies.start(kAtOnce);
  wait_for_earlier_kernels();
  copies.start(std::numeric_limits<int>::max());
}

template <int kOutputs>
__global__ void __launch_bounds__(kThreads, 1)
    strip_matmul_kernel(const __grid_constant__ Params p) {
  using S = Shape<kOutputs>;
  extern __shared__ __align__(1024) uint8_t memory[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const bool first_lane = threadIdx.x % 32 == 0;
  const int stages_per_strip = (p.all.inputs + kStageColumns - 1) / kStageColumns;
  launch_dependents();
  if (warp == kWeightsWarp) {
    return copy_weights<kOutputs>(p, memory, stages_per_strip, first_lane);
  }
  if (warp == kRowsWarp && first_lane) init_x_barriers<S>(memory);
  __syncthreads();
  cluster_wait_for_all();  // until all have barriers
  if (warp < kConsumers) {
    consume<kOutputs>(p, memory, stages_per_strip);
  } else if (warp == kRowsWarp) {
    if (first_lane) copy_rows<kOutputs>(p, memory, stages_per_strip);
  } else {
    find_norms<S>(p.all, memory);
  }
}

}  // namespace hachi::ops::cuda::strip
