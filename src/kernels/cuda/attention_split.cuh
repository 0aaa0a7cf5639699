// How the positions of single tokens are dealt out to workers. Parts of few tokens depend on a
// token's own position alone. Those of many are larger, as the end of a part costs a worker about
// what ten tiles do.
#pragma once

#include "kernels/cuda/attention_device.cuh"
#include "kernels/cuda/attention_parts.h"

namespace hachi::ops::cuda::attend {

inline constexpr int kTile = 16;  // positions that a warp takes at once
// Tiles of a part, at least. One a warp is soonest done; with more parts than a merge takes at
// once, two a warp, which are copied together. Tiles of e4m3 are so small that what comes with each
// part would take longer than they do.
__device__ __forceinline__ int least_tiles(int tiles, DType cache) {
  return tiles <= 64 && cache != DType::kF8E4M3 ? 4 : 8;
}

struct Split {
  int position, first_seen;
  int first_tile, tiles;
  int part_tiles, parts;

  Split() = default;
  // `wanted`: tiles of a part, of many tokens; else 0.
  __device__ Split(int at, const Attention& args, int max_parts, int wanted) : position(at) {
    first_seen = attend::first_seen(at, args.window);
    first_tile = first_seen / kTile;
    tiles = at / kTile + 1 - first_tile;
    const int least = max(least_tiles(tiles, args.kv.dtype), wanted), round = least * max_parts;
    part_tiles = least * ((tiles + round - 1) / round);
    parts = (tiles + part_tiles - 1) / part_tiles;
    if (wanted == 0) return;
    part_tiles = ((tiles + parts - 1) / parts + kWholeRound - 1) / kWholeRound * kWholeRound;
    parts = (tiles + part_tiles - 1) / part_tiles;
  }

 private:
  static constexpr int kWholeRound = 4;  // tiles, one a warp of a worker
};

// The list of all items: rows, their heads, their parts. In shared memory.
struct List {
  int first[kRowsALaunch + 1];  // of each row; the last is their number
  int wanted;                   // tiles of a part

  // By one warp.
  __device__ void make(const Attention& args, int first_row, int rows, int max_parts, int lane) {
    const int* positions = args.batch.positions + first_row;
    const int part = rows > kFewRows ? part_of_many(args, positions, rows, lane) : 0;
    if (lane == 0) wanted = part;
    int before = 0;
    for (int base = 0; base < rows; base += 32) {
      int items = 0;
      if (base + lane < rows) {
        const Split split(positions[base + lane], args, max_parts, part);
        items = split.parts * static_cast<int>(args.num_kv_heads);
      }
      for (int lanes = 1; lanes < 32; lanes *= 2) {
        const int left = __shfl_up_sync(kAllLanes, items, lanes);
        if (lane >= lanes) items += left;
      }
      if (base + lane < rows) first[base + lane + 1] = before + items;
      before += __shfl_sync(kAllLanes, items, 31);
    }
    if (lane == 0) first[0] = 0;
  }

 private:
  // So that each worker has some four parts.
  static __device__ int part_of_many(const Attention& args, const int* positions, int rows,
                                     int lane) {
    constexpr int kPartsEach = 4;
    int tiles = 0;
    for (int row = lane; row < rows; row += 32) {
      tiles += positions[row] / kTile + 1 - first_seen(positions[row], args.window) / kTile;
    }
    const int all = __reduce_add_sync(kAllLanes, tiles) * static_cast<int>(args.num_kv_heads);
    const int parts = kPartsEach * static_cast<int>(gridDim.x);
    return (all + parts - 1) / parts;
  }
};

// The items of one worker, neighbours in the list: so the parts of a head are mostly its own.
struct Work {
  const Attention& args;
  const List& list;  // not made for a single row
  const int first_row, rows, max_parts;
  bool spread;      // no worker has more than one item
  int index, last;  // items [index, last)
  int row = 0;
  Split split;
  const int32_t* pages;                        // of the row
  int head = 0, part = 0, begin = 0, end = 0;  // tiles

  __device__ Work(const Attention& a, const List& l, int first, int count, int parts, int worker,
                  int workers)
      : args(a), list(l), first_row(first), rows(count), max_parts(parts) {
    if (rows == 1) enter(0);
    const int64_t items = rows == 1 ? split.parts * args.num_kv_heads : list.first[rows];
    spread = items <= workers;
    index = spread ? worker : static_cast<int>(items * worker / workers);
    last = spread ? min(static_cast<int>(items), worker + 1)
                  : static_cast<int>(items * (worker + 1) / workers);
    if (!valid()) return;
    if (rows > 1) enter(first_item_row());
    find();
  }
  __device__ bool valid() const { return index < last; }
  __device__ bool has_more() const { return index + 1 < last; }
  __device__ bool has_last_part() const { return index + split.parts - part <= last; }
  __device__ void next() {
    ++index;
    if (valid()) find();
  }

 private:
  __device__ int first_item_row() const {
    int low = 0, high = rows;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (list.first[middle] <= index ? low : high) = middle;
    }
    return low;
  }
  __device__ void enter(int next_row) {
    row = next_row;
    pages = args.batch.pages + args.batch.first_page[first_row + row];
    split =
        Split(args.batch.positions[first_row + row], args, max_parts, rows > 1 ? list.wanted : 0);
  }
  __device__ void find() {
    if (rows > 1 && index >= list.first[row + 1]) enter(row + 1);
    const int item = rows > 1 ? index - list.first[row] : index;
    head = item / split.parts;
    part = item - head * split.parts;
    begin = split.first_tile + part * split.part_tiles;
    end = min(begin + split.part_tiles, split.first_tile + split.tiles);
  }
};

// The tiles of one warp, item after item: what is to be loaded next.
struct Ahead {
  Work work;
  const int warp, warps;
  int tile = 0;

  __device__ Ahead(const Work& first, int own, int all) : work(first), warp(own), warps(all) {
    if (work.valid()) tile = work.begin + warp;
    settle();
  }
  __device__ bool valid() const { return work.valid(); }
  __device__ void next() {
    tile += warps;
    settle();
  }
  __device__ int page() const { return work.pages[tile * kTile / kPage]; }

 private:
  __device__ void settle() {
    while (work.valid() && tile >= work.end) {
      work.next();
      if (work.valid()) tile = work.begin + warp;
    }
  }
};

}  // namespace hachi::ops::cuda::attend
