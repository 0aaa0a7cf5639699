// The kernel of the products of tens of rows, with bf16 or e4m3. A CTA takes strips of kOutputs
// outputs with all columns, so that no sum is divided and a row's does not depend on the others. A
// warp copies stages of weights ahead, across strips and before the kernels that make x have ended;
// another one x, in step with the other CTA of the cluster, each a half for both, as x is up to
// twice what a strip's weights are. Four warps multiply, x as the matrix unit's first operand.
#pragma once

#include "kernels/cuda/strip_copy.cuh"
#include "kernels/cuda/strip_finish.cuh"
#include "kernels/cuda/strip_wgmma.cuh"

namespace hachi::ops::cuda::strip {

// Two sums a result, which take turns: one product need not wait for the one before it.
template <class S>
struct Sums {
  float a[S::kOutputs / 2] = {};
  float b[S::kOutputs / 2] = {};

  __device__ __forceinline__ void pin() {
    attend::pin(a);
    attend::pin(b);
  }
  __device__ __forceinline__ void multiply_stage(const uint8_t* weights, const uint8_t* x,
                                                 bool first) {
    const uint32_t w = shared_address(weights);
    const uint32_t rows = shared_address(x);
    constexpr uint32_t kPanelBytes = S::kPanelBytes;
#pragma unroll
    for (uint32_t k = 0; k < kPanelRowBytes; k += 32) {
      const bool add = !first || k > 0;
      multiply<S::kIsF8>(a, attend::descriptor(rows + k, 0), attend::descriptor(w + k, 0), add);
      multiply<S::kIsF8>(b, attend::descriptor(rows + kXPanelBytes + k, 0),
                         attend::descriptor(w + kPanelBytes + k, 0), add);
    }
  }
  __device__ __forceinline__ void join() {
#pragma unroll
    for (int k = 0; k < S::kOutputs / 2; ++k) a[k] += b[k];
  }
};

template <class S>
class Consumer {
 public:
  __device__ Consumer(const Params& p, const uint8_t* memory)
      : p_(p),
        memory_(memory),
        stages_(p.stages_per_strip()),
        releases_(p.strips * stages_ - kXStages) {}

  __device__ void run() {
    wait_for_earlier_kernels();
    const bool norms = p_.all.x_squares != nullptr;
    if (norms) find_norms<S>(p_.all, memory_);
    RowScales scales = norms ? RowScales{} : given_scales(p_.all);
    for (int i = 0; i < p_.strips; ++i) {
      Finish<S> finish(p_.all, strip_of(p_.all, i));
      Sums<S> sums;
      multiply_strip(sums);
      sums.join();
      if (norms) scales = found_norms<S>(memory_);
      finish.end(sums.a, scales);
    }
  }

 private:
  __device__ void multiply_strip(Sums<S>& sums) {
    for (int stage = 0; stage < stages_; ++stage, at_.advance(), x_at_.advance()) {
      barrier_wait(S::full(memory_, at_.slot), at_.parity);
      barrier_wait(S::x_full(memory_, x_at_.slot), x_at_.parity);
      sums.pin();
      attend::mma_fence();
      sums.multiply_stage(memory_ + at_.slot * S::kWeightBytes,
                          memory_ + S::kX + x_at_.slot * kXBytes, stage == 0);
      attend::mma_commit();
      attend::mma_wait<1>();
      sums.pin();
      if (stage > 0) release_next();
    }
    attend::mma_wait<0>();
    sums.pin();
    release_next();
  }

  // Gives the slots of a stage back. No CTA of the cluster is told of a slot that it will not fill
  // again: it may have ended.
  __device__ void release_next() {
    const uint32_t lane = threadIdx.x % 32;
    if (lane == 0) barrier_arrive(S::empty(memory_, released_.slot));
    if (num_released_++ < releases_ && lane < kCluster) {
      barrier_arrive_at(S::x_empty(memory_, x_released_.slot), lane);
    }
    released_.advance();
    x_released_.advance();
  }

  const Params& p_;
  const uint8_t* const memory_;
  const int stages_;    // of a strip
  const int releases_;  // that others have to know of
  int num_released_ = 0;
  Slots<S::kStages> at_, released_;
  Slots<kXStages> x_at_, x_released_;
};

template <class S>
__global__ void __launch_bounds__(kThreads, 1)
    strip_matmul_kernel(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) uint8_t memory[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const bool first_lane = threadIdx.x % 32 == 0;
  launch_dependents();
  if (warp == kWeightsWarp) return copy_weights<S>(p, memory, first_lane);
  if (warp == kRowsWarp && first_lane) init_x_barriers<S>(memory);
  __syncthreads();
  cluster_wait_for_all();  // until all have barriers
  if (warp < kConsumers) {
    Consumer<S>(p, memory).run();
  } else if (first_lane) {
    copy_rows<S>(p, memory);
  }
}

}  // namespace hachi::ops::cuda::strip
