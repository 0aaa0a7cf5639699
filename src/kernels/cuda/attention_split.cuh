// How the positions of single tokens are dealt out to workers. Parts depend on a token's own
// position alone, so its result does not depend on the batch.
#pragma once

#include "kernels/cuda/attention_device.cuh"

namespace hachi::ops::cuda::attend {

inline constexpr int kTile = 16;       // positions that a warp takes at once
inline constexpr int kLeastTiles = 4;  // of a part: one a warp

struct Split {
  int position, first_seen;
  int first_tile, tiles;
  int part_tiles, parts;

  Split() = default;
  __device__ Split(int at, int64_t window, int max_parts) : position(at) {
    first_seen = attend::first_seen(at, window);
    first_tile = first_seen / kTile;
    tiles = at / kTile + 1 - first_tile;
    const int round = kLeastTiles * max_parts;
    part_tiles = kLeastTiles * ((tiles + round - 1) / round);
    parts = (tiles + part_tiles - 1) / part_tiles;
  }
};

// The items of one worker in the list of all: rows, their heads, their parts.
struct Work {
  const Attention& args;
  const int first_row, rows, max_parts, step;
  int index;
  int row = -1;
  int row_items = 0, row_first = 0;
  Split split;
  int head = 0, part = 0, begin = 0, end = 0;  // tiles

  __device__ Work(const Attention& a, int first, int count, int parts, int worker, int workers)
      : args(a), first_row(first), rows(count), max_parts(parts), step(workers), index(worker) {
    find();
  }
  __device__ bool valid() const { return row < rows; }
  __device__ void next() {
    index += step;
    find();
  }

 private:
  __device__ void find() {
    while (row < rows && index >= row_first + row_items) {
      row_first += row_items;
      if (++row == rows) return;
      split = Split(args.batch.positions[first_row + row], args.window, max_parts);
      row_items = static_cast<int>(args.num_kv_heads) * split.parts;
    }
    const int item = index - row_first;
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
  __device__ int page() const {
    const DeviceBatch& batch = work.args.batch;
    return batch.pages[batch.first_page[work.first_row + work.row] + tile * kTile / kPage];
  }

 private:
  __device__ void settle() {
    while (work.valid() && tile >= work.end) {
      work.next();
      if (work.valid()) tile = work.begin + warp;
    }
  }
};

}  // namespace hachi::ops::cuda::attend
