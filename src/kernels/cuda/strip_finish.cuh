// The end of a strip: four warps have the sums of 64 rows, and make of them what
// StreamMatmul::finish says. A thread has rows r and r + 8 of its warp's 16, and of each 8 outputs
// two, a pair.
#pragma once

#include "kernels/cuda/stream_finish.cuh"
#include "kernels/cuda/strip_scales.cuh"

namespace hachi::ops::cuda::strip {

// tanh's code is long, and few models gate with it.
__device__ __noinline__ inline float2 gelu_pair(float2 v) {
  return {activation(cuda::Finish::kGeglu, v.x), activation(cuda::Finish::kGeglu, v.y)};
}

template <class S>
class Finish {
 public:
  static constexpr int kOutputs = S::kOutputs;
  using Sums = float[kOutputs / 2];

  __device__ Finish(const StreamParams& p, const Strip& strip)
      : p_(p),
        first_(strip.first + static_cast<int>(threadIdx.x) % 4 * 2),
        product_(strip.product),
        count_(min(kPairs, (strip.end - strip.first) / 8)),
        row_(first_row()) {
    if (kAhead) read(0);
  }

  // The code of each kind of end has no branches of its own: it runs once, and is long.
  __device__ void end(const Sums& c, const RowScales& scales) {
    scales_ = scales;
    const bool leaves = p_.next.rows != nullptr;
    if (is_gated(p_.finish)) {
      if (p_.y_is_bf16) return leaves ? end_gated<true, true>(c) : end_gated<true, false>(c);
      return leaves ? end_gated<false, true>(c) : end_gated<false, false>(c);
    }
    if (p_.y_is_bf16) return leaves ? end_plain<true, true>(c) : end_plain<true, false>(c);
    return leaves ? end_plain<false, true>(c) : end_plain<false, false>(c);
  }

 private:
  static constexpr int kPairs = kOutputs / 8;
  // What is added or multiplied in the end is read while the products are made, if the registers
  // have room; else for as many pairs at a time as they hold.
  static constexpr bool kAhead = kOutputs <= 64;
  static constexpr int kAtOnce = kAhead ? kPairs : 4;

  __device__ int row(int half) const { return row_ + half * 8; }

  __device__ static float2 read_pair(const float* from) {
    return *reinterpret_cast<const float2*>(from);
  }
  // Of weights in e4m3, from `output` of one product on.
  __device__ float2 weight_scales(int product, int output) const {
    const StreamParams::Product& of = p_.products[product];
    if (of.span == ScaleSpan::kRow) return read_pair(of.scales + output);
    const float one = of.scales == nullptr ? 1.0f : *of.scales;
    return {one, one};
  }

  // What is not needed is as if it were not there: nothing is added, and norms are 1.
  __device__ void read(int first) {
    const bool adds = p_.finish == cuda::Finish::kAdd;
    const auto* y = static_cast<const float*>(p_.products[product_].y) + first_;
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int pair = first + i;
      const bool inside = pair < count_;
      norms_[i] = {1, 1};
      if (inside && p_.next_norm != nullptr)
        norms_[i] = read_pair(p_.next_norm + first_ + pair * 8);
      if constexpr (S::kIsF8) {
        weights_[i] = inside ? weight_scales(product_, first_ + pair * 8) : float2{};
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        olds_[half][i] = {0, 0};
        if (inside && adds && row(half) < p_.rows) {
          olds_[half][i] = read_pair(y + row(half) * p_.y_stride + pair * 8);
        }
      }
    }
  }

  __device__ static uint32_t rounded(float2 v) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(v.x, v.y);
    return *reinterpret_cast<const uint32_t*>(&both);
  }

  // Where a row's results go, from the thread's first on.
  template <bool kBf16>
  struct Places {
    uint8_t* y;  // null: nowhere
    __nv_bfloat16* next;

    __device__ void store(int pair, float2 v) const {
      if (y == nullptr) return;
      if constexpr (kBf16) {
        *reinterpret_cast<uint32_t*>(y + pair * 16) = rounded(v);
      } else {
        *reinterpret_cast<float2*>(y + pair * 32) = v;
      }
    }
    __device__ void leave(int pair, float2 v) const {
      *reinterpret_cast<uint32_t*>(next + pair * 8) = rounded(v);
    }
  };
  template <bool kBf16>
  __device__ Places<kBf16> places(int row) const {
    auto* y = static_cast<uint8_t*>(p_.products[product_].y);
    const int64_t at = row * p_.y_stride + first_;
    const int64_t next = static_cast<int64_t>(row) * p_.products[0].outputs + first_;
    return {y == nullptr ? nullptr : y + at * (kBf16 ? 2 : 4),
            static_cast<__nv_bfloat16*>(p_.next.rows) + next};
  }

  // The sums of a row from c[at] on times its scale, and with e4m3 those of the weights.
  __device__ float2 scaled(const Sums& c, int at, int half, float2 weights) const {
    const float2 v = {c[at] * scales_.half[half], c[at + 1] * scales_.half[half]};
    return S::kIsF8 ? float2{v.x * weights.x, v.y * weights.y} : v;
  }

  template <bool kBf16, bool kLeaves>
  __device__ void end_plain(const Sums& c) {
    const Places<kBf16> to[2] = {places<kBf16>(row(0)), places<kBf16>(row(1))};
    float squares[2] = {};
#pragma unroll
    for (int first = 0; first < kPairs; first += kAtOnce) {
      if (first >= count_) break;
      if (first > 0 || !kAhead) read(first);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (row(half) >= p_.rows) break;
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          const int pair = first + i;
          if (pair >= count_) break;
          float2 v = scaled(c, pair * 4 + half * 2, half, weights_[S::kIsF8 ? i : 0]);
          v = {v.x + olds_[half][i].x, v.y + olds_[half][i].y};
          to[half].store(pair, v);
          if (!kLeaves) continue;
          squares[half] = fmaf(v.x, v.x, fmaf(v.y, v.y, squares[half]));
          if (pair % 4 == 3) {
            leave_squares(row(half), first_ + pair * 8, squares[half]);
            squares[half] = 0;
          }
          to[half].leave(pair, {v.x * norms_[i].x, v.y * norms_[i].y});
        }
      }
    }
  }

  // The sum of four lanes' squares: of 32 outputs.
  __device__ void leave_squares(int row, int output, float squares) const {
    if (p_.next.squares == nullptr) return;
    const unsigned quad = 0xfu << (threadIdx.x % 32 / 4 * 4);
    squares += __shfl_xor_sync(quad, squares, 1);
    squares += __shfl_xor_sync(quad, squares, 2);
    const int groups = p_.products[0].outputs / 32;
    if (threadIdx.x % 4 == 0) p_.next.squares[row * groups + output / 32] = squares;
  }

  template <bool kBf16, bool kLeaves>
  __device__ void end_gated(const Sums& c) const {
    constexpr int kGates = kPairs / 2;
    constexpr int kGatesAtOnce = kGates < kAtOnce ? kGates : kAtOnce;
    const Places<kBf16> to[2] = {places<kBf16>(row(0)), places<kBf16>(row(1))};
    const bool gelu = p_.finish == cuda::Finish::kGeglu;
#pragma unroll
    for (int first = 0; first < kGates; first += kGatesAtOnce) {
      float2 gates[kGatesAtOnce] = {};
      float2 ups[kGatesAtOnce] = {};
#pragma unroll
      for (int i = 0; S::kIsF8 && i < kGatesAtOnce; ++i) {
        if (first + i >= count_) break;
        gates[i] = weight_scales(0, first_ + (first + i) * 8);
        ups[i] = weight_scales(1, first_ + (first + i) * 8);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (row(half) >= p_.rows) break;
#pragma unroll
        for (int i = 0; i < kGatesAtOnce; ++i) {
          const int pair = first + i;
          if (pair >= kGates || pair >= count_) break;
          float2 gate = scaled(c, pair * 4 + half * 2, half, gates[i]);
          const float2 up = scaled(c, (pair + kGates) * 4 + half * 2, half, ups[i]);
          if (gelu) {
            gate = gelu_pair(gate);
          } else {
            gate = {activation(cuda::Finish::kSwiglu, gate.x),
                    activation(cuda::Finish::kSwiglu, gate.y)};
          }
          const float2 v = {gate.x * up.x, gate.y * up.y};
          to[half].store(pair, v);
          if (kLeaves) to[half].leave(pair, v);
        }
      }
    }
  }

  const StreamParams& p_;
  const int first_;    // the thread's first output
  const int product_;  // of which it is
  const int count_;    // of pairs
  RowScales scales_ = {};
  const int row_;
  float2 olds_[2][kAtOnce];
  float2 norms_[kAtOnce];
  float2 weights_[S::kIsF8 ? kAtOnce : 1];
};

}  // namespace hachi::ops::cuda::strip
