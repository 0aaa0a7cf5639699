// What the warps of batch_kernel.cuh do that multiply.
#pragma once

#include "kernels/cuda/attention_wgmma.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/small_device.cuh"
#include "kernels/cuda/tile_format.h"

namespace hachi::ops::cuda::batch {

inline constexpr int kWarps = 8;  // that multiply
inline constexpr int kThreads = 32 * (kWarps + 1);
inline constexpr int kTileOutputs = kWarps * kTileRows;
inline constexpr int kBoxColumns = 64;               // of x, 128 bytes
inline constexpr int kSumsPitch = kTileOutputs + 4;  // floats, so that lanes meet other banks

// How the rings are laid out: stage by stage x, and behind it a chunk for each warp. For each stage
// a barrier says that x is there, one that it has been read, and one a warp that its chunk is
// there.
template <Layout kLayout, int kRows>
struct Shape {
  static constexpr ChunkFormat kFormat = chunk_format(kLayout);
  static constexpr int kBoxes = kChunkColumns / kBoxColumns;
  static constexpr int kBoxBytes = kRows * kBoxColumns * 2;
  static constexpr int kXBytes = kBoxes * kBoxBytes;
  static constexpr int kStageBytes = kXBytes + kWarps * kFormat.bytes();
  static constexpr int kCtas = kRows <= 64 ? 2 : 1;  // that share a multiprocessor
  static constexpr int kStages = (kCtas == 2 ? 104 : 208) * 1024 / kStageBytes;
  static constexpr int kBarriers = kStages * kStageBytes;  // where they stand
  static constexpr int kSharedBytes = kBarriers + (2 + kWarps) * kStages * 8;
  static_assert(kStageBytes % 1024 == 0 && kStages >= 3);
  static_assert(kRows * kSumsPitch * 4 <= kBarriers && kSharedBytes <= 227 * 1024);

  __device__ static uint32_t barrier(uint8_t* memory, int kind, int slot) {
    return shared_address(memory + kBarriers + (kind * kStages + slot) * 8);
  }
  __device__ static uint32_t x_full(uint8_t* memory, int slot) { return barrier(memory, 0, slot); }
  __device__ static uint32_t x_empty(uint8_t* memory, int slot) { return barrier(memory, 1, slot); }
  __device__ static uint32_t chunk_full(uint8_t* memory, int warp, int slot) {
    return barrier(memory, 2 + warp, slot);
  }
};

// c [64,kRows] += a [64,16] b [kRows,16]^T, a in registers.
__device__ __forceinline__ void multiply(float (&c)[96], const uint32_t (&a)[4], uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {" HACHI_NAMES_96
               "}, {%96,%97,%98,%99}, %100, 1, 1, 1, 0;"
               : HACHI_32(c, 0), HACHI_32(c, 32), HACHI_32(c, 64)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void multiply(float (&c)[64], const uint32_t (&a)[4], uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" HACHI_NAMES_64
               "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 0;"
               : HACHI_32(c, 0), HACHI_32(c, 32)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void multiply(float (&c)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" HACHI_NAMES_32
               "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 0;"
               : HACHI_32(c, 0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void multiply(float (&c)[16], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, 1, 1, 1, 0;"
      : HACHI_8(c, 0), HACHI_8(c, 8)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// One lane's weights of a half of a chunk, two groups of 32 columns: rows g and g + 8 of its tile.
template <Layout kLayout>
struct HalfChunk {
  static constexpr ChunkFormat kFormat = chunk_format(kLayout);
  static constexpr int kScales = kFormat.scales_per_row / 2;
  uint32_t words[2][4];  // four weights each
  float scales[2][kScales];
  float mins[2][kScales];

  __device__ __forceinline__ HalfChunk(const uint8_t* chunk, int half, int lane) {
#pragma unroll
    for (int high = 0; high < 2; ++high) {
      const uint8_t* weights = chunk + high * (kFormat.weight_bytes / 2) + lane * 16;
      if constexpr (kFormat.weight_bytes == 1024) {
        const uint2 both = *reinterpret_cast<const uint2*>(weights + half * 8);
        words[high][0] = both.x & 0x0f0f0f0fu;
        words[high][1] = both.x >> 4 & 0x0f0f0f0fu;
        words[high][2] = both.y & 0x0f0f0f0fu;
        words[high][3] = both.y >> 4 & 0x0f0f0f0fu;
      } else {
        const uint4 all = *reinterpret_cast<const uint4*>(weights + half * 512);
        words[high][0] = all.x;
        words[high][1] = all.y;
        words[high][2] = all.z;
        words[high][3] = all.w;
      }
      const int row = lane / 4 + high * 8;
      read(scales[high], chunk + scale_place(kFormat, row, half * kScales));
      if constexpr (kFormat.has_mins) {
        read(mins[high], chunk + min_place(kFormat, row, half * kScales));
      }
    }
  }

  // The matrix unit's a for 16 columns of the 64.
  __device__ __forceinline__ void operand(int step, uint32_t (&a)[4]) const {
#pragma unroll
    for (int high = 0; high < 2; ++high) {
      const int scale = kScales == 4 ? step : step / 2;
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        const float low = value(words[high][step], 2 * pair, high, scale);
        const float next = value(words[high][step], 2 * pair + 1, high, scale);
        a[2 * pair + high] = small::pack_bf16(low, next);
      }
    }
  }

 private:
  __device__ static __forceinline__ void read(float (&to)[kScales], const uint8_t* halves) {
#pragma unroll
    for (int i = 0; i < kScales; i += 2) {
      const float2 pair = f16_pair(*reinterpret_cast<const uint32_t*>(halves + 2 * i));
      to[i] = pair.x;
      to[i + 1] = pair.y;
    }
  }

  static constexpr bool kSigned = kFormat.weight_bytes == 2048;
  static constexpr float kOffset = kSigned ? 128 : kLayout == Layout::kInt4 ? 8 : 0;
  static constexpr float kMagic = 32768;

  // Byte `index` stands in the fraction of 2^15 as units. The products of that, and of the offset,
  // with a scale of 11 bits are exact, and so is their difference; with mins q comes first.
  __device__ __forceinline__ float value(uint32_t word, int index, int high, int scale) const {
    if (kSigned) word ^= 0x80808080u;
    const float byte = __uint_as_float(
        __byte_perm(word, 0x47000000u, 0x7504u + (static_cast<uint32_t>(index) << 4)));
    const float factor = scales[high][scale];
    if constexpr (kFormat.has_mins) return fmaf(byte - kMagic, factor, mins[high][scale]);
    return fmaf(byte, factor, -(kMagic + kOffset) * factor);
  }
};

// A warp's chunks, in the order in which it takes them; each place is filled again once its weights
// are in registers.
template <class S>
class ChunkRing {
 public:
  // `data`: the first of `count` chunks; null for a warp without a tile.
  __device__ ChunkRing(uint8_t* memory, const uint8_t* data, int count, int warp, int lane)
      : memory_(memory),
        data_(data),
        count_(data != nullptr ? count : 0),
        warp_(warp),
        lane_(lane) {
    if (lane == 0) {
      for (int i = 0; i < S::kStages; ++i) barrier_init(S::chunk_full(memory, warp, i), 1);
      barrier_init_fence();
    }
    __syncwarp();
    for (int i = 0; i < S::kStages; ++i) fill(i, i);
  }

  __device__ const uint8_t* wait(int slot, uint32_t phase) const {
    if (count_ > 0) barrier_wait(S::chunk_full(memory_, warp_, slot), phase);
    return place(slot);
  }
  // Chunk i has been read.
  __device__ void release(int i, int slot) const {
    __syncwarp();
    fill(i + S::kStages, slot);
  }

 private:
  __device__ uint8_t* place(int slot) const {
    return memory_ + slot * S::kStageBytes + S::kXBytes + warp_ * S::kFormat.bytes();
  }
  __device__ void fill(int i, int slot) const {
    if (i >= count_ || lane_ != 0) return;
    const uint32_t barrier = S::chunk_full(memory_, warp_, slot);
    barrier_expect(barrier, S::kFormat.bytes());
    bulk_copy(shared_address(place(slot)), data_ + static_cast<int64_t>(i) * S::kFormat.bytes(),
              S::kFormat.bytes(), barrier, evict_first_policy());
  }

  uint8_t* const memory_;
  const uint8_t* const data_;
  const int count_;
  const int warp_;
  const int lane_;
};

// Sums of 16 outputs of a warp: in c[4j + i], output lane / 4 + i / 2 * 8 of row
// 8j + lane % 4 * 2 + i % 2.
template <class S, Layout kLayout, int kSums>
__device__ __forceinline__ void consume(const ChunkRing<S>& ring, int count, uint8_t* memory,
                                        int lane, float (&c)[kSums]) {
  uint32_t a[2][4][4];
  int slot = 0;
  uint32_t phase = 0;
  for (int i = 0; i < count; ++i) {
    const uint8_t* chunk = ring.wait(slot, phase);
    barrier_wait(S::x_full(memory, slot), phase);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const HalfChunk<kLayout> weights(chunk, half, lane);
      attend::mma_wait<1>();  // the unit has read a[half]
      if (half == 1 && i > 0 && lane == 0) {
        barrier_arrive(S::x_empty(memory, slot == 0 ? S::kStages - 1 : slot - 1));
      }
#pragma unroll
      for (int step = 0; step < 4; ++step) weights.operand(step, a[half][step]);
      __syncwarp();

      attend::mma_fence();
      const uint32_t x = shared_address(memory + slot * S::kStageBytes + half * S::kBoxBytes);
#pragma unroll
      for (uint32_t step = 0; step < 4; ++step) {
        multiply(c, a[half][step], attend::descriptor(x + 32 * step, 0));
      }
      attend::mma_commit();
    }
    ring.release(i, slot);
    if (++slot == S::kStages) {
      slot = 0;
      phase ^= 1;
    }
  }
  attend::mma_wait<0>();
  attend::pin(c);
}

}  // namespace hachi::ops::cuda::batch
