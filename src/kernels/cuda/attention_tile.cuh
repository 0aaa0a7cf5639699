// One warp's share of the attention of one token: tiles of 16 positions. K's rows are positions, so
// that the heads of one kv head are the columns of a product; V is taken as its transpose.
//
// Lanes are (gq, t) = (lane / 4, lane % 4).
#pragma once

#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_split.cuh"

namespace hachi::ops::cuda::attend {

// The position within its tile of the i-th of the four that a lane holds of V.
__device__ __forceinline__ int value_slot(int i, int t) { return 2 * t + i % 2 + 8 * (i / 2); }

template <class Cache, int kHeadDim>
struct Tile {
  static constexpr int kChunks = kHeadDim / 32;  // 8 elements of K a lane and row
  static constexpr int kBlocks = kHeadDim / 64;  // 8 elements of V a lane and row
  using Raw = typename Cache::Raw;

  Raw k[2][kChunks];  // rows gq and gq + 8, elements 32c + 8t
  Raw v[4][kBlocks];  // rows value_slot(i, t), elements 64b + 8gq

  __device__ static int offset(int slot) { return slot * (kHeadDim * Cache::kBytes); }

  __device__ void read_keys(const char* rows, int gq, int t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const auto* from = reinterpret_cast<const Raw*>(rows + offset(gq + 8 * r));
#pragma unroll
      for (int c = 0; c < kChunks; ++c) k[r][c] = from[4 * c + t];
    }
  }
  __device__ void read_values(const char* rows, int gq, int t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const auto* from = reinterpret_cast<const Raw*>(rows + offset(value_slot(i, t)));
#pragma unroll
      for (int b = 0; b < kBlocks; ++b) v[i][b] = from[8 * b + gq];
    }
  }

  // Scores [16 positions, 8 heads]: s[0], s[1] of position gq, heads 2t and 2t + 1; s[2], s[3] of
  // position gq + 8.
  __device__ void scores(const uint4 (&q)[kChunks], float (&s)[4]) const {
    float more[4] = {};
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const uint4 low = Cache::words(k[0][c]);
      const uint4 high = Cache::words(k[1][c]);
      Cache::mma(s, low.x, high.x, low.y, high.y, q[c].x, q[c].y);
      Cache::mma(more, low.z, high.z, low.w, high.w, q[c].z, q[c].w);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) s[i] += more[i];
  }

  // o += V^T p: o[j] has rows (elements of the head) 8gq + j and its partner kHeadDim / 16 of the
  // lane's own elements on, columns (heads) 2t and 2t + 1.
  __device__ void add_values(uint32_t p_low, uint32_t p_high, float (&o)[kHeadDim / 16][4]) const {
    uint32_t words[4][4 * kBlocks];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int b = 0; b < kBlocks; ++b) {
        const uint4 w = Cache::words(v[i][b]);
        words[i][4 * b] = w.x, words[i][4 * b + 1] = w.y;
        words[i][4 * b + 2] = w.z, words[i][4 * b + 3] = w.w;
      }
    }
    constexpr int kPartner = kHeadDim / 32;  // words
#pragma unroll
    for (int j = 0; j < kHeadDim / 16; ++j) {
      const uint32_t select = j % 2 == 0 ? 0x5410 : 0x7632;  // the lower or upper half of each
      const int w = j / 2;
      Cache::mma(o[j], __byte_perm(words[0][w], words[1][w], select),
                 __byte_perm(words[0][w + kPartner], words[1][w + kPartner], select),
                 __byte_perm(words[2][w], words[3][w], select),
                 __byte_perm(words[2][w + kPartner], words[3][w + kPartner], select), p_low,
                 p_high);
    }
  }
};

// The softmax so far of two heads (columns 2t and 2t + 1), and what it weighs.
template <class Cache, int kHeadDim>
struct Sums {
  float top[2];    // the largest score, the same in all lanes of a column
  float total[2];  // of this lane's positions
  float o[kHeadDim / 16][4];

  __device__ void clear() {
#pragma unroll
    for (int c = 0; c < 2; ++c) top[c] = kNone, total[c] = 0;
#pragma unroll
    for (int j = 0; j < kHeadDim / 16; ++j) o[j][0] = o[j][1] = o[j][2] = o[j][3] = 0;
  }

  // Brings all to the base of larger scores, if there are any.
  __device__ void raise(const float (&s)[4]) {
    float larger[2] = {fmaxf(s[0], s[2]), fmaxf(s[1], s[3])};
    if (!__any_sync(kAllLanes, larger[0] > top[0] || larger[1] > top[1])) return;
    float factor[2];
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      for (int lanes = 4; lanes <= 16; lanes *= 2) {
        larger[c] = fmaxf(larger[c], __shfl_xor_sync(kAllLanes, larger[c], lanes));
      }
      larger[c] = fmaxf(larger[c], top[c]);
      factor[c] = exp2_fast(top[c] - larger[c]);
      top[c] = larger[c];
      total[c] *= factor[c];
    }
#pragma unroll
    for (int j = 0; j < kHeadDim / 16; ++j) {
      o[j][0] *= factor[0], o[j][1] *= factor[1];
      o[j][2] *= factor[0], o[j][3] *= factor[1];
    }
  }

  // Adds a tile whose scores, in powers of two, are s.
  __device__ void add(const Tile<Cache, kHeadDim>& tile, const float (&s)[4]) {
    raise(s);
    float p[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) p[i] = exp2_fast(s[i] - top[i % 2]);
    total[0] += p[0] + p[2];
    total[1] += p[1] + p[3];
    const uint32_t low = transpose(Cache::word(p[0], p[1]));
    const uint32_t high = transpose(Cache::word(p[2], p[3]));
    tile.add_values(low, high, o);
  }

  // Sums over the lanes of a column, at the end.
  __device__ void finish() {
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      for (int lanes = 4; lanes <= 16; lanes *= 2) {
        total[c] += __shfl_xor_sync(kAllLanes, total[c], lanes);
      }
    }
  }
};

}  // namespace hachi::ops::cuda::attend
