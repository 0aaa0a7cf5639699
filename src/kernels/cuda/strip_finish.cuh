// The end of a strip: four warps have the sums of 64 rows, and make of them what
// StreamMatmul::finish says. A thread has rows r and r + 8 of its warp's 16, and of each 8 outputs
// two.
#pragma once

#include "kernels/cuda/stream_finish.cuh"

namespace hachi::ops::cuda::strip {

inline constexpr int kRows = 64;

// Outputs of one product, or of gate and up alike.
struct Strip {
  int product;
  int first;
  int end;  // of the product's outputs
};

template <int kOutputs>
class Finish {
 public:
  __device__ Finish(const StreamParams& p, const Strip& strip)
      : p_(p),
        strip_(strip),
        row_(static_cast<int>(threadIdx.x) / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4),
        column_(static_cast<int>(threadIdx.x) % 4 * 2) {
    if (kAhead) read_ahead();
  }

  // `inverse` holds 1 / RMS(x) of the rows.
  __device__ void end(const float (&c)[kOutputs / 2], const float* inverse) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_ + half * 8;
      if (row >= p_.rows) continue;
      if (is_gated(p_.finish)) {
        end_gated(c, half, row, inverse[row]);
      } else {
        end_plain(c, half, row, inverse[row]);
      }
    }
  }

 private:
  static constexpr int kPairs = kOutputs / 8;
  // What is added or multiplied in the end is read while the products are made, if the registers
  // have room.
  static constexpr bool kAhead = kOutputs <= 64;
  static constexpr int kAheadPairs = kAhead ? kPairs : 1;

  __device__ int output(int pair) const { return strip_.first + pair * 8 + column_; }

  __device__ float2 old(int row, int pair) const {
    const auto* y = static_cast<const float*>(p_.products[strip_.product].y);
    return read_pair(y + row * p_.y_stride + output(pair));
  }
  __device__ float2 next_norm(int pair) const { return read_pair(p_.next_norm + output(pair)); }

  // Without branches, so that nothing waits for what is read before it is used: what is not needed
  // is read from elsewhere.
  __device__ void read_ahead() {
    const auto* somewhere = reinterpret_cast<const float*>(p_.x);
    const bool adds = p_.finish == cuda::Finish::kAdd;
    const auto* y = static_cast<const float*>(p_.products[strip_.product].y);
#pragma unroll
    for (int pair = 0; pair < kAheadPairs; ++pair) {
      const bool inside = output(pair) < strip_.end;
      const bool norms = inside && p_.next_norm != nullptr;
      norms_[pair] = read_pair(norms ? p_.next_norm + output(pair) : somewhere);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row_ + half * 8;
        const bool old = inside && adds && row < p_.rows;
        olds_[half][pair] = read_pair(old ? y + row * p_.y_stride + output(pair) : somewhere);
      }
    }
  }

  __device__ static float2 read_pair(const float* from) {
    return *reinterpret_cast<const float2*>(from);
  }

  __device__ static uint32_t rounded(float2 v) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(v.x, v.y);
    return *reinterpret_cast<const uint32_t*>(&both);
  }

  __device__ void store(int row, int pair, float2 v) const {
    void* y = p_.products[strip_.product].y;
    if (y == nullptr) return;
    const int64_t at = row * p_.y_stride + output(pair);
    if (p_.y_is_bf16) {
      *reinterpret_cast<uint32_t*>(static_cast<__nv_bfloat16*>(y) + at) = rounded(v);
    } else {
      *reinterpret_cast<float2*>(static_cast<float*>(y) + at) = v;
    }
  }

  __device__ void leave(int row, int pair, float2 v) const {
    const int64_t at = static_cast<int64_t>(row) * p_.products[0].outputs + output(pair);
    *reinterpret_cast<uint32_t*>(static_cast<__nv_bfloat16*>(p_.next.rows) + at) = rounded(v);
  }

  __device__ void end_plain(const float (&c)[kOutputs / 2], int half, int row, float scale) const {
    float squares = 0;
#pragma unroll
    for (int pair = 0; pair < kPairs; ++pair) {
      if (output(pair) >= strip_.end) break;
      float2 v = {c[pair * 4 + half * 2] * scale, c[pair * 4 + half * 2 + 1] * scale};
      if (p_.finish == cuda::Finish::kAdd) {
        const float2 before = kAhead ? olds_[half][pair % kAheadPairs] : old(row, pair);
        v = {v.x + before.x, v.y + before.y};
      }
      store(row, pair, v);
      if (p_.next.rows == nullptr) continue;
      squares = fmaf(v.x, v.x, fmaf(v.y, v.y, squares));
      if (pair % 4 == 3 && p_.next.squares != nullptr) {
        leave_squares(row, output(pair), squares);
        squares = 0;
      }
      if (p_.next_norm != nullptr) {
        const float2 norm = kAhead ? norms_[pair % kAheadPairs] : next_norm(pair);
        v = {v.x * norm.x, v.y * norm.y};
      }
      leave(row, pair, v);
    }
  }

  // The sum of four lanes' squares: of 32 outputs.
  __device__ void leave_squares(int row, int output, float squares) const {
    const unsigned quad = 0xfu << (threadIdx.x % 32 / 4 * 4);
    squares += __shfl_xor_sync(quad, squares, 1);
    squares += __shfl_xor_sync(quad, squares, 2);
    const int groups = p_.products[0].outputs / 32;
    if (threadIdx.x % 4 == 0) p_.next.squares[row * groups + output / 32] = squares;
  }

  __device__ void end_gated(const float (&c)[kOutputs / 2], int half, int row, float scale) const {
#pragma unroll
    for (int pair = 0; pair < kPairs / 2; ++pair) {
      if (output(pair) >= strip_.end) break;
      const int up = (pair + kPairs / 2) * 4 + half * 2;
      const int gate = pair * 4 + half * 2;
      const float2 v = {activation(p_.finish, c[gate] * scale) * (c[up] * scale),
                        activation(p_.finish, c[gate + 1] * scale) * (c[up + 1] * scale)};
      store(row, pair, v);
      if (p_.next.rows != nullptr) leave(row, pair, v);
    }
  }

  const StreamParams& p_;
  const Strip strip_;
  const int row_;
  const int column_;  // of 8
  float2 olds_[2][kAheadPairs];
  float2 norms_[kAheadPairs];
};

}  // namespace hachi::ops::cuda::strip
