// The new keys and values of many tokens into the cache, in the same arithmetic as those of single
// tokens: four lanes have a head of a token.
#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda::attend {
namespace {

constexpr int kThreads = 256;

template <class Cache, int kHeadDim>
__global__ void __launch_bounds__(kThreads) store_kernel(const __grid_constant__ Attention args) {
  launch_dependents();
  wait_for_earlier_kernels();
  if (blockIdx.x == 0 && threadIdx.x == 0) *turns_of(args) = 0;
  const int64_t kv_heads = args.num_kv_heads, skipped = args.batch.num_skipped;
  const int64_t count = (args.batch.num_tokens - skipped) * kv_heads;
  const int64_t quad = int64_t{blockIdx.x} * (kThreads / 4) + threadIdx.x / 4;
  const int64_t own = quad < count ? quad : count - 1;  // all lanes take part in sums
  const int64_t token = skipped + own / kv_heads, head = own % kv_heads;
  const int t = threadIdx.x % 4;
  auto row_of = [&](const void* x) {
    return static_cast<const __nv_bfloat16*>(x) + token * args.stride + head * kHeadDim;
  };
  QuadRow<kHeadDim> key, value;
  Angles<kHeadDim> angles;
  key.load(row_of(args.k), t);
  value.load(row_of(args.v), t);
  angles.load(args.cos_sin + token * kHeadDim, args.interleaved, t);
  // Where they go, asked for before any of them is needed.
  const DeviceBatch& batch = args.batch;
  const int position = batch.positions[token];
  const int64_t page = batch.pages[batch.first_page[batch.sequences[token]] + position / kPage];
  constexpr int kOwn = kUnit<kHeadDim>;
  Raw<Cache, kOwn> new_key[QuadRow<kHeadDim>::kChunks];
  prepare_head(key, args.key_norm, args.eps, angles, args.interleaved, t, stored<Cache, kOwn>,
               new_key);
  if (quad >= count) return;
  const int64_t at =
      page * args.kv.page_bytes + (head * kPage + position % kPage) * (kHeadDim * Cache::kBytes);
  char* keys = static_cast<char*>(args.kv.keys) + at;
  char* values = static_cast<char*>(args.kv.values) + at;
#pragma unroll
  for (int c = 0; c < QuadRow<kHeadDim>::kChunks; ++c) {
    const int to = QuadRow<kHeadDim>::at(c, t) * Cache::kBytes;
    float x[kOwn];
    unpack(value.raw[c], x);
    *reinterpret_cast<Raw<Cache, kOwn>*>(keys + to) = new_key[c];
    *reinterpret_cast<Raw<Cache, kOwn>*>(values + to) = stored<Cache, kOwn>(x);
  }
}

template <class Cache>
void store_in(Stream stream, const Attention& args) {
  constexpr int64_t kQuads = kThreads / 4;
  const int64_t quads = (args.batch.num_tokens - args.batch.num_skipped) * args.num_kv_heads;
  const dim3 grid(static_cast<unsigned>((quads + kQuads - 1) / kQuads));
  with_width(args.head_dim, [&](auto width) {
    launch(stream, store_kernel<Cache, decltype(width)::value>, grid, kThreads, 0, args);
  });
}

}  // namespace

void store(Stream stream, const Attention& args) {
  switch (args.kv.dtype) {
    case DType::kBF16:
      return store_in<Bf16Cache>(stream, args);
    case DType::kF16:
      return store_in<F16Cache>(stream, args);
    default:
      return store_in<F8Cache>(stream, args);
  }
}

}  // namespace hachi::ops::cuda::attend
