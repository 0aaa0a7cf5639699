// The copies of a strip's weights and of x into the rings of shared memory.
#pragma once

#include <limits>

#include "kernels/cuda/strip_shape.cuh"

namespace hachi::ops::cuda::strip {

// The copies of the CTA's weights, stage after stage. One lane has them.
template <class S>
class WeightCopies {
 public:
  __device__ WeightCopies(const Params& p, const uint8_t* memory)
      : p_(p),
        memory_(memory),
        stages_per_strip_(p.stages_per_strip()),
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
template <class S>
__device__ void copy_rows(const Params& p, const uint8_t* memory) {
  static_assert(kPanels == kCluster);
  const int panel = static_cast<int>(blockIdx.x) % kCluster;
  const uint8_t* to = memory + S::kX + panel * kXPanelBytes;
  const auto bytes = static_cast<uint32_t>(kPanels * p.x_rows * kPanelRowBytes);
  const int stages = p.stages_per_strip();
  wait_for_earlier_kernels();
  bulk_copy_fence();
  Slots<kXStages> at{0, 1};
  for (int i = 0; i < p.strips; ++i) {
    for (int stage = 0; stage < stages; ++stage, at.advance()) {
      barrier_wait(S::x_empty(memory, at.slot), at.parity);
      const uint32_t full = S::x_full(memory, at.slot);
      barrier_expect(full, bytes);
      panel_copy_to_all(shared_address(to + at.slot * kXBytes), &p.x_map, stage * kPanels + panel,
                        0, full, kAllCtas);
    }
  }
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
  barrier_init(S::scales_full(memory), 1);
  barrier_expect(S::scales_full(memory), kRows * 4);
  barrier_init_fence();
}

// Copies of x queue up behind those of weights, so that only half of the ring is filled before x is
// there.
template <class S>
__device__ void copy_weights(const Params& p, const uint8_t* memory, bool first_lane) {
  constexpr int kAtOnce = S::kStages / 4;
  WeightCopies<S> copies(p, memory);
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

}  // namespace hachi::ops::cuda::strip
