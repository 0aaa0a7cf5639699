// How the positions of single tokens are dealt out to workers. Those of few tokens in parts that
// depend on a token's own position alone; those of many in equal ranges, so that all workers end
// together, however long each sequence is.
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

// Tiles that a worker takes at once, one a warp: what positions of many tokens are counted in.
inline constexpr int kRound = 4;
// Rounds of a worker, at least.
__device__ __forceinline__ int least_rounds(DType cache) { return cache == DType::kF8E4M3 ? 2 : 1; }

// The last workers, which begin so much later that others have read so many rounds by then.
struct Late {
  int workers = 0, rounds = 0;
};

// The positions that a row sees.
struct Seen {
  int position, first_seen;
  int first_tile, tiles;

  Seen() = default;
  __device__ Seen(int at, const Attention& args)
      : position(at), first_seen(attend::first_seen(at, args.window)) {
    first_tile = first_seen / kTile;
    tiles = at / kTile + 1 - first_tile;
  }
  __device__ int rounds() const { return (tiles + kRound - 1) / kRound; }
};

// Parts of a row of few.
struct Parts {
  int tiles, number;

  Parts() = default;
  __device__ Parts(int all, const Attention& args, int most) {
    const int least = least_tiles(all, args.kv.dtype), round = least * most;
    tiles = least * ((all + round - 1) / round);
    number = (all + tiles - 1) / tiles;
  }
};

// What there is of all rows, in this order: of each row its heads, of each head its parts, or, of
// many rows, its rounds. In shared memory.
struct List {
  int first[kRowsALaunch + 1];  // of each row; the last is their number

  // By one warp.
  __device__ void make(const Attention& args, int first_row, int rows, int max_parts, int lane) {
    const int* positions = args.batch.positions + first_row;
    int before = 0;
    for (int base = 0; base < rows; base += 32) {
      int count = 0;
      if (base + lane < rows) {
        const Seen seen(positions[base + lane], args);
        const int of_head =
            rows > kFewRows ? seen.rounds() : Parts(seen.tiles, args, max_parts).number;
        count = of_head * static_cast<int>(args.num_kv_heads);
      }
      for (int lanes = 1; lanes < 32; lanes *= 2) {
        const int left = __shfl_up_sync(kAllLanes, count, lanes);
        if (lane >= lanes) count += left;
      }
      if (base + lane < rows) first[base + lane + 1] = before + count;
      before += __shfl_sync(kAllLanes, count, 31);
    }
    if (lane == 0) first[0] = 0;
  }
};

// The items of one worker, neighbours in the list: so the parts of a head are mostly its own. An
// item is a part, or of many rows all rounds of a head that the worker has.
struct Work {
  const Attention& args;
  const List& list;  // not made for a single row
  const int first_row, rows, max_parts;
  Late late;
  int worker, workers;
  bool spread;      // no worker has more than one item, of few rows
  int index, last;  // [index, last) of the list
  int row = 0;
  Seen seen;
  const int32_t* pages;  // of the row
  int head = 0;
  int begin = 0, end = 0;   // tiles
  int part = 0, parts = 1;  // of the head; this one
  int first_slot = 0;       // where the results of the head's parts are left
  int next_index = 0;
  bool has_last = false;  // the worker has the head's last tile

  __device__ Work(const Attention& a, const List& l, int first, int count, int most, Late lag)
      : args(a),
        list(l),
        first_row(first),
        rows(count),
        max_parts(most),
        late(lag),
        worker(static_cast<int>(blockIdx.x)),
        workers(static_cast<int>(gridDim.x)) {
    if (rows == 1) enter(0);
    const int total =
        rows == 1 ? of_few.number * static_cast<int>(args.num_kv_heads) : list.first[rows];
    if (of_many()) {
      share(total);
    } else {
      late = {};
    }
    spread = !of_many() && total <= workers;
    index = spread ? min(worker, total) : first_of(worker, total);
    last = spread ? min(worker + 1, total) : first_of(worker + 1, total);
    if (!valid()) return;
    if (rows > 1) enter(first_item_row());
    find();
  }
  __device__ bool valid() const { return index < last; }
  __device__ bool has_more() const { return next_index < last; }
  __device__ void next() {
    index = next_index;
    if (valid()) find();
  }

 private:
  Parts of_few;

  __device__ bool of_many() const { return rows > kFewRows; }
  // Which workers share so many rounds: each of them has one at least.
  __device__ void share(int total) {
    const int most = max(1, total / least_rounds(args.kv.dtype));
    const int early = workers - late.workers;
    if (workers > most) {
      workers = most;
      late = {};
    } else if (total < early * late.rounds + workers) {  // all is done when the others begin
      workers = early;
      late = {};
    }
  }
  // Worker w has [w*V/W - d*l, ...): of V, all and d more for each late worker, equal parts, and d
  // less for each late worker before it.
  __device__ int64_t with_lag(int total) const { return total + late.workers * late.rounds; }
  __device__ int first_of(int one, int total) const {
    one = min(one, workers);
    const int late_before = max(0, one - (workers - late.workers));
    return static_cast<int>(with_lag(total) * one / workers) - late_before * late.rounds;
  }
  // The worker that has this round: the last one whose first is not behind it.
  __device__ int worker_of(int round) const {
    const int64_t all = with_lag(list.first[rows]);
    const auto early = static_cast<int>((int64_t{round + 1} * workers - 1) / all);
    if (early < workers - late.workers) return early;
    const int64_t before = int64_t{workers - late.workers} * late.rounds;
    return static_cast<int>(((round + 1 - before) * workers - 1) / (all - workers * late.rounds));
  }
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
    seen = Seen(args.batch.positions[first_row + row], args);
    if (!of_many()) of_few = Parts(seen.tiles, args, max_parts);
  }
  __device__ void find() {
    if (rows > 1 && index >= list.first[row + 1]) enter(row + 1);
    const int at = rows > 1 ? index - list.first[row] : index;
    of_many() ? find_rounds(at) : find_part(at);
  }
  __device__ void find_part(int at) {
    parts = of_few.number;
    head = at / parts;
    part = at - head * parts;
    begin = seen.first_tile + part * of_few.tiles;
    end = min(begin + of_few.tiles, seen.first_tile + seen.tiles);
    first_slot = (row * static_cast<int>(args.num_kv_heads) + head) * max_parts;
    has_last = index + parts - part <= last;
    next_index = index + 1;
  }
  __device__ void find_rounds(int at) {
    const int rounds = seen.rounds();
    head = at / rounds;
    const int from = at - head * rounds, to = min(rounds, from + last - index);
    begin = seen.first_tile + from * kRound;
    end = seen.first_tile + min(to * kRound, seen.tiles);
    const int begins = index - from;  // the head
    first_slot = from == 0 ? worker : worker_of(begins);
    part = worker - first_slot;
    has_last = to == rounds;
    parts = (has_last ? worker : worker_of(begins + rounds - 1)) - first_slot + 1;
    next_index = index + to - from;
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
