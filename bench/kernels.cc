// How fast the ops run, beside what the machine can do in the same run: bytes that must be read
// over the measured bandwidth, operations over the measured peak.
//
//   bench_kernels [--threads N] [--only TEXT] [--portable] [--json]
//
// Each row is the best of many runs: on a machine that others use too, the best is what repeats.
// Products with block types are held to the peak of 8-bit products, all else to that of float32.
// With --json each row is one line with an object, after a line with the limits.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "kernels/cpu/limits.h"
#include "kernels/decode.h"
#include "kernels/kv_page.h"
#include "kernels/ops.h"
#include "kernels/panels.h"

namespace hachi::ops {
namespace {

constexpr double kSecondsPerRow = 0.4;

double best_seconds(const std::function<void()>& body) {
  body();
  double best = 1e30;
  Stopwatch total;
  do {
    Stopwatch watch;
    body();
    best = std::min(best, watch.seconds());
  } while (total.seconds() < kSecondsPerRow);
  return best;
}

Buffer allocate(uint64_t bytes) {
  Result<Buffer> buffer = Buffer::allocate(bytes);
  CHECK(buffer.has_value());
  return std::move(*buffer);
}

struct Options {
  int threads = usable_cpus();
  bool portable = false;
  bool json = false;
  std::string only;  // rows whose label has it
};

// A row's arithmetic: what it does, and which of the limits it is held to.
struct Arithmetic {
  Arithmetic(double operations_of_row, bool is_int8 = false)  // NOLINT: mostly a plain number
      : operations(operations_of_row), int8(is_int8) {}
  double operations;
  bool int8;
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), pool_(options.threads) {
    ctx_.pool = &pool_;
    if (options.portable) ctx_.features = {};
    Result<Limits> limits = measure_limits(pool_, cpu_features());
    CHECK(limits.has_value());
    limits_ = *limits;
    print_head();
  }

  void row(const std::string& label, double bytes, Arithmetic arithmetic,
           const std::function<void(Context&)>& body) {
    if (!wanted(label)) return;
    const double seconds = best_seconds([&] { body(ctx_); });
    const double peak = arithmetic.int8 ? limits_.int8.best : limits_.float32.best;
    const double of_read = bytes / seconds / limits_.read.best;
    const double of_peak = peak > 0 ? arithmetic.operations / seconds / peak : 0;
    if (options_.json) {
      fmt::print(
          "{{\"op\": \"{}\", \"seconds\": {}, \"bytes\": {}, \"operations\": {}, "
          "\"share_of_read\": {}, \"share_of_peak\": {}}}\n",
          label, seconds, bytes, arithmetic.operations, of_read, of_peak);
    } else {
      fmt::print("{:<44}{:>12.2f}{:>9.2f}{:>7.0f}%{:>10.2f}{:>7.0f}%\n", label, seconds * 1e6,
                 bytes / seconds / 1e9, 100 * of_read, arithmetic.operations / seconds / 1e9,
                 100 * of_peak);
    }
    std::fflush(stdout);
  }

  void matmul_row(DType dtype, int64_t tokens, int64_t outputs, int64_t inputs);
  void attention_row(int64_t tokens, int64_t context, int64_t heads, int64_t kv_heads,
                     int64_t width, DType dtype);
  void small_rows(int64_t tokens, int64_t model_width, int64_t forward_width);

 private:
  void print_head() const;
  // Random floats, or random blocks whose scales are small.
  Tensor filled(DType dtype, int64_t rows, int64_t columns);
  bool wanted(const std::string& label) const {
    return label.find(options_.only) != std::string::npos;
  }

  Options options_;
  ThreadPool pool_;
  Context ctx_;
  Limits limits_;
  std::mt19937 random_{1};
  std::vector<Buffer> buffers_;
};

void Bench::print_head() const {
  if (options_.json) {
    fmt::print("{{\"threads\": {}, \"read\": {}, \"int8\": {}, \"float32\": {}}}\n",
               options_.threads, limits_.read.best, limits_.int8.best, limits_.float32.best);
    return;
  }
  fmt::print("{} threads: {:.1f} GB/s read, {:.1f} GOP/s int8 ({}), {:.1f} GFLOP/s float32 ({})\n",
             options_.threads, limits_.read.best / 1e9, limits_.int8.best / 1e9, limits_.int8.how,
             limits_.float32.best / 1e9, limits_.float32.how);
  fmt::print("{:<44}{:>12}{:>9}{:>8}{:>10}{:>8}\n", "op", "us", "GB/s", "of max", "GOP/s",
             "of max");
}

Tensor Bench::filled(DType dtype, int64_t rows, int64_t columns) {
  const int64_t bytes = rows * row_bytes(dtype, columns);
  buffers_.push_back(allocate(static_cast<uint64_t>(bytes)));
  std::byte* data = buffers_.back().data();
  if (dtype == DType::kF32) {
    for (int64_t i = 0; i < bytes / 4; ++i) {
      reinterpret_cast<float*>(data)[i] = static_cast<float>(random_() % 2001) * 1e-3f - 1.0f;
    }
  } else {
    // The same time for all values, but for subnormal products: 0x2c is about 1/16 as an f16.
    for (int64_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(0x2c ^ (random_() & 0x13));
  }
  return Tensor(data, dtype, {rows, columns});
}

void Bench::matmul_row(DType dtype, int64_t tokens, int64_t outputs, int64_t inputs) {
  const std::string label =
      fmt::format("matmul {} T={} O={} I={}", name(dtype), tokens, outputs, inputs);
  if (!wanted(label)) return;
  Weight weight{.values = filled(dtype, outputs, inputs)};
  if (prefers_panels(ctx_, weight)) {
    buffers_.push_back(allocate(static_cast<uint64_t>(panels_bytes(dtype, outputs, inputs))));
    pack_panels(pool_, weight.values, buffers_.back().data());
    weight.values = ConstTensor(nullptr, dtype, {outputs, inputs});
    weight.panels = buffers_.back().data();
  }
  const Tensor x = filled(DType::kF32, tokens, inputs);
  const Tensor y = filled(DType::kF32, tokens, outputs);
  const int64_t bytes = outputs * row_bytes(dtype, inputs) + 4 * tokens * (inputs + outputs);
  row(label, static_cast<double>(bytes),
      {2.0 * static_cast<double>(tokens * outputs * inputs), traits(dtype).block_size > 1},
      [&](Context& ctx) { matmul(ctx, y, x, weight); });
  buffers_.clear();
}

void Bench::attention_row(int64_t tokens, int64_t context, int64_t heads, int64_t kv_heads,
                          int64_t width, DType dtype) {
  const std::string label = fmt::format("attention {} T={} at {} H={} G={} D={}", name(dtype),
                                        tokens, context, heads, kv_heads, width);
  const std::string store_label = "kv_store" + label.substr(label.find(' '));
  if (!wanted(label) && !wanted(store_label)) return;
  const int64_t num_pages = (context + kPagePositions - 1) / kPagePositions;
  const int64_t page_elements = kv_heads * kPagePositions * width;
  const KvLayer kv{Tensor(filled(dtype, num_pages, page_elements).data(), dtype,
                          {num_pages, kv_heads, width, kPagePositions}),
                   Tensor(filled(dtype, num_pages, page_elements).data(), dtype,
                          {num_pages, kv_heads, kPagePositions, width})};
  std::vector<int32_t> pages(static_cast<size_t>(num_pages));
  for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int32_t>(i);
  std::vector<int32_t> positions(static_cast<size_t>(tokens));
  double pairs = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    positions[static_cast<size_t>(t)] = static_cast<int32_t>(context - tokens + t);
    pairs += static_cast<double>(context - tokens + t + 1);
  }
  const std::vector<SequenceSpan> spans = {{0, tokens, pages}};
  const BatchView batch{{}, positions, spans};
  const Tensor q = filled(DType::kF32, tokens, heads * width);
  const Tensor y = filled(DType::kF32, tokens, heads * width);
  row(label, static_cast<double>(2 * row_bytes(dtype, context * kv_heads * width)),
      4 * pairs * static_cast<double>(heads * width),
      [&](Context& ctx) { attention(ctx, y, q, kv, batch, 0.1f, 0); });
  const ConstTensor rows = q.columns(0, kv_heads * width);
  row(store_label, static_cast<double>(8 * tokens * kv_heads * width), 0,
      [&](Context& ctx) { kv_store(ctx, kv, rows, rows, batch); });
  buffers_.clear();
}

void Bench::small_rows(int64_t tokens, int64_t model_width, int64_t forward_width) {
  const Tensor x = filled(DType::kF32, tokens, model_width);
  const Tensor y = filled(DType::kF32, tokens, model_width);
  const Tensor norm = filled(DType::kF32, 1, model_width);
  const ConstTensor w(norm.data(), DType::kF32, {model_width});
  const auto count = static_cast<double>(tokens * model_width);
  row(fmt::format("rms_norm T={} C={}", tokens, model_width), 8 * count, 4 * count,
      [&](Context& ctx) { rms_norm(ctx, y, x, w, 1e-6f); });
  const Tensor angles = filled(DType::kF32, tokens, 64);
  row(fmt::format("rope T={} C={} D=64", tokens, model_width), 8 * count, 3 * count,
      [&](Context& ctx) { rope(ctx, y, angles, RopeLayout::kHalves); });
  const Tensor head_norm = filled(DType::kF32, 1, 64);
  row(fmt::format("rms_norm_heads T={} C={} D=64", tokens, model_width), 8 * count, 4 * count,
      [&](Context& ctx) {
        rms_norm_heads(ctx, y, ConstTensor(head_norm.data(), DType::kF32, {64}), 1e-6f);
      });
  const Tensor gate_up = filled(DType::kF32, tokens, 2 * forward_width);
  const Tensor hidden = filled(DType::kF32, tokens, forward_width);
  const auto gates = static_cast<double>(tokens * forward_width);
  row(fmt::format("swiglu T={} F={}", tokens, forward_width), 12 * gates, 4 * gates,
      [&](Context& ctx) { swiglu(ctx, hidden, gate_up); });
  row(fmt::format("geglu T={} F={}", tokens, forward_width), 12 * gates, 10 * gates,
      [&](Context& ctx) { geglu(ctx, hidden, gate_up); });
  buffers_.clear();
}

void run(Bench& bench) {
  // Decode: a matrix of Qwen3-8B, beyond the caches; then those of SmolLM2-135M, within them.
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype != DType::kI32) bench.matmul_row(dtype, 1, 12288, 4096);
  }
  for (const DType dtype : {DType::kQ4_1, DType::kF16}) {
    bench.matmul_row(dtype, 1, 576, 576);
    bench.matmul_row(dtype, 1, 1536, 576);
    bench.matmul_row(dtype, 1, 576, 1536);
  }
  bench.matmul_row(DType::kQ8_0, 1, 49152, 576);
  // A few tokens, and prefill.
  for (const int64_t tokens : {2, 4, 8}) bench.matmul_row(DType::kQ4_K, tokens, 4096, 4096);
  for (const DType dtype : {DType::kQ4_0, DType::kQ4_1, DType::kQ8_0}) {
    bench.matmul_row(dtype, 64, 1536, 576);
  }
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_K, DType::kQ6_K}) {
    for (const int64_t tokens : {1, 64}) {  // short enough to be left alone by other processes
      bench.matmul_row(dtype, tokens, 256, 4096);
    }
    bench.matmul_row(dtype, 512, 4096, 4096);
  }
  bench.matmul_row(DType::kQ4_1, 512, 3072, 576);
  for (const DType dtype : {DType::kF16, DType::kQ8_0}) {
    for (const int64_t context : {512, 4096, 16384}) {
      bench.attention_row(1, context, 9, 3, 64, dtype);
      bench.attention_row(1, context, 32, 8, 128, dtype);
    }
    for (const int64_t context : {512, 4096}) {
      bench.attention_row(512, context, 9, 3, 64, dtype);
      bench.attention_row(512, context, 32, 8, 128, dtype);
    }
  }
  for (const int64_t tokens : {1, 512}) {
    bench.small_rows(tokens, 576, 1536);
    bench.small_rows(tokens, 4096, 12288);
  }
}

}  // namespace
}  // namespace hachi::ops

int main(int argc, char** argv) {
  hachi::ops::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--threads" && i + 1 < argc) {
      options.threads = std::max(1, std::atoi(argv[++i]));
    } else if (arg == "--only" && i + 1 < argc) {
      options.only = argv[++i];
    } else if (arg == "--portable") {
      options.portable = true;
    } else if (arg == "--json") {
      options.json = true;
    } else {
      fmt::print(stderr,
                 "usage: bench_kernels [--threads N] [--only TEXT] [--portable] [--json]\n");
      return 2;
    }
  }
  hachi::ops::Bench bench(options);
  hachi::ops::run(bench);
  return 0;
}
