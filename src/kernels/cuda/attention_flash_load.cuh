// How the blocks of the kernel for many tokens get to the warps of a CTA, and their tiles into
// shared memory.
#pragma once

#include "kernels/cuda/attention_flash.cuh"

namespace hachi::ops::cuda::attend {

// Hands blocks to the warps of a CTA. The first warp does, between the last keys and the last
// values of the block before, when it would wait anyway. The first block is the CTA's own; whoever
// gets so far takes the next. The longest come first, so that all CTAs end at about one time.
template <int kHeadDim>
struct Dealer {
  const Attention& args;
  FlashShared<kHeadDim>& shared;
  int number = static_cast<int>(blockIdx.x);  // counted as find_block() does, heads within
  Turn turn;

  __device__ void deal() {
    if (threadIdx.x >= 32) return;
    const int kv_heads = static_cast<int>(args.num_kv_heads);
    Block block = {};
    if (!find_block(args, number / kv_heads, number % kv_heads, kPositions<kHeadDim>, block)) {
      block.tokens = 0;
    }
    barrier_wait(shared_address(&shared.blocks_empty[turn.stage]), turn.phase ^ 1);
    if (threadIdx.x == 0) {
      shared.blocks[turn.stage] = block;
      barrier_arrive(shared_address(&shared.blocks_full[turn.stage]));
    }
    turn.next();
  }
  __device__ void deal_next() {
    if (threadIdx.x == 0) number = static_cast<int>(gridDim.x) + atomicAdd(turns_of(args), 1);
    number = __shfl_sync(kAllLanes, number, 0);
    deal();
  }
};

// Loads tiles: 128 threads, each the same 8 elements of every 8th (or 16th) row, and of wide heads
// those 128 on too. Positions that no row of the block sees become zeros: their pages may hold no
// numbers, or be gone.
template <class Cache, int kHeadDim>
struct Loader {
  static constexpr int kTilePositions = kPositions<kHeadDim>;
  static constexpr int kPasses = kMatrices<kHeadDim> > 2 ? kMatrices<kHeadDim> / 2 : 1;
  static constexpr int kUnits = 8 * kMatrices<kHeadDim> / kPasses;  // of a row and pass
  static constexpr int kStep = 128 / kUnits;                        // rows from copy to copy
  static constexpr int kCopies = kTilePositions / kStep * kPasses;  // of a thread and tile
  using RawUnit = Raw<Cache, 8>;

  const Attention& args;
  const Block& block;
  const int32_t* pages;
  int unit, row, to;  // `to`: offset in a tile

  __device__ Loader(const Attention& a, const Block& b)
      : args(a),
        block(b),
        pages(a.batch.pages + a.batch.first_page[b.sequence]),
        unit(threadIdx.x % kUnits),
        row(threadIdx.x % 128 / kUnits),
        to(unit / 8 * (kTilePositions * 128) + swizzled(row, unit % 8)) {}

  // Where the thread's copy i goes.
  __device__ int place(int i) const {
    return to + i / kPasses * (kStep * 128) + i % kPasses * (2 * kTilePositions * 128);
  }

  // Calls f(copy, where it is, whether it is seen) for each of the thread's copies.
  template <class F>
  __device__ void each(const void* cache, int number, F f) const {
    constexpr int kPageSteps = kPage / kStep, kRowBytes = kHeadDim * Cache::kBytes;
    if (8 * unit >= kHeadDim) return;
#pragma unroll
    for (int p = 0; p < kTilePositions / kPage; ++p) {
      const int first = number * kTilePositions + p * kPage;
      const bool any = first <= block.last_seen && first + kPage > block.first_seen;
      const int64_t page = any ? pages[first / kPage] : 0;
      const char* from = static_cast<const char*>(cache) + page * args.kv.page_bytes +
                         (int64_t{block.head} * kPage + row) * kRowBytes + unit * sizeof(RawUnit);
#pragma unroll
      for (int c = 0; c < kPageSteps; ++c) {
        const int position = first + row + c * kStep;
        const bool seen = position >= block.first_seen && position <= block.last_seen;
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          f((p * kPageSteps + c) * kPasses + pass,
            from + c * kStep * kRowBytes + pass * 128 * Cache::kBytes, seen);
        }
      }
    }
  }
  __device__ void copy(uint32_t tile, const void* cache, int number) const {
    each(cache, number,
         [&](int i, const char* from, bool seen) { copy_16(tile + place(i), from, seen); });
    copy_commit();
  }
  __device__ void read(const void* cache, int number, RawUnit (&raw)[kCopies]) const {
    each(cache, number, [&](int i, const char* from, bool seen) {
      raw[i] = seen ? *reinterpret_cast<const RawUnit*>(from) : RawUnit{};
    });
  }
  __device__ void convert(char* tile, const RawUnit (&raw)[kCopies]) const {
    if (8 * unit >= kHeadDim) return;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      *reinterpret_cast<Words<4>*>(tile + place(i)) = widened<Cache, 8>(raw[i]);
    }
  }
};

// Copies tiles as they are: the copy engine those that the block sees whole. At its edges copies of
// 16 bytes leave zeros where nothing is seen.
template <class Cache, int kHeadDim>
struct Copier {
  static constexpr int kTilePositions = kPositions<kHeadDim>;
  static constexpr int kBoxes = kTilePositions / kPage * kMatrices<kHeadDim>;  // of a tile
  const Loader<Cache, kHeadDim> loader;

  __device__ bool whole(int tile) const {
    const int first = tile * kTilePositions;
    return first >= loader.block.first_seen && first + kTilePositions - 1 <= loader.block.last_seen;
  }
  // The first warp's lanes have a box each: 64 elements of the positions of a page.
  __device__ void copy_boxes(char* tile, const CUtensorMap& map, int number, uint32_t full) const {
    const int lane = static_cast<int>(threadIdx.x);
    if (lane == 0) {
      barrier_expect(full, FlashShared<kHeadDim>::kTileBytes);
    } else {
      barrier_arrive(full);
    }
    if (lane >= 32) return;
    __syncwarp();
    if (lane < kBoxes) {
      const int page = lane / kMatrices<kHeadDim>, matrix = lane % kMatrices<kHeadDim>;
      tensor_copy(shared_address(tile) + matrix * (kTilePositions * 128) + page * (kPage * 128),
                  &map, matrix * 64, loader.block.head * kPage,
                  loader.pages[number * (kTilePositions / kPage) + page], full);
    }
  }
  __device__ void copy(char* tile, const CUtensorMap& map, const void* cache, int number,
                       uint32_t full) const {
    if (whole(number)) return copy_boxes(tile, map, number, full);
    loader.copy(shared_address(tile), cache, number);
    copy_wait();
    show_to_matrix_unit();
    barrier_arrive(full);
  }
};

template <class Cache, int kHeadDim>
__device__ void copy_tiles(const Mapped& mapped, const Block& block, Dealer<kHeadDim>& dealer,
                           Turn& turn) {
  const Attention& args = mapped.args;
  FlashShared<kHeadDim>& shared = dealer.shared;
  const Copier<Cache, kHeadDim> copier{{args, block}};
  for (int tile = block.first_tile; tile < block.end_tile; ++tile, turn.next()) {
    const int s = turn.stage;
    barrier_wait(shared_address(&shared.keys_empty[s]), turn.phase ^ 1);
    copier.copy(shared.keys[s], mapped.keys, args.kv.keys, tile,
                shared_address(&shared.keys_full[s]));
    if (tile + 1 == block.end_tile) dealer.deal_next();
    barrier_wait(shared_address(&shared.values_empty[s]), turn.phase ^ 1);
    copier.copy(shared.values[s], mapped.values, args.kv.values, tile,
                shared_address(&shared.values_full[s]));
  }
}

// Tiles of a cache that has to be converted come through registers, a matrix at a time.
template <class Cache, int kHeadDim>
__device__ void convert_tiles(const Attention& args, const Block& block, Dealer<kHeadDim>& dealer,
                              Turn& turn) {
  FlashShared<kHeadDim>& shared = dealer.shared;
  const Loader<Cache, kHeadDim> loader(args, block);
  auto convert = [&](char* tile, const void* cache, int number, uint64_t& empty, uint64_t& full) {
    Raw<Cache, 8> raw[Loader<Cache, kHeadDim>::kCopies];
    loader.read(cache, number, raw);
    barrier_wait(shared_address(&empty), turn.phase ^ 1);
    loader.convert(tile, raw);
    show_to_matrix_unit();
    barrier_arrive(shared_address(&full));
  };
  for (int tile = block.first_tile; tile < block.end_tile; ++tile, turn.next()) {
    const int s = turn.stage;
    convert(shared.keys[s], args.kv.keys, tile, shared.keys_empty[s], shared.keys_full[s]);
    if (tile + 1 == block.end_tile) dealer.deal_next();
    convert(shared.values[s], args.kv.values, tile, shared.values_empty[s], shared.values_full[s]);
  }
}

// The keys and values of all of the CTA's blocks, ahead of the warps that multiply.
template <class Cache, int kHeadDim>
__device__ void load_blocks(const Mapped& mapped, FlashShared<kHeadDim>& shared) {
  const Attention& args = mapped.args;
  Dealer<kHeadDim> dealer{args, shared};
  Turn blocks, tiles;
  dealer.deal();
  while (true) {
    const Block block = shared.take_block(blocks);
    if (block.tokens == 0) return;
    if constexpr (Cache::kBytes == 2) {
      copy_tiles<Cache>(mapped, block, dealer, tiles);
    } else {
      convert_tiles<Cache>(args, block, dealer, tiles);
    }
  }
}

}  // namespace hachi::ops::cuda::attend
