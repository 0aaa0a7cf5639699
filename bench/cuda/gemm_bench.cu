// The products of Qwen3-8B by cuBLASLt, and the small ops of its layers: times of replays of a
// captured graph that goes round over more weights than the L2 cache holds.
//
//   gemm_bench [part of the names of kinds of products]
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <cuda_runtime.h>
#include <functional>
#include <vector>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda {
namespace {

constexpr int kWarmUps = 5;
constexpr int kReplays = 21;
constexpr int kMostCopies = 8;
constexpr int kLayers = 36;
constexpr size_t kWeightPool = size_t{1280} << 20;
constexpr size_t kActivationPool = size_t{1} << 30;

// Small numbers of either sign: as bf16 between 2^-8 and 2, as e4m3 any but NaN.
__global__ void fill_kernel(uint32_t* words, size_t count, bool bf16) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    uint32_t bits = static_cast<uint32_t>(i) * 2654435761u ^ static_cast<uint32_t>(i >> 32);
    bits ^= bits >> 16;
    bits *= 2246822519u;
    bits ^= bits >> 13;
    bits *= 3266489917u;
    bits ^= bits >> 16;
    words[i] = bf16 ? (bits & 0x83ff83ffu) | 0x3c003c00u : bits & 0xbfbfbfbfu;
  }
}

__global__ void fill_floats_kernel(float* values, size_t count, float value) {
  const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) values[i] = value;
}

template <class T>
T* allocate(size_t count) {
  void* memory = nullptr;
  CHECK_CUDA(cudaMalloc(&memory, count * sizeof(T)));
  return static_cast<T*>(memory);
}

void fill(void* memory, size_t bytes, bool bf16) {
  fill_kernel<<<1024, 256>>>(static_cast<uint32_t*>(memory), bytes / 4, bf16);
  CHECK_CUDA(cudaGetLastError());
}

// The median over replays of a graph of `copies` calls, in milliseconds of one call.
double time(cudaStream_t stream, int copies, const std::function<void(int)>& call) {
  for (int i = 0; i < copies; ++i) call(i);
  CHECK_CUDA(cudaStreamSynchronize(stream));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < copies; ++i) call(i);
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < kWarmUps + kReplays; ++i) {
    CHECK_CUDA(cudaEventRecord(begin, stream));
    CHECK_CUDA(cudaGraphLaunch(exec, stream));
    CHECK_CUDA(cudaEventRecord(end, stream));
    CHECK_CUDA(cudaEventSynchronize(end));
    float ms = 0;
    CHECK_CUDA(cudaEventElapsedTime(&ms, begin, end));
    if (i >= kWarmUps) times.push_back(ms);
  }
  std::nth_element(times.begin(), times.begin() + kReplays / 2, times.end());
  CHECK_CUDA(cudaEventDestroy(begin));
  CHECK_CUDA(cudaEventDestroy(end));
  CHECK_CUDA(cudaGraphExecDestroy(exec));
  CHECK_CUDA(cudaGraphDestroy(graph));
  return times[kReplays / 2] / copies;
}

struct Kind {
  const char* name;
  Layout layout;
  ScaleSpan span;
  bool fast;
};
constexpr Kind kKinds[] = {{"bf16", Layout::kBF16, ScaleSpan::kMatrix, false},
                           {"fp8 scalar", Layout::kF8, ScaleSpan::kMatrix, false},
                           {"fp8 scalar fast", Layout::kF8, ScaleSpan::kMatrix, true},
                           {"fp8 row", Layout::kF8, ScaleSpan::kRow, false},
                           {"fp8 row fast", Layout::kF8, ScaleSpan::kRow, true},
                           {"fp8 block", Layout::kF8, ScaleSpan::kBlock128, false}};

struct Shape {
  const char* name;
  int64_t outputs;
  int64_t inputs;
  DType y_type;
  bool add;
  bool in_layer;
};
constexpr Shape kShapes[] = {{"qkv", 6144, 4096, DType::kBF16, false, true},
                             {"o", 4096, 4096, DType::kF32, true, true},
                             {"gate_up", 24576, 4096, DType::kBF16, false, true},
                             {"down", 4096, 12288, DType::kF32, true, true},
                             {"head", 151936, 4096, DType::kF32, false, false}};

class Bench {
 public:
  Bench()
      : weights_(allocate<uint8_t>(kWeightPool)),
        x_(allocate<uint8_t>(kActivationPool)),
        y_(allocate<uint8_t>(kActivationPool)),
        ones_(allocate<float>(kOnes)) {
    CHECK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    fill_floats_kernel<<<(kOnes + 255) / 256, 256>>>(ones_, kOnes, 0.01f);
    CHECK_CUDA(cudaMemset(y_, 0, kActivationPool));
  }

  // Of the kinds whose name has `filter` in it.
  void products(bool whole_sums, const char* filter) {
    auto loaded = GemmLibrary::load(whole_sums);
    if (!loaded) {
      std::printf("%s\n", loaded.error().message.c_str());
      return;
    }
    gemms_ = *std::move(loaded);
    std::printf("cuBLASLt %s, sums %s; ms: the heuristic's first choice, then the fastest of 8\n",
                gemms_->version().c_str(), whole_sums ? "whole" : "that may be divided");
    std::printf("%-16s %5s %-8s %9s %9s %9s %9s\n", "kind", "T", "product", "ms", "ms best",
                "TFLOP/s", "GB/s of W");
    for (const Kind& kind : kKinds) {
      if (std::strstr(kind.name, filter) == nullptr) continue;
      fill(weights_, kWeightPool, kind.layout == Layout::kBF16);
      fill(x_, kActivationPool, kind.layout == Layout::kBF16);
      CHECK_CUDA(cudaDeviceSynchronize());
      for (const int64_t rows : {8, 32, 64, 128, 512, 4096}) step(kind, rows);
    }
  }

  void small_ops() {
    fill(x_, kActivationPool, true);
    CHECK_CUDA(cudaDeviceSynchronize());
    std::printf("%-24s %5s %9s %9s\n", "op", "T", "us", "GB/s");
    for (const int64_t rows : {8, 64, 4096}) {
      norms(rows);
      others(rows);
    }
    plain();
  }

 private:
  static constexpr size_t kOnes = size_t{1} << 20;

  // All products of a step of that many rows.
  void step(const Kind& kind, int64_t rows) {
    double layer = 0;
    double head = 0;
    for (const Shape& shape : kShapes) {
      if (!shape.in_layer && rows > 64) continue;
      const double ms = product(kind, shape, rows);
      (shape.in_layer ? layer : head) += ms;
    }
    const double all = kLayers * layer + head;
    std::printf("%-16s %5lld %-8s %9s %9.3f  %.0f tokens/s of products alone\n", kind.name,
                static_cast<long long>(rows), "step", "", all,
                1e3 * static_cast<double>(rows) / all);
  }

  double product(const Kind& kind, const Shape& shape, int64_t rows) {
    const int64_t element = kind.layout == Layout::kBF16 ? 2 : 1;
    const auto bytes = static_cast<size_t>(shape.outputs * shape.inputs * element);
    const int most = rows > 512 ? 2 : kMostCopies;
    const int copies = std::clamp(static_cast<int>(kWeightPool / bytes), 1, most);
    const auto call = [&](int i) {
      Gemm gemm;
      gemm.rows = rows;
      gemm.w = {kind.layout,  shape.outputs,
                shape.inputs, weights_ + static_cast<size_t>(i) * bytes,
                kind.span,    kind.layout == Layout::kF8 ? ones_ : nullptr};
      gemm.x = x_;
      gemm.x_scale = gemm.w.scales;
      gemm.fast = kind.fast;
      gemm.y = y_;
      gemm.y_type = shape.y_type;
      gemm.y_stride = shape.outputs;
      gemm.add = shape.add;
      return gemm;
    };
    if (!gemms_->takes(call(0))) {
      std::printf("%-16s %5lld %-8s not taken\n", kind.name, static_cast<long long>(rows),
                  shape.name);
      return 0;
    }
    const auto run = [&](int i) { gemms_->run(stream_, call(i)); };
    const double first = time(stream_, copies, run);
    gemms_->prepare(stream_, call(0));
    const double best = time(stream_, copies, run);
    const double flops = 2.0 * static_cast<double>(rows * shape.outputs * shape.inputs);
    std::printf("%-16s %5lld %-8s %9.4f %9.4f %9.1f %9.0f\n", kind.name,
                static_cast<long long>(rows), shape.name, first, best, flops / best / 1e9,
                static_cast<double>(bytes) / best / 1e6);
    return best;
  }

  // `bytes` are those of a row.
  void op(const char* name, int64_t rows, int64_t bytes, const std::function<void(int)>& call) {
    const double ms = time(stream_, kMostCopies / 2, call);
    std::printf("%-24s %5lld %9.2f %9.0f\n", name, static_cast<long long>(rows), ms * 1e3,
                static_cast<double>(rows * bytes) / ms / 1e6);
  }

  // The i-th of four regions of a pool.
  uint8_t* part(uint8_t* pool, int i) const {
    return pool + static_cast<size_t>(i) * (kActivationPool / 4);
  }
  Rows x(int i, DType type, int64_t stride) const { return {part(x_, i), type, stride}; }
  Rows y(int i, DType type, int64_t stride) const { return {part(y_, i), type, stride}; }

  void norms(int64_t rows) {
    constexpr int64_t kWidth = 4096;
    constexpr int64_t kFeedForward = 12288;
    op("rms_norm f32 bf16", rows, kWidth * 6, [&](int i) {
      rms_norm(stream_, y(i, DType::kBF16, kWidth), x(i, DType::kF32, kWidth), ones_, 1e-6f, rows,
               1, kWidth);
    });
    op("rms_norm 40 heads bf16", rows, 40 * 128 * 4, [&](int i) {
      rms_norm(stream_, y(i, DType::kBF16, 6144), y(i, DType::kBF16, 6144), ones_, 1e-6f, rows, 40,
               128);
    });
    for (const ScaleSpan span : {ScaleSpan::kRow, ScaleSpan::kBlock128}) {
      const bool row = span == ScaleSpan::kRow;
      const auto to = [&](int i) {
        return Quantized{part(y_, i), reinterpret_cast<float*>(part(y_, i) + (128 << 20)), span,
                         rows};
      };
      op(row ? "quantize norm row" : "quantize norm block", rows, kWidth * 5, [&](int i) {
        quantize_rows(stream_, to(i), x(i, DType::kF32, kWidth), ones_, 1e-6f, rows, kWidth);
      });
      op(row ? "quantize bf16 row" : "quantize bf16 block", rows, kWidth * 3, [&](int i) {
        quantize_rows(stream_, to(i), x(i, DType::kBF16, kWidth), nullptr, 0, rows, kWidth);
      });
      op(row ? "quantize gated row" : "quantize gated block", rows, kFeedForward * 5, [&](int i) {
        quantize_gated(stream_, to(i), x(i, DType::kBF16, 2 * kFeedForward), false, rows,
                       kFeedForward);
      });
    }
  }

  void others(int64_t rows) {
    constexpr int64_t kWidth = 4096;
    constexpr int64_t kFeedForward = 12288;
    op("gated bf16", rows, kFeedForward * 6, [&](int i) {
      gated(stream_, y(i, DType::kBF16, kFeedForward), x(i, DType::kBF16, 2 * kFeedForward), false,
            rows, kFeedForward);
    });
    op("add f32 f32", rows, kWidth * 12, [&](int i) {
      add(stream_, y(i, DType::kF32, kWidth), x(i, DType::kF32, kWidth), rows, kWidth);
    });
    op("convert f32 bf16", rows, kWidth * 6, [&](int i) {
      convert(stream_, y(i, DType::kBF16, kWidth), x(i, DType::kF32, kWidth), rows, kWidth);
    });
    // The ids are the positions of rows in the table, which is in the weights' pool.
    std::vector<int32_t> ids(static_cast<size_t>(rows));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 7919 % 150000);
    auto* device_ids = allocate<int32_t>(ids.size());
    CHECK_CUDA(cudaMemcpy(device_ids, ids.data(), ids.size() * 4, cudaMemcpyDefault));
    op("embed bf16 f32", rows, kWidth * 6, [&](int i) {
      embed(stream_, y(i, DType::kF32, kWidth), device_ids, weights_, DType::kBF16, 1, rows,
            kWidth);
    });
    op("rope_angles", rows, 128 * 4, [&](int i) {
      rope_angles(stream_, reinterpret_cast<float*>(part(y_, i)), device_ids, ones_, 1, rows, 128);
    });
    CHECK_CUDA(cudaStreamSynchronize(stream_));
    CHECK_CUDA(cudaFree(device_ids));
  }

  void plain() {
    for (const int64_t rows : {1, 8, 512}) {
      constexpr int64_t kOutputs = 1536;
      constexpr int64_t kInputs = 576;
      constexpr int64_t kBytes = kOutputs * kInputs * 4;
      const double ms = time(stream_, kMostCopies, [&](int i) {
        plain_matmul(stream_, {y_, DType::kF32, kOutputs}, {x_, DType::kF32, kInputs},
                     reinterpret_cast<const float*>(weights_ + static_cast<size_t>(i) * kBytes * 4),
                     false, rows, kOutputs, kInputs);
      });
      std::printf("plain_matmul 1536 x 576 %6lld %9.2f %9.0f  %.2f TFLOP/s\n",
                  static_cast<long long>(rows), ms * 1e3, kBytes / ms / 1e6,
                  2.0 * static_cast<double>(rows * kOutputs * kInputs) / ms / 1e9);
    }
  }

  cudaStream_t stream_ = nullptr;
  uint8_t* weights_;
  uint8_t* x_;
  uint8_t* y_;
  float* ones_;
  std::unique_ptr<GemmLibrary> gemms_;
};

}  // namespace
}  // namespace hachi::ops::cuda

int main(int argc, char** argv) {
  const char* filter = argc > 1 ? argv[1] : "";
  hachi::ops::cuda::Bench bench;
  bench.products(true, filter);
  bench.products(false, filter);
  bench.small_ops();
  return 0;
}
