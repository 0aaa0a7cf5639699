// Attention of many tokens: a block has 128 rows (tokens times the heads of one kv head). A CTA a
// multiprocessor takes blocks, with two warpgroups of 64 rows each that multiply, and one that
// loads tiles of 128 positions from the pages, ahead into the next block. Each warpgroup has the
// scores of the next tile computed while it weighs values with those of the last.
//
// Sources: Dao 2023, arXiv 2307.08691; Shah et al. 2024, arXiv 2407.08608.
#include <algorithm>

#include "kernels/cuda/attention_flash_load.cuh"
#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tensor_map.cuh"

namespace hachi::ops::cuda::attend {
namespace {

constexpr int kThreads = 32 * kWarps;
constexpr float kLog2E = 1.44269504f;

template <class Cache, int kHeadDim>
struct Group {
  static constexpr bool kBf16 = Cache::kType == DType::kBF16;
  static constexpr int kTilePositions = kPositions<kHeadDim>;
  // Bytes from one 64 elements of a row to the next.
  static constexpr int kNextInRow = kRows * 128, kNextInTile = kTilePositions * 128;
  static constexpr int kParts = kHeadDim <= 128 ? 1 : kHeadDim / 128;  // of the results
  static constexpr int kSums = 32 * kMatrices<kHeadDim> / kParts;      // of a lane and part
  static constexpr bool kReadsAhead = kHeadDim <= 128;                 // registers hold the next q
  const Attention& args;
  FlashShared<kHeadDim>& shared;
  const int group;  // 0 or 1
  const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
  const int gq = lane / 4, t = lane % 4;
  Block block;
  Turn blocks, keys, values;
  QuadRow<kHeadDim> queries[2];  // as they come: rows query_row(0 and 1)
  float o[kParts][kSums];
  RowSums sums;

  __device__ char* rows() const { return shared.rows + group * kGroupRows * 128; }
  __device__ int own_row(int r) const { return group * kGroupRows + warp * 16 + gq + 8 * r; }

  // Four lanes have a row of q, and a warp the 16 rows whose results it stores.
  __device__ int query_row(int i) const { return warp * 16 + 8 * i + gq; }

  __device__ void read_rows() {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int in_block = group * kGroupRows + query_row(i);
      queries[i].clear();
      if (!block.valid(in_block)) continue;
      const int head = block.head * block.heads + in_block % block.heads;
      queries[i].load(static_cast<const __nv_bfloat16*>(args.q) +
                          block.token(in_block) * args.stride + head * kHeadDim,
                      t);
    }
  }

  // q, normed and rotated, in the type of the cache.
  __device__ void prepare_rows() {
    constexpr int kOwn = kUnit<kHeadDim>;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = query_row(i), in_block = group * kGroupRows + row;
      const int64_t token = block.token(block.valid(in_block) ? in_block : 0);
      Angles<kHeadDim> angles;
      angles.load(args.cos_sin + token * kHeadDim, args.interleaved, t);
      Words<kOwn / 2> q[QuadRow<kHeadDim>::kChunks];
      prepare_head(queries[i], args.query_norm, args.eps, angles, args.interleaved, t,
                   rounded<Cache, kOwn>, q);
#pragma unroll
      for (int c = 0; c < QuadRow<kHeadDim>::kChunks; ++c) {
        const int at = QuadRow<kHeadDim>::at(c, t), unit = at / 8;
        *reinterpret_cast<Words<kOwn / 2>*>(rows() + unit / 8 * kNextInRow +
                                            swizzled(row, unit % 8) + at % 8 * 2) = q[c];
      }
    }
    show_to_matrix_unit();
    group_barrier(1 + group, 128);
  }

  __device__ void begin_scores(float (&s)[kTilePositions / 2], int stage) {
    const uint32_t keys = shared_address(shared.keys[stage]), own = shared_address(rows());
    pin(s);
    mma_fence();
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
      const int unit = k % 4 * 32;
      mma_shared<kBf16>(s, descriptor(own + k / 4 * kNextInRow + unit, 16),
                        descriptor(keys + k / 4 * kNextInTile + unit, 16), k > 0);
    }
    mma_commit();
  }
  __device__ void begin_values(const uint32_t (&p)[kTilePositions / 16][4], int stage) {
    const uint32_t values = shared_address(shared.values[stage]);
    pin_results();
    mma_fence();
#pragma unroll
    for (int k = 0; k < kTilePositions / 16; ++k) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        mma_registers<kBf16>(
            o[part], p[k], descriptor(values + part * 2 * kNextInTile + k * 16 * 128, kNextInTile));
      }
    }
    mma_commit();
  }
  __device__ void pin_results() {
#pragma unroll
    for (int part = 0; part < kParts; ++part) pin(o[part]);
  }

  __device__ void shrink_results() {
#pragma unroll
    for (int part = 0; part < kParts; ++part) sums.shrink(o[part]);
  }

  // Hides what a row does not see, in tiles where that may be.
  __device__ void hide(float (&s)[kTilePositions / 2], int tile) const {
    const int first = tile * kTilePositions, last = first + kTilePositions - 1;
    if (last <= block.position(group * kGroupRows) &&
        (args.window <= 0 || first >= first_seen(block.last_seen, args.window))) {
      return;
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int position = block.position(own_row(r));
      const int low = first_seen(position, args.window);
#pragma unroll
      for (int j = 0; j < kTilePositions / 8; ++j) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int at = first + 8 * j + 2 * t + c;
          if (at > position || at < low) s[4 * j + 2 * r + c] = kNone;
        }
      }
    }
  }

  __device__ static void pack(const float (&s)[kTilePositions / 2],
                              uint32_t (&p)[kTilePositions / 16][4]) {
#pragma unroll
    for (int k = 0; k < kTilePositions / 16; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) p[k][i] = Cache::word(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
    }
  }

  __device__ void release(uint64_t& barrier) const {
    if (lane == 0) barrier_arrive(shared_address(&barrier));
  }

  __device__ void run() {
    block = shared.take_block(blocks);
    if (kReadsAhead) read_rows();
    while (block.tokens > 0) {
      if (!kReadsAhead) read_rows();
      prepare_rows();
      clear();
      uint32_t p[kTilePositions / 16][4];
      multiply(p);
      barrier_wait(shared_address(&shared.values_full[values.stage]), values.phase);
      begin_values(p, values.stage);
      // The next rows come while the last tile is multiplied and the results are stored.
      const Block done = block;
      block = shared.take_block(blocks);
      if (kReadsAhead) read_rows();
      mma_wait<0>();
      pin_results();
      release(shared.values_empty[values.stage]);
      values.next();
      store(done);
    }
  }
  __device__ void clear() {
    sums = {};
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) o[part][i] = 0;
    }
  }

  // All of the block's tiles, but for the values of the last: p is what weighs them.
  __device__ void multiply(uint32_t (&p)[kTilePositions / 16][4]) {
    const float scale = args.score_scale * kLog2E;
    float s[kTilePositions / 2];
    barrier_wait(shared_address(&shared.keys_full[keys.stage]), keys.phase);
    begin_scores(s, keys.stage);
    mma_wait<0>();
    pin(s);
    release(shared.keys_empty[keys.stage]);
    keys.next();
    hide(s, block.first_tile);
    sums.weigh(s, scale);
    pack(s, p);
    for (int tile = block.first_tile + 1; tile < block.end_tile; ++tile) {
      barrier_wait(shared_address(&shared.keys_full[keys.stage]), keys.phase);
      begin_scores(s, keys.stage);
      barrier_wait(shared_address(&shared.values_full[values.stage]), values.phase);
      begin_values(p, values.stage);
      mma_wait<1>();
      pin(s);
      release(shared.keys_empty[keys.stage]);
      keys.next();
      hide(s, tile);
      sums.weigh(s, scale);
      mma_wait<0>();
      pin_results();
      release(shared.values_empty[values.stage]);
      values.next();
      if (sums.grown) shrink_results();
      pack(s, p);
    }
  }

  // Through shared memory, where q is not needed any more, so that whole rows are written.
  __device__ void store(const Block& done) {
    sums.finish();
    group_barrier(1 + group, 128);
    const int row = warp * 16 + gq;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float f = 1.0f / sums.total[r];
#pragma unroll
      for (int j = 0; j < kHeadDim / 8; ++j) {
        char* to = rows() + j / 8 * kNextInRow + swizzled(row + 8 * r, j % 8) + t * 4;
        const float* two = &o[j / 16][4 * (j % 16) + 2 * r];
        *reinterpret_cast<uint32_t*>(to) = to_bf16_pair(two[0] * f, two[1] * f);
      }
    }
    __syncwarp();
    constexpr int kUnits = kHeadDim / 8;
#pragma unroll
    for (int i = lane; i < 16 * kUnits; i += 32) {
      const int in_warp = warp * 16 + i / kUnits, unit = i % kUnits;
      const int in_block = group * kGroupRows + in_warp;
      if (!done.valid(in_block)) continue;
      const int head = done.head * done.heads + in_block % done.heads;
      auto* to = static_cast<__nv_bfloat16*>(args.y) +
                 (done.token(in_block) * args.num_heads + head) * kHeadDim + unit * 8;
      *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(
          rows() + unit / 8 * kNextInRow + swizzled(in_warp, unit % 8));
    }
    __syncwarp();
  }
};

template <class Cache, int kHeadDim>
__global__ void __launch_bounds__(kThreads, 1) flash_kernel(const __grid_constant__ Mapped mapped) {
  extern __shared__ char memory[];
  auto& shared = *reinterpret_cast<FlashShared<kHeadDim>*>(
      memory + (1024 - shared_address(memory) % 1024) % 1024);
  if (threadIdx.x == 0) shared.make_barriers();
  __syncthreads();
  wait_for_earlier_kernels();
  launch_dependents();  // only now: see one_kernel()
  // Of 168 a thread. Tiles that are converted pass through registers.
  constexpr int kOfLoads = Cache::kBytes == 2 ? 56 : 72;
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kOfLoads));
    bulk_copy_fence();
    load_blocks<Cache>(mapped, shared);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"((3 * 168 - kOfLoads) / 2));
    Group<Cache, kHeadDim> group{mapped.args, shared, static_cast<int>(threadIdx.x) / 128 - 1};
    group.run();
  }
}

// As many pages as the numbers of pages can name: how many there are is not known here.
CUtensorMap map_pages(const void* cache, const Attention& args) {
  const auto encode = tensor_map_encoder();
  const auto width = static_cast<cuuint64_t>(args.head_dim);
  const cuuint64_t sizes[3] = {width, static_cast<cuuint64_t>(args.num_kv_heads) * kPage,
                               cuuint64_t{1} << 31};
  const cuuint64_t steps[2] = {width * 2, static_cast<cuuint64_t>(args.kv.page_bytes)};
  const cuuint32_t box[3] = {64, kPage, 1}, each[3] = {1, 1, 1};
  CUtensorMap map;
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT16, 3, const_cast<void*>(cache), sizes, steps, box,
             each, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CHECK(result == CUDA_SUCCESS);
  return map;
}

template <class Cache, int kHeadDim>
Beside run_many(Stream stream, const Attention& args, int64_t max_context) {
  constexpr int kShared = sizeof(FlashShared<kHeadDim>) + 1024;  // and room to align it
  auto* kernel = flash_kernel<Cache, kHeadDim>;
  once_a_device([&] {
    CHECK_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
    return true;
  });
  // At most so many blocks: each sequence may have one that is not full.
  const int64_t tokens = kRows / (args.num_heads / args.num_kv_heads);
  const int64_t left = args.batch.num_tokens - args.batch.num_skipped;
  const int64_t blocks =
      left / tokens + std::min(args.batch.num_sequences - args.batch.num_skipped, left);
  const int64_t ctas =
      std::min(blocks * args.num_kv_heads, static_cast<int64_t>(num_multiprocessors()));
  Mapped mapped{args, {}, {}};
  if (Cache::kBytes == 2) {
    mapped.keys = map_pages(args.kv.keys, args), mapped.values = map_pages(args.kv.values, args);
  }
  launch(stream, kernel, dim3(static_cast<unsigned>(ctas)), kThreads, kShared, mapped);
  if (ctas < blocks * args.num_kv_heads) return {};
  constexpr double kFirstUs = 7, kTileUs = 2.4;  // beside single tokens, on an H100
  const auto tiles = (max_context + kPositions<kHeadDim> - 1) / kPositions<kHeadDim>;
  return {ctas, kFirstUs + kTileUs * static_cast<double>(tiles)};
}

template <class Cache>
Beside run_many_of(Stream stream, const Attention& args, int64_t max_context) {
  Beside running;
  with_width(args.head_dim, [&](auto width) {
    running = run_many<Cache, decltype(width)::value>(stream, args, max_context);
  });
  return running;
}

}  // namespace

bool many_is_fast(const Attention& args) {
  return args.type == DType::kBF16 && args.kv.dtype != DType::kF32 &&
         is_fast_width(args.head_dim) && args.num_heads / args.num_kv_heads <= kRows;
}

Beside fast_many(Stream stream, const Attention& args, int64_t max_context) {
  switch (args.kv.dtype) {
    case DType::kBF16:
      return run_many_of<Bf16Cache>(stream, args, max_context);
    case DType::kF16:
      return run_many_of<F16Cache>(stream, args, max_context);
    default:
      return run_many_of<F8Cache>(stream, args, max_context);
  }
}

}  // namespace hachi::ops::cuda::attend
