// Times of attention in one captured graph, a layer a cache, so that no cache stays in L2.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>
#include <functional>
#include <string_view>
#include <vector>

#include "kernels/cuda/attention.h"

using namespace hachi;
using namespace hachi::ops::cuda;

namespace {

#define CUDA(call)                                                                             \
  do {                                                                                         \
    const cudaError_t error = (call);                                                          \
    if (error != cudaSuccess) {                                                                \
      std::printf("%s:%d: %s\n", __FILE__, __LINE__, cudaGetErrorString(error)), std::exit(1); \
    }                                                                                          \
  } while (0)

__global__ void fill_bf16(uint16_t* x, size_t count, uint32_t seed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < count;
       i += size_t{gridDim.x} * blockDim.x) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761u ^ seed ^ static_cast<uint32_t>(i >> 32);
    h ^= h >> 16, h *= 0x85ebca6bu, h ^= h >> 13;
    const float v = (static_cast<float>(h & 0xffff) / 32768.0f - 1.0f) * 1.5f;
    x[i] = static_cast<uint16_t>(__float_as_uint(v) >> 16);
  }
}

template <class T>
T* on_gpu(const std::vector<T>& host) {
  T* data = nullptr;
  CUDA(cudaMalloc(&data, host.size() * sizeof(T)));
  CUDA(cudaMemcpy(data, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
  return data;
}

void* random_bf16(size_t count, uint32_t seed) {
  void* data = nullptr;
  CUDA(cudaMalloc(&data, count * 2));
  fill_bf16<<<1024, 256>>>(static_cast<uint16_t*>(data), count, seed);
  CUDA(cudaGetLastError());
  return data;
}

// The median time of a replay, in microseconds.
double median_us(cudaStream_t stream, const std::function<void()>& work) {
  cudaGraph_t graph;
  cudaGraphExec_t replay;
  CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  work();
  CUDA(cudaStreamEndCapture(stream, &graph));
  CUDA(cudaGraphInstantiate(&replay, graph, 0));
  cudaEvent_t begin, end;
  CUDA(cudaEventCreate(&begin));
  CUDA(cudaEventCreate(&end));
  for (int i = 0; i < 20; ++i) CUDA(cudaGraphLaunch(replay, stream));
  std::vector<float> times;
  for (int i = 0; i < 21; ++i) {
    CUDA(cudaEventRecord(begin, stream));
    CUDA(cudaGraphLaunch(replay, stream));
    CUDA(cudaEventRecord(end, stream));
    CUDA(cudaEventSynchronize(end));
    float ms = 0;
    CUDA(cudaEventElapsedTime(&ms, begin, end));
    times.push_back(ms * 1000);
  }
  std::sort(times.begin(), times.end());
  CUDA(cudaGraphExecDestroy(replay));
  CUDA(cudaGraphDestroy(graph));
  return times[times.size() / 2];
}

// `sequences` of `tokens` new ones each, the last of them at `context`, in `layers` caches.
struct Setup {
  Attention args;
  std::vector<void*> owned;
  std::vector<Attention> layers;

  Setup(int heads, int kv_heads, int width, int sequences, int tokens, int context, int count) {
    const int pages_each = (context + 31) / 32, pages = pages_each * sequences;
    const int rows = sequences * tokens;
    std::vector<int32_t> positions, of, first_token = {0}, first_page, numbers;
    for (int s = 0; s < sequences; ++s) {
      first_page.push_back(s * pages_each);
      for (int p = 0; p < pages_each; ++p) numbers.push_back(pages - 1 - (s * pages_each + p));
      for (int t = 0; t < tokens; ++t) positions.push_back(context - tokens + t), of.push_back(s);
      first_token.push_back(first_token.back() + tokens);
    }
    args.num_heads = heads, args.num_kv_heads = kv_heads, args.head_dim = width;
    args.stride = (heads + 2 * kv_heads) * width;
    auto own = [&](auto* p) { return owned.push_back(p), p; };
    auto* x = static_cast<char*>(own(random_bf16(static_cast<size_t>(rows) * args.stride, 1)));
    args.q = x, args.k = x + 2 * heads * width, args.v = x + 2 * (heads + kv_heads) * width;
    args.query_norm = own(on_gpu(std::vector<float>(width, 1.0f)));
    args.key_norm = args.query_norm;
    args.eps = 1e-6f;
    args.cos_sin = own(on_gpu(std::vector<float>(static_cast<size_t>(rows) * width, 0.7f)));
    args.batch.positions = own(on_gpu(positions)), args.batch.sequences = own(on_gpu(of));
    args.batch.first_token = own(on_gpu(first_token));
    args.batch.first_page = own(on_gpu(first_page)), args.batch.pages = own(on_gpu(numbers));
    args.batch.num_tokens = rows, args.batch.num_sequences = sequences;
    args.score_scale = 1 / std::sqrt(static_cast<float>(width));
    args.y = own(random_bf16(static_cast<size_t>(rows) * heads * width, 2));
    args.workspace = own(on_gpu(std::vector<char>(attention_workspace(rows, heads, width), 0)));
    args.kv.page_bytes = int64_t{kv_heads} * 32 * width * 2;
    for (int l = 0; l < count; ++l) {
      const size_t elements = static_cast<size_t>(pages) * kv_heads * 32 * width;
      args.kv.keys = own(random_bf16(elements, 3 + l)),
      args.kv.values = own(random_bf16(elements, 99 + l));
      layers.push_back(args);
    }
    CUDA(cudaDeviceSynchronize());
  }
  Setup(const Setup&) = delete;
  ~Setup() {
    for (void* p : owned) cudaFree(p);
  }
};

void one(cudaStream_t stream, int batch, int context) {
  const double bytes = 2.0 * batch * context * 8 * 128 * 2;
  const int layers = static_cast<int>(std::clamp(400e6 / bytes, 4.0, 36.0));
  Setup setup(32, 8, 128, batch, 1, context, layers);
  const double us = median_us(stream,
                              [&] {
                                for (const Attention& a : setup.layers) attend_one(stream, a);
                              }) /
                    layers;
  std::printf("one   batch %3d context %6d: %8.2f us %6.0f GB/s, floor %.1f us at 3110 GB/s\n",
              batch, context, us, bytes / us / 1e3, bytes / 3.11e6);
  std::fflush(stdout);
}

void many(cudaStream_t stream, int tokens, int context, int heads, int kv_heads, int width) {
  const int layers = 2;
  Setup setup(heads, kv_heads, width, 1, tokens, context, layers);
  const double us = median_us(stream,
                              [&] {
                                for (const Attention& a : setup.layers)
                                  attend_many(stream, a, context);
                              }) /
                    layers;
  const double before = context - tokens;
  const double flops = 4.0 * heads * width * (tokens * before + tokens * (tokens + 1.0) / 2);
  std::printf(
      "many  %d/%d x %d, %5d tokens at context %6d: %9.1f us %6.1f TFLOP/s (norm, rotation "
      "and store counted)\n",
      heads, kv_heads, width, tokens, context, us, flops / us / 1e6);
  std::fflush(stdout);
}

void ones(cudaStream_t stream) {
  for (int context : {1, 128, 512, 2048, 4096, 16384, 65536, 131072}) one(stream, 1, context);
  for (int batch : {4, 16, 64}) one(stream, batch, 512);
  for (int context : {2048, 8192}) one(stream, 64, context);
}

void manies(cudaStream_t stream) {
  for (int tokens : {512, 1024, 4096, 16384}) many(stream, tokens, tokens, 32, 8, 128);
  many(stream, 1024, 16384, 32, 8, 128);
  many(stream, 4096, 4096, 9, 3, 64);
}

}  // namespace

// Each kernel alone, for a profiler.
void profile(cudaStream_t stream) {
  Setup ones(32, 8, 128, 64, 1, 2048, 2), many(32, 8, 128, 1, 4096, 4096, 1);
  for (const Attention& a : ones.layers) attend_one(stream, a);
  attend_many(stream, many.args, 4096);
  CUDA(cudaDeviceSynchronize());
}

// Both forms, or what is named: one, many, profile.
int main(int argc, char** argv) {
  const std::string_view only = argc > 1 ? argv[1] : "";
  cudaStream_t stream;
  CUDA(cudaStreamCreate(&stream));
  if (only == "profile") return profile(stream), 0;
  if (only != "many") ones(stream);
  if (only != "one") manies(stream);
  return 0;
}
