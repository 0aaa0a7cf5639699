// How the parts of a head's positions come together again, and where the results go.
#pragma once

#include "kernels/cuda/attention_device.cuh"

namespace hachi::ops::cuda::attend {

// What the workers leave for the one that merges: slots of (row, kv head, part). Four results, and
// the sums that they belong to, take two units of 16 bytes, which are written and read whole, so
// that they say themselves whether they are there: no counter, no fence. Zero between launches.
struct alignas(16) Unit {
  float results[2];
  float sum;  // the same for all results of a head: top, then total
  uint32_t filled;
};

// Results of parts weighed by their sums: an online softmax over parts in place of positions.
struct Merged {
  float top = kNone, total = 0;
  float4 o = make_float4(0, 0, 0, 0);

  __device__ void add(float2 sums, float4 more) {
    const float larger = fmaxf(top, sums.x);
    const float own = exp2_fast(top - larger), f = exp2_fast(sums.x - larger);
    top = larger;
    // Rounded in one way, wherever this is inlined.
    auto weighed = [&](float old, float more_of_it) {
      return fmaf(f, more_of_it, __fmul_rn(old, own));
    };
    total = weighed(total, sums.y);
    o = make_float4(weighed(o.x, more.x), weighed(o.y, more.y), weighed(o.z, more.z),
                    weighed(o.w, more.w));
  }
};

__device__ inline void store_unit(Unit* to, float a, float b, float sum, uint32_t filled) {
  asm volatile(
      "{\n.reg .b64 low, high;\n.reg .b128 all;\n"
      "mov.b64 low, {%1, %2};\nmov.b64 high, {%3, %4};\nmov.b128 all, {low, high};\n"
      "st.relaxed.gpu.global.b128 [%0], all;\n}" ::"l"(to),
      "r"(__float_as_uint(a)), "r"(__float_as_uint(b)), "r"(__float_as_uint(sum)), "r"(filled)
      : "memory");
}
__device__ inline bool load_unit(const Unit* from, float& a, float& b, float& sum) {
  uint32_t words[4];
  asm volatile(
      "{\n.reg .b64 low, high;\n.reg .b128 all;\nld.relaxed.gpu.global.b128 all, [%4];\n"
      "mov.b128 {low, high}, all;\nmov.b64 {%0, %1}, low;\nmov.b64 {%2, %3}, high;\n}"
      : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
      : "l"(from)
      : "memory");
  a = __uint_as_float(words[0]), b = __uint_as_float(words[1]), sum = __uint_as_float(words[2]);
  return words[3] != 0;
}
__device__ inline void store_part(Unit* to, float2 sums, float4 o) {
  store_unit(to, o.x, o.y, sums.x, 1);
  store_unit(to + 1, o.z, o.w, sums.y, 1);
}
__device__ inline void empty_unit(Unit* to) {
  store_unit(to, 0, 0, 0, 0);
  store_unit(to + 1, 0, 0, 0, 0);
}
// True if it is there.
__device__ inline bool load_part(const Unit* from, float2& sums, float4& o) {
  const bool first = load_unit(from, o.x, o.y, sums.x);
  const bool second = load_unit(from + 1, o.z, o.w, sums.y);
  return first && second;
}

// Four neighbouring results of a row, from element `at` of it. All lanes of a warp come here; eight
// neighbours have a group of 32.
__device__ inline void put(const Attention& args, int row, int64_t at, float4 x, bool active) {
  const int64_t where = row * args.num_heads * args.head_dim + at;
  const uint2 rounded = make_uint2(to_bf16_pair(x.x, x.y), to_bf16_pair(x.z, x.w));
  if (active && args.y != nullptr) {
    *reinterpret_cast<uint2*>(static_cast<__nv_bfloat16*>(args.y) + where) = rounded;
  }
  if (args.next.rows == nullptr) return;
  if (args.next.type == OperandType::kBF16) {
    if (active) {
      *reinterpret_cast<uint2*>(static_cast<__nv_bfloat16*>(args.next.rows) + where) = rounded;
    }
    return;
  }
  float largest = fmaxf(fmaxf(fabsf(x.x), fabsf(x.y)), fmaxf(fabsf(x.z), fabsf(x.w)));
  for (int lanes = 4; lanes > 0; lanes /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, lanes));
  }
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  const int q[4] = {__float2int_rn(x.x * inverse), __float2int_rn(x.y * inverse),
                    __float2int_rn(x.z * inverse), __float2int_rn(x.w * inverse)};
  int sum = q[0] + q[1] + q[2] + q[3];
  for (int lanes = 4; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kAllLanes, sum, lanes);
  if (!active) return;
  *reinterpret_cast<char4*>(static_cast<int8_t*>(args.next.rows) + where) =
      make_char4(static_cast<signed char>(q[0]), static_cast<signed char>(q[1]),
                 static_cast<signed char>(q[2]), static_cast<signed char>(q[3]));
  if (where % 32 == 0) args.next.groups[where / 32] = {largest / 127.0f, sum};
}

}  // namespace hachi::ops::cuda::attend
