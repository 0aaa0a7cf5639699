// One warp's share of the attention of one token: tiles of 16 positions. K's rows are positions, so
// that the heads of one kv head are the columns of a product; V is taken as its transpose.
//
// Lanes are (gq, t) = (lane / 4, lane % 4). Wide heads are taken a part of 128 elements at a time.
#pragma once

#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_split.cuh"

namespace hachi::ops::cuda::attend {

// The position within its tile of the i-th of the four that a lane holds of V.
__device__ __forceinline__ int value_slot(int i, int t) { return 2 * t + i % 2 + 8 * (i / 2); }

// A part of the heads of a tile.
template <class Cache, int kHeadDim>
struct Tile {
  static constexpr int kPart = kHeadDim < 128 ? kHeadDim : 128;
  static constexpr int kParts = kHeadDim / kPart;
  static constexpr int kOwn = kUnit<kHeadDim>;          // elements of a unit
  static constexpr int kKeyUnits = kPart / (4 * kOwn);  // of a lane and row
  static constexpr int kValueUnits = kPart / (8 * kOwn);
  static constexpr int kPairs = kPart / 16;  // of results of a lane and column
  using Unit = Raw<Cache, kOwn>;

  Unit k[2][kKeyUnits];    // rows gq and gq + 8, units 4c + t
  Unit v[4][kValueUnits];  // rows value_slot(i, t), units 8b + gq

  __device__ static const Unit* row(const char* rows, int slot, int part) {
    return reinterpret_cast<const Unit*>(rows + (slot * kHeadDim + part * kPart) * Cache::kBytes);
  }
  __device__ void read_keys(const char* rows, int part, int gq, int t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const Unit* from = row(rows, gq + 8 * r, part);
#pragma unroll
      for (int c = 0; c < kKeyUnits; ++c) k[r][c] = from[4 * c + t];
    }
  }
  __device__ void read_values(const char* rows, int part, int gq, int t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Unit* from = row(rows, value_slot(i, t), part);
#pragma unroll
      for (int b = 0; b < kValueUnits; ++b) v[i][b] = from[8 * b + gq];
    }
  }

  // Adds to the scores [16 positions, 8 heads], in two sums: s[0], s[1] of position gq, heads 2t
  // and 2t + 1; s[2], s[3] of position gq + 8.
  __device__ void add_scores(const Words<kOwn / 2>* q, float (&s)[2][4]) const {
#pragma unroll
    for (int c = 0; c < kKeyUnits; ++c) {
      const auto low = widened<Cache, kOwn>(k[0][c]), high = widened<Cache, kOwn>(k[1][c]);
#pragma unroll
      for (int i = 0; i < kOwn / 4; ++i) {
        Cache::mma(s[(c * (kOwn / 4) + i) % 2], low.w[2 * i], high.w[2 * i], low.w[2 * i + 1],
                   high.w[2 * i + 1], q[c].w[2 * i], q[c].w[2 * i + 1]);
      }
    }
  }

  // o += V^T p: of a lane's elements of a row, o[j] has the j-th and the one kPairs on; columns
  // (heads) 2t and 2t + 1.
  __device__ void add_values(uint32_t p_low, uint32_t p_high, float (*o)[4]) const {
    uint32_t words[4][kPairs];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int b = 0; b < kValueUnits; ++b) {
        const auto unit = widened<Cache, kOwn>(v[i][b]);
#pragma unroll
        for (int j = 0; j < kOwn / 2; ++j) words[i][kOwn / 2 * b + j] = unit.w[j];
      }
    }
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const uint32_t select = j % 2 == 0 ? 0x5410 : 0x7632;  // the lower or upper half of each
      const int w = j / 2, partner = w + kPairs / 2;
      Cache::mma(o[j], __byte_perm(words[0][w], words[1][w], select),
                 __byte_perm(words[0][partner], words[1][partner], select),
                 __byte_perm(words[2][w], words[3][w], select),
                 __byte_perm(words[2][partner], words[3][partner], select), p_low, p_high);
    }
  }

  // The i-th of a lane's results of column 2t + c.
  __device__ static float result(const float (*o)[4], int i, int c) {
    return i < kPairs ? o[i][c] : o[i - kPairs][2 + c];
  }
  // Where it is in the part.
  __device__ static int place(int i, int gq) { return (i / kOwn * 8 + gq) * kOwn + i % kOwn; }
};

// The softmax so far of two heads (columns 2t and 2t + 1), and what it weighs.
template <int kHeadDim>
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

  // Weights of a tile whose scores, in powers of two, are s: as the second factor of a product.
  template <class Cache>
  __device__ void weigh(const float (&s)[4], uint32_t& low, uint32_t& high) {
    raise(s);
    float p[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) p[i] = exp2_fast(s[i] - top[i % 2]);
    total[0] += p[0] + p[2];
    total[1] += p[1] + p[3];
    low = transpose(Cache::word(p[0], p[1]));
    high = transpose(Cache::word(p[2], p[3]));
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
