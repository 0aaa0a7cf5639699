// Times drawing tokens from logits of Qwen3's vocabulary: 1, 8 and 64 rows, the greatest, any at
// temperature 1, of the 1,000 likeliest, of the nucleus of 0.95; logits as a model has them, few of
// them high, and such that all tokens are about as likely. Prints microseconds a launch, of twenty
// that follow each other as one graph, beside the time of one read of the logits at 3.11 TB/s.
//
//   draw_bench [replays]
#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>
#include <random>
#include <vector>

#include "kernels/cuda/draw.h"
#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda {
namespace {

constexpr int kVocabulary = 151936;
constexpr double kMemoryBytesPerSecond = 3.11e12;

struct Way {
  const char* name;
  float scale;
  double top_p;
  int top_k;
  bool masked;
};
constexpr Way kWays[] = {{"greatest", 0, 1, 0, false},           {"greatest, mask", 0, 1, 0, true},
                         {"temperature", 1, 1, 0, false},        {"top-p 0.95", 1, 0.95, 0, false},
                         {"top-p 0.95, mask", 1, 0.95, 0, true}, {"top-k 1000", 1, 1, 1000, false}};

float* make_logits(bool peaked) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> row(kVocabulary);
  for (float& logit : row) {
    const float x = normal(random);
    logit = peaked ? 3 * x + (random() % 10'000 == 0 ? 15.0f : 0.0f) : 0.02f * x;
  }
  float* logits = nullptr;
  CHECK_CUDA(cudaMalloc(&logits, sizeof(float) * kVocabulary * kDrawRows));
  for (int i = 0; i < kDrawRows; ++i) {
    CHECK_CUDA(cudaMemcpy(logits + static_cast<int64_t>(i) * kVocabulary, row.data(),
                          sizeof(float) * kVocabulary, cudaMemcpyHostToDevice));
  }
  return logits;
}

double microseconds(cudaStream_t stream, const float* logits, const Way& way, int rows, int replays,
                    const uint32_t* mask, int32_t* tokens) {
  constexpr int kLaunches = 20;
  DrawBatch batch = {};
  for (int i = 0; i < rows; ++i) {
    DrawParams& params = batch.rows[i];
    params.uniform = (i + 0.5) / rows;
    params.scale = way.scale;
    params.top_p = way.top_p;
    params.top_k = way.top_k;
    params.row = i;
    params.forced = -1;
    params.repetition = 1;
    params.mask_words = way.masked ? (kVocabulary + 31) / 32 : 0;
  }
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < kLaunches; ++i) {
    draw_rows(stream, tokens, tokens + kDrawRows, logits, kVocabulary, kVocabulary, mask, batch,
              rows);
  }
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  cudaEvent_t begin, end;
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  CHECK_CUDA(cudaGraphLaunch(executable, stream));
  CHECK_CUDA(cudaEventRecord(begin, stream));
  for (int i = 0; i < replays; ++i) CHECK_CUDA(cudaGraphLaunch(executable, stream));
  CHECK_CUDA(cudaEventRecord(end, stream));
  CHECK_CUDA(cudaEventSynchronize(end));
  float milliseconds = 0;
  CHECK_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
  CHECK_CUDA(cudaEventDestroy(begin));
  CHECK_CUDA(cudaEventDestroy(end));
  CHECK_CUDA(cudaGraphExecDestroy(executable));
  CHECK_CUDA(cudaGraphDestroy(graph));
  return 1e3 * milliseconds / (replays * kLaunches);
}

void run(int replays) {
  cudaStream_t stream = nullptr;
  CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  uint32_t* mask = nullptr;
  CHECK_CUDA(cudaMalloc(&mask, kVocabulary / 8 + 4));
  CHECK_CUDA(cudaMemset(mask, 0xb6, kVocabulary / 8 + 4));
  int32_t* tokens = nullptr;
  CHECK_CUDA(cudaMalloc(&tokens, sizeof(int32_t) * 2 * kDrawRows));
  for (const bool peaked : {true, false}) {
    const float* logits = make_logits(peaked);
    for (const Way& way : kWays) {
      for (const int rows : {1, 8, 64}) {
        const double floor = 1e6 * sizeof(float) * kVocabulary * rows / kMemoryBytesPerSecond;
        std::printf("%-7s %-17s %2d rows: %7.1f us (a read: %5.1f)\n", peaked ? "peaked" : "flat",
                    way.name, rows, microseconds(stream, logits, way, rows, replays, mask, tokens),
                    floor);
      }
    }
  }
}

}  // namespace
}  // namespace hachi::ops::cuda

int main(int argc, char** argv) {
  hachi::ops::cuda::run(argc > 1 ? std::atoi(argv[1]) : 10);
  return 0;
}
