// A block of the kernel for single tokens.
#pragma once

#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_ring.cuh"
#include "kernels/cuda/attention_tile.cuh"

namespace hachi::ops::cuda::attend {

inline constexpr int kWorkerWarps = 4;
inline constexpr int kWorkerThreads = 32 * kWorkerWarps;
inline constexpr int kMaxHeads = 8;    // of a kv head
inline constexpr int kGroupFours = 8;  // fours of results that are quantized together
inline constexpr float kLog2E = 1.44269504f;

template <class Cache, int kHeadDim>
struct Shared {
  // Parts of the results that a worker merges: kMaxParts of each eight, or of more with fewer
  // parts.
  static constexpr int kFours = kMaxHeads * kHeadDim / 4 + kGroupFours * kMaxParts;
  typename Ring<Cache, kHeadDim>::Memory rings[kWorkerWarps];
  union {
    float o[kWorkerWarps][kMaxHeads][kHeadDim];
    float4 part_o[kFours];
  };
  float2 part_sums[kFours];
  float2 sums[kWorkerWarps][kMaxHeads];
  List list;
  alignas(16) float query_norm[kHeadDim], key_norm[kHeadDim];
};

template <class Cache, int kHeadDim>
struct Worker {
  const Attention& args;
  Shared<Cache, kHeadDim>& shared;
  const int warp, gq, t, heads;  // heads of a kv head
  using OneTile = Tile<Cache, kHeadDim>;
  static constexpr int kParts = OneTile::kParts, kOwn = OneTile::kOwn;
  static constexpr int kKeyUnits = OneTile::kKeyUnits, kValueUnits = OneTile::kValueUnits;
  using StoredUnit = typename OneTile::Unit;
  using Row = QuadRow<kHeadDim>;
  OneTile tile;
  Sums<kHeadDim> sums;
  // Fours of results.
  static constexpr int kMerged = (kMaxHeads * kHeadDim / 4 + kWorkerThreads - 1) / kWorkerThreads;
  Merged merged[kMerged];
  bool merging = false;
  Words<kOwn / 2> q[Row::kChunks];
  StoredUnit new_key[Row::kChunks], new_value[kParts * kValueUnits];

  // Where the newest position is in the cache.
  __device__ StoredUnit* newest(void* cache, const Work& item) const {
    const int64_t page = item.pages[item.seen.position / kPage];
    return reinterpret_cast<StoredUnit*>(static_cast<char*>(cache) + page * args.kv.page_bytes +
                                         (int64_t{item.head} * kPage + item.seen.position % kPage) *
                                             (kHeadDim * Cache::kBytes));
  }

  // Weights, which no kernel writes.
  __device__ void load_norms() {
    for (int d = threadIdx.x; d < kHeadDim; d += kWorkerThreads) {
      if (args.query_norm != nullptr) shared.query_norm[d] = args.query_norm[d];
      if (args.key_norm != nullptr) shared.key_norm[d] = args.key_norm[d];
    }
    __syncthreads();
  }

  // q of the heads, one a quad, and the new key and value, in all quads the same.
  __device__ void prepare(const Work& item) {
    const int64_t row = item.first_row + item.row;
    auto head = [&](const void* x, int64_t number) {
      return static_cast<const __nv_bfloat16*>(x) + row * args.stride + number * kHeadDim;
    };
    Angles<kHeadDim> angles;
    angles.load(args.cos_sin + row * kHeadDim, args.interleaved, t);
    QuadRow<kHeadDim> query, key;
    query.clear();
    if (gq < heads) query.load(head(args.q, item.head * heads + gq), t);
    if constexpr (kParts == 1) key.load(head(args.k, item.head), t);  // together, if there is room
    Words<kOwn / 2> value[kParts * kValueUnits];
#pragma unroll
    for (int b = 0; b < kParts * kValueUnits; ++b) {
      value[b] =
          *reinterpret_cast<const Words<kOwn / 2>*>(head(args.v, item.head) + (8 * b + gq) * kOwn);
    }
    prepare_head(query, args.query_norm == nullptr ? nullptr : shared.query_norm, args.eps, angles,
                 args.interleaved, t, rounded<Cache, kOwn>, q);
    if (!item.has_last) return;
    if constexpr (kParts > 1) key.load(head(args.k, item.head), t);
    prepare_head(key, args.key_norm == nullptr ? nullptr : shared.key_norm, args.eps, angles,
                 args.interleaved, t, stored<Cache, kOwn>, new_key);
#pragma unroll
    for (int b = 0; b < kParts * kValueUnits; ++b) {
      float x[kOwn];
      unpack(value[b], x);
      new_value[b] = stored<Cache, kOwn>(x);
    }
  }

  // The newest position goes into the part of a tile that was loaded without it, and into the
  // cache.
  __device__ void put_key(const Work& item, int part) {
    const int slot = item.seen.position % kTile;
    if (gq != slot % 8) return;
    auto* row = newest(args.kv.keys, item) + 4 * part * kKeyUnits;
#pragma unroll
    for (int c = 0; c < kKeyUnits; ++c) {
      const StoredUnit unit = new_key[part * kKeyUnits + c];
      if (slot < 8) tile.k[0][c] = unit;
      if (slot >= 8) tile.k[1][c] = unit;
      row[4 * c + t] = unit;
    }
  }
  __device__ void put_value(const Work& item, int part) {
    const int slot = item.seen.position % kTile;
    auto* row = newest(args.kv.values, item) + 8 * part * kValueUnits;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (value_slot(i, t) != slot) continue;
#pragma unroll
      for (int b = 0; b < kValueUnits; ++b) {
        tile.v[i][b] = new_value[part * kValueUnits + b];
        row[8 * b + gq] = tile.v[i][b];
      }
    }
  }

  // Positions that are not seen may hold anything, also what is no number.
  __device__ void hide_scores(const Work& item, int at, float (&s)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int position = at * kTile + gq + 8 * (i / 2);
      if (position < item.seen.first_seen || position > item.seen.position) s[i] = kNone;
    }
  }
  __device__ void hide_values(const Work& item, int at) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int position = at * kTile + value_slot(i, t);
      if (position >= item.seen.first_seen && position <= item.seen.position) continue;
#pragma unroll
      for (int b = 0; b < kValueUnits; ++b) tile.v[i][b] = {};
    }
  }

  // One tile: `at`, of the item's. Its memory is free for the next one as soon as registers have
  // it.
  __device__ void step(const Work& item, int at, Ring<Cache, kHeadDim>& ring) {
    const bool last = at == item.seen.position / kTile;
    const bool border = last || at == item.seen.first_tile;
    ring.wait();
    float sums_of[2][4] = {};
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      tile.read_keys(ring.keys(), part, gq, t);
      if constexpr (kParts == 1) {
        tile.read_values(ring.values(), part, gq, t);
        ring.next();
      }
      if (last) put_key(item, part);
      tile.add_scores(q + part * kKeyUnits, sums_of);
    }
    const float scale = args.score_scale * kLog2E;
    float s[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) s[i] = (sums_of[0][i] + sums_of[1][i]) * scale;
    if (border) hide_scores(item, at, s);
    uint32_t low, high;
    sums.template weigh<Cache>(s, low, high);
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      if constexpr (kParts > 1) tile.read_values(ring.values(), part, gq, t);
      if (last) put_value(item, part);
      if (border) hide_values(item, at);
      tile.add_values(low, high, sums.o + part * OneTile::kPairs);
    }
    if constexpr (kParts > 1) ring.next();
  }

  // The warps' sums to shared memory.
  __device__ void gather() {
    sums.finish();
    __syncthreads();  // the item before is done with
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int head = 2 * t + c;
      if (head >= heads) continue;
      if (gq == 0) shared.sums[warp][head] = make_float2(sums.top[c], sums.total[c]);
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const auto* o = sums.o + part * OneTile::kPairs;
        float* to = shared.o[warp][head] + part * OneTile::kPart;
        auto result = [&](int i) { return OneTile::result(o, i, c); };
#pragma unroll
        for (int i = 0; i < 2 * OneTile::kPairs; i += 4) {
          *reinterpret_cast<float4*>(to + OneTile::place(i, gq)) =
              make_float4(result(i), result(i + 1), result(i + 2), result(i + 3));
        }
      }
    }
    __syncthreads();
  }

  // Four results of the part that was gathered, from the i-th four on, and their sums.
  __device__ void merge_warps(int i, float2& part_sums, float4& part_o) const {
    const int head = i / (kHeadDim / 4);
    Merged all;
#pragma unroll
    for (int w = 0; w < kWorkerWarps; ++w) {
      all.add(shared.sums[w][head],
              reinterpret_cast<const float4*>(shared.o[w][head])[i % (kHeadDim / 4)]);
    }
    part_sums = make_float2(all.top, all.total);
    part_o = all.o;
  }

  __device__ Unit* unit(const Work& item, int part, int i) const {
    const int64_t slot = item.first_slot + part;
    return static_cast<Unit*>(args.workspace) + (slot * heads * (kHeadDim / 4) + i) * 2;
  }

  // Adds the parts from `first` on, as soon as they are there.
  __device__ void merge_parts(const Work& item, int first, int i, Merged& into) const {
    constexpr int kAtOnce = 8;  // loads in flight
    for (const int end = item.parts; first < end; first += kAtOnce) {
      float2 part_sums[kAtOnce];
      float4 part_o[kAtOnce];
      bool all = false;
      while (!all) {
        all = true;
#pragma unroll
        for (int p = 0; p < kAtOnce; ++p) {
          all &= load_part(unit(item, min(first + p, end - 1), i), part_sums[p], part_o[p]);
        }
      }
#pragma unroll
      for (int p = 0; p < kAtOnce; ++p) {
        if (first + p < end) into.add(part_sums[p], part_o[p]);
      }
    }
  }
  __device__ void empty_parts(const Work& item, int first, int i) const {
    for (int p = first; p < item.parts; ++p) empty_unit(unit(item, p, i));
  }

  // The part of `item` is done. It is merged here if the first part of its head was done here, else
  // left for the worker that did that. What a worker waits for are then the first items of others,
  // which wait for nothing.
  __device__ void finish_range(const Work& item) {
    if (item.part == 0) merging = true;
    const int count = heads * kHeadDim / 4, next = item.part + 1;
    const bool ends = merging && (next == item.parts || !item.has_more());
#pragma unroll
    for (int m = 0; m < kMerged; ++m) {
      const int i = static_cast<int>(threadIdx.x) + m * kWorkerThreads;
      if (m * kWorkerThreads >= count) break;
      const bool active = i < count;
      if (active) {
        float2 part_sums;
        float4 o;
        merge_warps(i, part_sums, o);
        if (!merging) store_part(unit(item, item.part, i), part_sums, o);
        if (item.part == 0) merged[m] = Merged();
        merged[m].add(part_sums, o);
        if (ends) merge_parts(item, next, i, merged[m]);
      }
      if (!ends) continue;
      put_merged(item, i, merged[m], active);
      if (active) empty_parts(item, next, i);
    }
  }

  __device__ void put_merged(const Work& item, int i, const Merged& m, bool active) const {
    const float f = 1.0f / m.total;
    put(args, item.first_row + item.row, int64_t{item.head} * heads * kHeadDim + 4 * i,
        make_float4(m.o.x * f, m.o.y * f, m.o.z * f, m.o.w * f), active);
  }

  // Each worker of a head has one part: each merges some of the results, in eights of fours.
  __device__ void finish_spread(const Work& item) {
    const int count = heads * kHeadDim / 4, parts = item.parts;
    for (int i = threadIdx.x; i < count; i += kWorkerThreads) {
      float2 part_sums;
      float4 o;
      merge_warps(i, part_sums, o);
      store_part(unit(item, item.part, i), part_sums, o);
    }
    const int eights = (count / kGroupFours - item.part + parts - 1) / parts;
    if (eights <= 0) return;
    const int own = eights * kGroupFours;
    auto four = [&](int f) {
      return (item.part + f / kGroupFours * parts) * kGroupFours + f % kGroupFours;
    };
    __syncthreads();  // the memory has a second use
    for (int k = threadIdx.x; k < own * parts; k += kWorkerThreads) {
      Unit* from = unit(item, k / own, four(k % own));
      while (!load_part(from, shared.part_sums[k], shared.part_o[k])) continue;
    }
    __syncthreads();
    for (int first = 0; first < own; first += kWorkerThreads) {
      const int f = first + static_cast<int>(threadIdx.x);
      Merged m;
      if (f < own) {
#pragma unroll 8
        for (int p = 0; p < parts; ++p) {
          m.add(shared.part_sums[p * own + f], shared.part_o[p * own + f]);
        }
      }
      put_merged(item, four(f), m, f < own);
    }
    for (int k = threadIdx.x; k < own * parts; k += kWorkerThreads) {
      empty_unit(unit(item, k / own, four(k % own)));
    }
  }

  __device__ void finish(const Work& item) {
    gather();
    if (item.spread && item.parts > 1) {
      finish_spread(item);
    } else {
      finish_range(item);
    }
  }
};

}  // namespace hachi::ops::cuda::attend
