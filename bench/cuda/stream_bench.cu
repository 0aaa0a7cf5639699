// Times the streamed products of a decoder of Qwen3-8B's shape: 36 layers of qkv, o, gate and up,
// down, then the head, as one graph, for each layout. Prints milliseconds and tokens/s of a step,
// GB/s of weights, and their share of what an H100 reads from its memory (3.11 TB/s measured).
// More than 8 rows with tiles go by batch_matmul(), with the passes that prepare them.
//
//   stream_bench [layers [replays [layout [rows]]]]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime.h>
#include <vector>

#include "kernels/cuda/batch_matmul.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/stream_matmul.h"
#include "kernels/cuda/tile_format.h"
#include "kernels/cuda/tiles.h"

namespace hachi::ops::cuda {
namespace {

constexpr int kWidth = 4096;
constexpr int kAttended = 4096;
constexpr int kKeyValue = 1024;
constexpr int kHidden = 12288;
constexpr int kVocabulary = 151936;
constexpr double kMemoryBytesPerSecond = 3.11e12;

__device__ uint32_t hash(uint64_t i) {
  uint32_t h = static_cast<uint32_t>(i) * 2654435761u ^ static_cast<uint32_t>(i >> 24);
  h = (h ^ h >> 16) * 0x85ebca6bu;
  return h ^ h >> 13;
}

// Weights of a believable size; what they are does not change the time.
__global__ void fill_weights(uint16_t* to, int64_t count, Layout layout, ChunkFormat format) {
  for (int64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
    const uint32_t h = hash(static_cast<uint64_t>(i));
    uint16_t value = static_cast<uint16_t>(h);
    if (layout == Layout::kBF16) value = static_cast<uint16_t>((h & 0x807fu) | 0x3c00u);
    if (layout == Layout::kF8) value = static_cast<uint16_t>(h & 0x9f9fu);
    if (format.weight_bytes > 0 && i * 2 % format.bytes() >= format.weight_bytes) value = 0x1800;
    to[i] = value;
  }
}

__global__ void fill_floats(float* to, int64_t count, float size) {
  const int64_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) to[i] = size * (static_cast<float>(hash(i) & 0xffffu) / 32768.0f - 1.0f);
}

class Decoder {
 public:
  Decoder(Layout layout, ScaleSpan span, int layers, int rows)
      : layout_(layout), span_(span), layers_(layers), rows_(rows) {
    const bool tiles = chunk_format(layout).weight_bytes > 0;
    batch_ = tiles && rows > kMostStreamed;
    quantized_ = layout == Layout::kF8 && rows > kMostStreamed;
    type_ = tiles ? OperandType::kInt8 : OperandType::kBF16;
    layer_bytes_ = bytes(kAttended + 2 * kKeyValue, kWidth) + bytes(kWidth, kAttended) +
                   bytes(2 * kHidden, kWidth) + bytes(kWidth, kHidden);
    total_bytes_ = layer_bytes_ * layers + bytes(kVocabulary, kWidth);
    weights_ = allocate<uint8_t>(total_bytes_);
    fill_weights<<<2048, 256>>>(reinterpret_cast<uint16_t*>(weights_), total_bytes_ / 2, layout,
                                chunk_format(layout));
    scales_ = allocate<float>(kVocabulary * 32 + 128);
    fill_floats<<<kVocabulary * 32 / 256, 256>>>(scales_, kVocabulary * 32, 0.01f);
    norm_ = allocate<float>(kHidden);
    fill_floats<<<kHidden / 256, 256>>>(norm_, kHidden, 1.0f);
    x_ = allocate<float>(rows * kWidth);
    fill_floats<<<rows * kWidth / 256, 256>>>(x_, rows * kWidth, 1.0f);
    qkv_ = allocate<uint16_t>(rows * (kAttended + 2 * kKeyValue));
    gate_up_ = allocate<uint16_t>(static_cast<int64_t>(rows) * 2 * kHidden);
    ordered_ = allocate<uint16_t>(static_cast<int64_t>(rows) * kHidden);
    logits_ = allocate<float>(static_cast<int64_t>(rows) * kVocabulary);
    normed_ = operand(kWidth, true);
    attended_ = operand(kAttended, false);
    hidden_ = operand(kHidden, false);
    e4m3_.rows = allocate<uint8_t>(static_cast<int64_t>(rows) * kHidden);
    e4m3_.scales = allocate<float>(rows);
    if (batch_) return;
    stage(nullptr, normed_, x_, DType::kF32, kWidth, norm_, rows, kWidth);
    stage(nullptr, attended_, x_, DType::kF32, kWidth, nullptr, rows, kAttended);
    CHECK_CUDA(cudaDeviceSynchronize());
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() {
    for (void* p : owned_) cudaFree(p);
  }

  double total_bytes() const { return static_cast<double>(total_bytes_); }

  void step(Stream stream) const {
    if (quantized_) return quantized_step(stream);
    return batch_ ? batch_step(stream) : stream_step(stream);
  }

 private:
  static constexpr int kMostStreamed = 8;

  void stream_step(Stream stream) const {
    for (int layer = 0; layer < layers_; ++layer) {
      const uint8_t* at = weights_ + layer_bytes_ * layer;
      StreamMatmul qkv = product(normed_);
      qkv.num_products = 3;
      qkv.y_type = DType::kBF16;
      qkv.y_stride = kAttended + 2 * kKeyValue;
      qkv.w[0] = take(at, kAttended, kWidth);
      qkv.w[1] = take(at, kKeyValue, kWidth);
      qkv.w[2] = take(at, kKeyValue, kWidth);
      qkv.y[0] = qkv_;
      qkv.y[1] = qkv_ + kAttended;
      qkv.y[2] = qkv_ + kAttended + kKeyValue;
      const Matrix o = take(at, kWidth, kAttended);
      const Matrix gate = take(at, kHidden, kWidth);
      const Matrix up = take(at, kHidden, kWidth);
      const Matrix down = take(at, kWidth, kHidden);
      stream_matmul(stream, qkv);
      stream_matmul(stream, adding(attended_, o));
      StreamMatmul gate_up = product(normed_);
      gate_up.num_products = 2;
      gate_up.finish = Finish::kSwiglu;
      gate_up.w[0] = gate;
      gate_up.w[1] = up;
      gate_up.next = hidden_;
      stream_matmul(stream, gate_up);
      stream_matmul(stream, adding(hidden_, down));
    }
    const uint8_t* at = weights_ + layer_bytes_ * layers_;
    StreamMatmul head = product(normed_);
    head.w[0] = take(at, kVocabulary, kWidth);
    head.y[0] = logits_;
    head.y_stride = kVocabulary;
    stream_matmul(stream, head);
  }

  // Of many rows with x in e4m3, and what quantizes it.
  void quantized_step(Stream stream) const {
    constexpr int kQkv = kAttended + 2 * kKeyValue;
    const Rows x{x_, DType::kF32, kWidth};
    for (int layer = 0; layer < layers_; ++layer) {
      const uint8_t* at = weights_ + layer_bytes_ * layer;
      quantize_rows(stream, e4m3_, x, norm_, 1e-6f, rows_, kWidth);
      stream_matmul(stream, storing(take(at, kQkv, kWidth), qkv_));
      quantize_rows(stream, e4m3_, {qkv_, DType::kBF16, kQkv}, nullptr, 0, rows_, kAttended);
      stream_matmul(stream, added(take(at, kWidth, kAttended)));
      quantize_rows(stream, e4m3_, x, norm_, 1e-6f, rows_, kWidth);
      stream_matmul(stream, storing(take(at, 2 * kHidden, kWidth), gate_up_));
      quantize_gated(stream, e4m3_, {gate_up_, DType::kBF16, 2 * kHidden}, false, rows_, kHidden);
      stream_matmul(stream, added(take(at, kWidth, kHidden)));
    }
    const uint8_t* at = weights_ + layer_bytes_ * layers_;
    quantize_rows(stream, e4m3_, x, norm_, 1e-6f, rows_, kWidth);
    StreamMatmul head = storing(take(at, kVocabulary, kWidth), logits_);
    head.y_type = DType::kF32;
    stream_matmul(stream, head);
  }

  Operand made() const {
    return {.type = OperandType::kE4M3, .rows = e4m3_.rows, .scales = e4m3_.scales};
  }
  StreamMatmul storing(const Matrix& w, void* y) const {
    StreamMatmul args = product(made());
    args.w[0] = w;
    args.y_type = DType::kBF16;
    args.y[0] = y;
    args.y_stride = w.outputs;
    return args;
  }
  StreamMatmul added(const Matrix& w) const {
    StreamMatmul args = adding(made(), w);
    args.next = {};
    args.next_norm = nullptr;
    return args;
  }

  void batch_step(Stream stream) const {
    constexpr int kQkv = kAttended + 2 * kKeyValue;
    const RowSource normed{.x = {x_, DType::kF32, kWidth}, .norm = norm_, .eps = 1e-6f};
    for (int layer = 0; layer < layers_; ++layer) {
      const uint8_t* at = weights_ + layer_bytes_ * layer;
      BatchMatmul qkv = batch(DType::kBF16, kQkv);
      qkv.num_products = 3;
      for (int i = 0; i < 3; ++i) qkv.w[i] = take(at, i == 0 ? kAttended : kKeyValue, kWidth);
      qkv.y[0] = qkv_;
      qkv.y[1] = qkv_ + kAttended;
      qkv.y[2] = qkv_ + kAttended + kKeyValue;
      order(stream, normed, kWidth);
      batch_matmul(stream, qkv);
      order(stream, {.x = {qkv_, DType::kBF16, kQkv}}, kAttended);
      batch_matmul(stream, adding(take(at, kWidth, kAttended)));
      BatchMatmul gate_up = batch(DType::kBF16, 2 * kHidden);
      gate_up.num_products = 2;
      for (int i = 0; i < 2; ++i) gate_up.w[i] = take(at, kHidden, kWidth);
      gate_up.y[0] = gate_up_;
      gate_up.y[1] = gate_up_ + kHidden;
      order(stream, normed, kWidth);
      batch_matmul(stream, gate_up);
      order(stream, {.x = {gate_up_, DType::kBF16, 2 * kHidden}, .gated = true}, kHidden);
      batch_matmul(stream, adding(take(at, kWidth, kHidden)));
    }
    const uint8_t* at = weights_ + layer_bytes_ * layers_;
    BatchMatmul head = batch(DType::kF32, kVocabulary);
    head.w[0] = take(at, kVocabulary, kWidth);
    head.y[0] = logits_;
    order(stream, normed, kWidth);
    batch_matmul(stream, head);
  }

  void order(Stream stream, const RowSource& from, int inputs) const {
    order_rows(stream, ordered_, from, layout_, rows_, inputs);
  }

  BatchMatmul batch(DType y_type, int64_t y_stride) const {
    BatchMatmul args;
    args.rows = rows_;
    args.x = ordered_;
    args.y_type = y_type;
    args.y_stride = y_stride;
    return args;
  }

  BatchMatmul adding(const Matrix& w) const {
    BatchMatmul args = batch(DType::kF32, kWidth);
    args.add = true;
    args.w[0] = w;
    args.y[0] = x_;
    return args;
  }

  template <class T>
  T* allocate(int64_t count) {
    void* p = nullptr;
    CHECK_CUDA(cudaMalloc(&p, static_cast<size_t>(count) * sizeof(T)));
    CHECK_CUDA(cudaMemset(p, 0, static_cast<size_t>(count) * sizeof(T)));
    owned_.push_back(p);
    return static_cast<T*>(p);
  }

  Operand operand(int inputs, bool squares) {
    Operand o;
    o.type = type_;
    o.rows = allocate<uint8_t>(static_cast<int64_t>(rows_) * inputs * 2);
    if (type_ == OperandType::kInt8) o.groups = allocate<OperandGroup>(rows_ * inputs / 32);
    if (squares) o.squares = allocate<float>(rows_ * inputs / 32);
    return o;
  }

  int64_t bytes(int64_t outputs, int64_t inputs) const {
    return matrix_bytes(layout_, outputs, inputs);
  }

  Matrix take(const uint8_t*& at, int64_t outputs, int64_t inputs) const {
    Matrix w;
    w.layout = layout_;
    w.outputs = outputs;
    w.inputs = inputs;
    w.data = at;
    w.span = span_;
    w.scales = scales_;
    at += bytes(outputs, inputs);
    return w;
  }

  StreamMatmul product(const Operand& x) const {
    StreamMatmul args;
    args.rows = rows_;
    args.x = x;
    args.eps = 1e-6f;
    return args;
  }

  StreamMatmul adding(const Operand& x, const Matrix& w) const {
    StreamMatmul args = product(x);
    args.finish = Finish::kAdd;
    args.w[0] = w;
    args.y[0] = x_;
    args.y_stride = kWidth;
    args.next = normed_;
    args.next_norm = norm_;
    return args;
  }

  const Layout layout_;
  const ScaleSpan span_;
  const int layers_;
  const int rows_;
  bool batch_;
  bool quantized_;
  Quantized e4m3_;
  OperandType type_;
  int64_t layer_bytes_;
  int64_t total_bytes_;
  uint8_t* weights_;
  float* scales_;
  float* norm_;
  float* x_;
  uint16_t* qkv_;
  uint16_t* gate_up_;
  uint16_t* ordered_;
  float* logits_;
  Operand normed_;
  Operand attended_;
  Operand hidden_;
  std::vector<void*> owned_;
};

// The median time of a step in milliseconds. The clocks need some tens of replays to rise.
float time_step(const Decoder& decoder, int replays) {
  cudaStream_t stream;
  CHECK_CUDA(cudaStreamCreate(&stream));
  cudaGraph_t graph;
  cudaGraphExec_t replayed;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  decoder.step(stream);
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&replayed, graph, 0));
  cudaEvent_t begin, end;
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  for (int i = 0; i < 40; ++i) CHECK_CUDA(cudaGraphLaunch(replayed, stream));
  std::vector<float> times;
  for (int i = 0; i < replays; ++i) {
    CHECK_CUDA(cudaEventRecord(begin, stream));
    CHECK_CUDA(cudaGraphLaunch(replayed, stream));
    CHECK_CUDA(cudaEventRecord(end, stream));
    CHECK_CUDA(cudaEventSynchronize(end));
    float ms = 0;
    CHECK_CUDA(cudaEventElapsedTime(&ms, begin, end));
    times.push_back(ms);
  }
  CHECK_CUDA(cudaGetLastError());
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

struct Case {
  const char* name;
  Layout layout;
  ScaleSpan span;
};

constexpr Case kCases[] = {
    {"bf16", Layout::kBF16, ScaleSpan::kMatrix},
    {"fp8, one scale", Layout::kF8, ScaleSpan::kMatrix},
    {"fp8, a row", Layout::kF8, ScaleSpan::kRow},
    {"fp8, 128x128", Layout::kF8, ScaleSpan::kBlock128},
    {"int4", Layout::kInt4, ScaleSpan::kMatrix},
    {"int4, mins", Layout::kInt4Min, ScaleSpan::kMatrix},
    {"int8", Layout::kInt8, ScaleSpan::kMatrix},
    {"int8, halves", Layout::kInt8Half, ScaleSpan::kMatrix},
};

void run(int layers, int replays, const char* only, int only_rows) {
  std::printf("%-16s %4s %8s %9s %7s %6s\n", "layout", "rows", "ms", "tokens/s", "GB/s", "share");
  for (const Case& c : kCases) {
    if (std::strstr(c.name, only) == nullptr) continue;
    const bool tiles = chunk_format(c.layout).weight_bytes > 0;
    const bool strips = c.layout == Layout::kBF16 || c.span == ScaleSpan::kRow;
    for (int rows : {1, 4, 8, 16, 32, 64, 128, 192, 256}) {
      if (rows > (strips ? kMaxStreamRows : 8) && !tiles) continue;
      if (only_rows != 0 && rows != only_rows) continue;
      const Decoder decoder(c.layout, c.span, layers, rows);
      const double seconds = time_step(decoder, replays) * 1e-3;
      const double rate = decoder.total_bytes() / seconds;
      std::printf("%-16s %4d %8.3f %9.1f %7.0f %6.3f\n", c.name, rows, seconds * 1e3,
                  rows / seconds, rate * 1e-9, rate / kMemoryBytesPerSecond);
      std::fflush(stdout);
    }
  }
}

}  // namespace
}  // namespace hachi::ops::cuda

int main(int argc, char** argv) {
  const int layers = argc > 1 ? std::atoi(argv[1]) : 36;
  const int replays = argc > 2 ? std::atoi(argv[2]) : 21;
  if (layers < 1 || replays < 1) {
    std::fprintf(stderr, "usage: stream_bench [layers [replays [layout [rows]]]]\n");
    return 2;
  }
  hachi::ops::cuda::run(layers, replays, argc > 3 ? argv[3] : "",
                        argc > 4 ? std::atoi(argv[4]) : 0);
}
