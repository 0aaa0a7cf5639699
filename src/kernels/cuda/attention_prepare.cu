// Norm and rotation of q and k, and the new positions into the cache: a warp takes a head of a
// token. A lane holds pairs of elements that turn together.
#include "kernels/cuda/attention_device.cuh"
#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda::attend {
namespace {

constexpr int kWarps = 8;
constexpr int kMaxPairs = 2;  // of 2 x 2 elements, of a lane: heads up to 256 wide

__device__ float2 load_two(const __nv_bfloat16* x) {
  return bf16_pair(*reinterpret_cast<const uint32_t*>(x));
}
__device__ float2 load_two(const float* x) { return *reinterpret_cast<const float2*>(x); }
__device__ void store_two(__nv_bfloat16* x, float2 v) {
  *reinterpret_cast<uint32_t*>(x) = to_bf16_pair(v.x, v.y);
}
__device__ void store_two(__half* x, float2 v) {
  *reinterpret_cast<__half2*>(x) = __floats2half2_rn(v.x, v.y);
}
__device__ void store_two(float* x, float2 v) { *reinterpret_cast<float2*>(x) = v; }
__device__ void store_two(__nv_fp8_e4m3* x, float2 v) {
  *reinterpret_cast<uint16_t*>(x) = static_cast<uint16_t>(F8Cache::narrow(v.x, v.y));
}

// A lane's share of a head: elements a, a + 1 and b, b + 1 for each of its pairs of pairs. With
// halves (a, b) and (a + 1, b + 1) turn together, else (a, a + 1) and (b, b + 1).
struct LaneHead {
  float2 a[kMaxPairs], b[kMaxPairs];

  template <class Element>
  __device__ void load(const Element* head, int width, int lane) {
#pragma unroll
    for (int i = 0; i < kMaxPairs; ++i) {
      const int at = 2 * (lane + 32 * i);
      a[i] = b[i] = make_float2(0, 0);
      if (at >= width / 2) continue;
      a[i] = load_two(head + at);
      b[i] = load_two(head + width / 2 + at);
    }
  }
  template <class Element>
  __device__ void store(Element* head, int width, int lane) const {
#pragma unroll
    for (int i = 0; i < kMaxPairs; ++i) {
      const int at = 2 * (lane + 32 * i);
      if (at >= width / 2) continue;
      store_two(head + at, a[i]);
      store_two(head + width / 2 + at, b[i]);
    }
  }
  __device__ void normalize(const float* weight, float eps, int width, int lane) {
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kMaxPairs; ++i) {
      squares += a[i].x * a[i].x + a[i].y * a[i].y + b[i].x * b[i].x + b[i].y * b[i].y;
    }
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      squares += __shfl_xor_sync(kAllLanes, squares, lanes);
    }
    const float factor = rsqrtf(squares / static_cast<float>(width) + eps);
#pragma unroll
    for (int i = 0; i < kMaxPairs; ++i) {
      const int at = 2 * (lane + 32 * i);
      if (at >= width / 2) continue;
      const float2 wa = load_two(weight + at), wb = load_two(weight + width / 2 + at);
      a[i] = make_float2(a[i].x * factor * wa.x, a[i].y * factor * wa.y);
      b[i] = make_float2(b[i].x * factor * wb.x, b[i].y * factor * wb.y);
    }
  }
  __device__ static void turn(float& x, float& y, float cos, float sin) {
    const float first = x * cos - y * sin;
    y = y * cos + x * sin;
    x = first;
  }
  __device__ void rotate(const float* cos_sin, bool interleaved, int width, int lane) {
    const float* sines = cos_sin + width / 2;
#pragma unroll
    for (int i = 0; i < kMaxPairs; ++i) {
      const int at = 2 * (lane + 32 * i);
      if (at >= width / 2) continue;
      if (interleaved) {
        const int pair = at / 2, far = width / 4 + at / 2;
        turn(a[i].x, a[i].y, cos_sin[pair], sines[pair]);
        turn(b[i].x, b[i].y, cos_sin[far], sines[far]);
      } else {
        turn(a[i].x, b[i].x, cos_sin[at], sines[at]);
        turn(a[i].y, b[i].y, cos_sin[at + 1], sines[at + 1]);
      }
    }
  }
};

template <class Cached>
__device__ Cached* place(const Attention& args, void* cache, int64_t token, int64_t head) {
  const DeviceBatch& batch = args.batch;
  const int position = batch.positions[token];
  const int number = batch.pages[batch.first_page[batch.sequences[token]] + position / kPage];
  char* page = static_cast<char*>(cache) + number * args.kv.page_bytes;
  return reinterpret_cast<Cached*>(page) + (head * kPage + position % kPage) * args.head_dim;
}

// Heads of a token: H of q, G of k, G of v.
template <class Element, class Cached>
__global__ void __launch_bounds__(32 * kWarps)
    prepare_kernel(const __grid_constant__ Attention args) {
  launch_dependents();
  wait_for_earlier_kernels();
  const int width = static_cast<int>(args.head_dim), lane = threadIdx.x % 32;
  const int64_t token = blockIdx.x;
  const int64_t heads = args.num_heads, kv_heads = args.num_kv_heads;
  const float* cos_sin = args.cos_sin + token * width;
  auto* q = static_cast<Element*>(args.q) + token * args.stride;
  const auto* k = static_cast<const Element*>(args.k) + token * args.stride;
  const auto* v = static_cast<const Element*>(args.v) + token * args.stride;
  auto head_of = [&](int64_t i) -> const Element* {
    if (i < heads) return q + i * width;
    return i < heads + kv_heads ? k + (i - heads) * width : v + (i - heads - kv_heads) * width;
  };
  auto put = [&](LaneHead& x, int64_t i) {
    const int64_t kv = i < heads + kv_heads ? i - heads : i - heads - kv_heads;
    if (i < heads + kv_heads) {
      const float* weight = i < heads ? args.query_norm : args.key_norm;
      if (weight != nullptr) x.normalize(weight, args.eps, width, lane);
      x.rotate(cos_sin, args.interleaved, width, lane);
    }
    if (i < heads) return x.store(q + i * width, width, lane);
    void* cache = i < heads + kv_heads ? args.kv.keys : args.kv.values;
    x.store(place<Cached>(args, cache, token, kv), width, lane);
  };
  // A few heads at once, for their loads to overlap.
  constexpr int kAtOnce = 2;
  const int count = static_cast<int>(heads + 2 * kv_heads);
  for (int first = threadIdx.x / 32; first < count; first += kAtOnce * kWarps) {
    LaneHead x[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const int i = first + j * kWarps;
      if (i < count) x[j].load(head_of(i), width, lane);
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const int i = first + j * kWarps;
      if (i < count) put(x[j], i);
    }
  }
}

template <class Element>
void prepare_from(Stream stream, const Attention& args) {
  auto run = [&](auto* kernel) {
    launch(stream, kernel, dim3(static_cast<unsigned>(args.batch.num_tokens)), 32 * kWarps, 0,
           args);
  };
  switch (args.kv.dtype) {
    case DType::kF32:
      return run(prepare_kernel<Element, float>);
    case DType::kF16:
      return run(prepare_kernel<Element, __half>);
    case DType::kBF16:
      return run(prepare_kernel<Element, __nv_bfloat16>);
    default:
      return run(prepare_kernel<Element, __nv_fp8_e4m3>);
  }
}

}  // namespace

void prepare(Stream stream, const Attention& args) {
  args.type == DType::kF32 ? prepare_from<float>(stream, args)
                           : prepare_from<__nv_bfloat16>(stream, args);
}

}  // namespace hachi::ops::cuda::attend
