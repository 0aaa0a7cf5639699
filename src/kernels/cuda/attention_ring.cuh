// A warp's tiles on their way from the pages into shared memory. The copies of the next tiles are
// under way while one is read.
#pragma once

#include "kernels/cuda/attention_split.cuh"

namespace hachi::ops::cuda::attend {

template <class Cache, int kHeadDim>
class Ring {
 public:
  static constexpr int kStages = 2;
  static constexpr int kTileBytes = kTile * kHeadDim * Cache::kBytes;
  struct Memory {
    alignas(128) char keys[kStages][kTileBytes];
    char values[kStages][kTileBytes];
    uint64_t full[kStages];
  };

  // Begins to copy: `ahead` is the warp's first tile.
  __device__ Ring(const Attention& args, Memory& memory, const Ahead& ahead)
      : args_(args), memory_(memory), ahead_(ahead) {
    if (threadIdx.x % 32 == 0) {
      for (uint64_t& barrier : memory_.full) barrier_make(shared_address(&barrier), 1);
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncwarp();
    if (ahead_.valid()) page_ = ahead_.page();
    for (int s = 0; s < kStages; ++s) copy(s);
  }

  __device__ void wait() const { barrier_wait(shared_address(&memory_.full[stage_]), phase_); }
  __device__ const char* keys() const { return memory_.keys[stage_]; }
  __device__ const char* values() const { return memory_.values[stage_]; }

  // The tile has been read by all lanes.
  __device__ void next() {
    __syncwarp();
    copy(stage_);
    if (++stage_ == kStages) stage_ = 0, phase_ ^= 1;
  }

 private:
  __device__ void copy(int stage) {
    if (!ahead_.valid()) return;
    if (threadIdx.x % 32 == 0) {
      const uint32_t full = shared_address(&memory_.full[stage]);
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(full),
                   "r"(2 * kTileBytes)
                   : "memory");
      const int64_t from = page_ * args_.kv.page_bytes +
                           int64_t{ahead_.work.head} * (kPage * kHeadDim * Cache::kBytes) +
                           ahead_.tile % (kPage / kTile) * kTileBytes;
      copy_to(memory_.keys[stage], static_cast<const char*>(args_.kv.keys) + from, full);
      copy_to(memory_.values[stage], static_cast<const char*>(args_.kv.values) + from, full);
    }
    ahead_.next();
    if (ahead_.valid()) page_ = ahead_.page();
  }
  __device__ static void copy_to(char* to, const char* from, uint32_t full) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(shared_address(to)),
        "l"(from), "r"(kTileBytes), "r"(full)
        : "memory");
  }

  const Attention& args_;
  Memory& memory_;
  Ahead ahead_;
  int64_t page_ = 0;  // of the tile ahead
  int stage_ = 0;
  uint32_t phase_ = 0;
};

}  // namespace hachi::ops::cuda::attend
