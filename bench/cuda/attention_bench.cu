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
#include "kernels/cuda/attention_parts.h"

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

__device__ uint32_t hash(size_t i, uint32_t seed) {
  uint32_t h = static_cast<uint32_t>(i) * 2654435761u ^ seed ^ static_cast<uint32_t>(i >> 32);
  h ^= h >> 16, h *= 0x85ebca6bu, h ^= h >> 13;
  return h;
}

__global__ void fill_bf16(uint16_t* x, size_t count, uint32_t seed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < count;
       i += size_t{gridDim.x} * blockDim.x) {
    const float v = (static_cast<float>(hash(i, seed) & 0xffff) / 32768.0f - 1.0f) * 1.5f;
    x[i] = static_cast<uint16_t>(__float_as_uint(v) >> 16);
  }
}

// e4m3 of sizes up to 1.9.
__global__ void fill_e4m3(uint8_t* x, size_t count, uint32_t seed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < count;
       i += size_t{gridDim.x} * blockDim.x) {
    const uint32_t h = hash(i, seed);
    x[i] = static_cast<uint8_t>((h & 0x80) | (h & 0x3f));
  }
}

template <class T>
T* on_gpu(const std::vector<T>& host) {
  T* data = nullptr;
  CUDA(cudaMalloc(&data, host.size() * sizeof(T)));
  CUDA(cudaMemcpy(data, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
  return data;
}

void* random(size_t count, uint32_t seed, DType type = DType::kBF16) {
  void* data = nullptr;
  CUDA(cudaMalloc(&data, count * traits(type).block_bytes));
  if (type == DType::kBF16) {
    fill_bf16<<<1024, 256>>>(static_cast<uint16_t*>(data), count, seed);
  } else {
    fill_e4m3<<<1024, 256>>>(static_cast<uint8_t*>(data), count, seed);
  }
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

struct Shape {
  int heads = 32, kv_heads = 8, width = 128;
  int sequences = 1;
  int tokens = 1;  // new ones of each, the last of them at `context`
  int context = 1;
  int spread = 0;  // the first sequence's context is so much longer, the last one's shorter
  int window = 0;
  DType cache = DType::kBF16;

  // Of one layer's keys and values.
  double cache_bytes() const {
    return 2.0 * sequences * context * kv_heads * width *
           static_cast<double>(traits(cache).block_bytes);
  }
};

// A cache of several layers as a model has it: all layers of a page together.
struct Setup {
  std::vector<void*> owned;
  std::vector<Attention> layers;

  Setup(const Shape& s, int count) {
    const int pages_each = (s.context + s.spread + 31) / 32, pages = pages_each * s.sequences;
    const int rows = s.sequences * s.tokens;
    std::vector<int32_t> positions, of, first_token = {0}, first_page, numbers;
    for (int i = 0; i < s.sequences; ++i) {
      first_page.push_back(i * pages_each);
      for (int p = 0; p < pages_each; ++p) numbers.push_back(pages - 1 - (i * pages_each + p));
      const int longer = s.spread - 2 * s.spread * i / s.sequences;
      for (int t = 0; t < s.tokens; ++t) {
        positions.push_back(s.context + longer - s.tokens + t), of.push_back(i);
      }
      first_token.push_back(first_token.back() + s.tokens);
    }
    Attention args;
    args.num_heads = s.heads, args.num_kv_heads = s.kv_heads, args.head_dim = s.width;
    args.stride = (s.heads + 2 * s.kv_heads) * s.width;
    auto own = [&](auto* p) { return owned.push_back(p), p; };
    auto* x = static_cast<char*>(own(random(static_cast<size_t>(rows) * args.stride, 1)));
    args.q = x, args.k = x + 2 * s.heads * s.width;
    args.v = x + 2 * (s.heads + s.kv_heads) * s.width;
    args.query_norm = own(on_gpu(std::vector<float>(s.width, 1.0f)));
    args.key_norm = args.query_norm;
    args.eps = 1e-6f;
    args.cos_sin = own(on_gpu(std::vector<float>(static_cast<size_t>(rows) * s.width, 0.7f)));
    args.batch.positions = own(on_gpu(positions)), args.batch.sequences = own(on_gpu(of));
    args.batch.first_token = own(on_gpu(first_token));
    args.batch.first_page = own(on_gpu(first_page)), args.batch.pages = own(on_gpu(numbers));
    args.batch.num_tokens = rows, args.batch.num_sequences = s.sequences;
    args.score_scale = 1 / std::sqrt(static_cast<float>(s.width));
    args.window = s.window;
    args.y = own(random(static_cast<size_t>(rows) * s.heads * s.width, 2));
    args.workspace = own(on_gpu(std::vector<char>(attention_workspace(rows, s.heads, s.width), 0)));
    args.kv.dtype = s.cache;
    const int64_t matrix = int64_t{s.kv_heads} * 32 * s.width;
    const int64_t bytes = matrix * traits(s.cache).block_bytes;
    args.kv.page_bytes = 2 * count * bytes;
    auto* cache = static_cast<char*>(
        own(random(static_cast<size_t>(2 * count * matrix * pages), 3, s.cache)));
    for (int l = 0; l < count; ++l) {
      args.kv.keys = cache + 2 * l * bytes, args.kv.values = cache + (2 * l + 1) * bytes;
      layers.push_back(args);
    }
    CUDA(cudaDeviceSynchronize());
  }
  Setup(const Setup&) = delete;
  ~Setup() {
    for (void* p : owned) cudaFree(p);
  }
};

const char* name_of(const Shape& s) { return s.cache == DType::kBF16 ? "bf16" : "e4m3"; }

void one(cudaStream_t stream, const Shape& s) {
  // More than the L2 cache holds, and at most what the memory does.
  const double bytes = s.cache_bytes();
  const int layers = static_cast<int>(std::clamp(30e9 / bytes, 2.0, 36.0));
  Setup setup(s, layers);
  const double us = median_us(stream,
                              [&] {
                                for (const Attention& a : setup.layers) attend_one(stream, a);
                              }) /
                    layers;
  std::printf(
      "one   %s %d/%d x %d, batch %3d context %6d: %8.2f us %6.0f GB/s, floor %.1f us at 3110 "
      "GB/s\n",
      name_of(s), s.heads, s.kv_heads, s.width, s.sequences, s.context, us, bytes / us / 1e3,
      bytes / 3.11e6);
  std::fflush(stdout);
}

void many(cudaStream_t stream, const Shape& s) {
  const int layers = 2;
  Setup setup(s, layers);
  const double us = median_us(stream,
                              [&] {
                                for (const Attention& a : setup.layers)
                                  attend_many(stream, a, s.context);
                              }) /
                    layers;
  double seen = 0;
  for (int p = s.context - s.tokens; p < s.context; ++p) {
    seen += s.window > 0 ? std::min(p + 1, s.window) : p + 1;
  }
  std::printf(
      "many  %s %d/%d x %d, %5d tokens at context %6d: %9.1f us %6.1f TFLOP/s (norm, rotation "
      "and store counted)\n",
      name_of(s), s.heads, s.kv_heads, s.width, s.tokens, s.context, us,
      4.0 * s.heads * s.width * seen / us / 1e6);
  std::fflush(stdout);
}

// The part of it before attention: new keys and values into the cache.
void store(cudaStream_t stream, const Shape& s) {
  const int layers = 8;  // more than the L2 cache holds, read and written
  Setup setup(s, layers);
  const double us = median_us(stream,
                              [&] {
                                for (const Attention& a : setup.layers) attend::store(stream, a);
                              }) /
                    layers;
  const double bytes = 2 * s.cache_bytes() + 4.0 * s.tokens * s.width;
  std::printf("store %s %d/%d x %d, %5d tokens: %9.1f us %6.0f GB/s\n", name_of(s), s.heads,
              s.kv_heads, s.width, s.tokens, us, bytes / us / 1e3);
  std::fflush(stdout);
}

// Heads that are not of Qwen3's width: those of Phi-3 and of Gemma.
constexpr Shape kPhi3 = {.heads = 32, .kv_heads = 32, .width = 96};
constexpr Shape kGemma = {.heads = 8, .kv_heads = 4, .width = 256};

void ones(cudaStream_t stream) {
  for (DType cache : {DType::kBF16, DType::kF8E4M3}) {
    for (int context : {1, 512, 4096, 16384, 65536, 131072}) {
      one(stream, {.context = context, .cache = cache});
    }
    one(stream, {.sequences = 4, .context = 512, .cache = cache});
    one(stream, {.sequences = 16, .context = 512, .cache = cache});
    for (int context : {512, 2048, 8192}) {
      one(stream, {.sequences = 64, .context = context, .cache = cache});
    }
    for (int sequences : {64, 256}) {
      one(stream, {.sequences = sequences, .context = 640, .spread = 128, .cache = cache});
    }
  }
  for (Shape s : {kPhi3, kGemma}) {
    for (int context : {512, 4096}) {
      s.context = context;
      one(stream, s);
    }
  }
}

void manies(cudaStream_t stream) {
  for (int tokens : {1024, 4096}) store(stream, {.tokens = tokens, .context = tokens});
  for (int tokens : {512, 1024, 4096, 16384}) many(stream, {.tokens = tokens, .context = tokens});
  many(stream, {.tokens = 1024, .context = 16384});
  for (int context : {16384, 65536}) many(stream, {.tokens = 4096, .context = context});
  many(stream, {.tokens = 4096, .context = 16384, .cache = DType::kF8E4M3});
  many(stream, {.heads = 9, .kv_heads = 3, .width = 64, .tokens = 4096, .context = 4096});
  for (Shape s : {kPhi3, kGemma}) {
    s.tokens = s.context = 2048;
    many(stream, s);
  }
}

}  // namespace

// Each kernel alone, for a profiler.
void profile(cudaStream_t stream) {
  Setup ones({.sequences = 64, .context = 2048}, 2), many({.tokens = 4096, .context = 4096}, 1);
  for (const Attention& a : ones.layers) attend_one(stream, a);
  attend_many(stream, many.layers[0], 4096);
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
