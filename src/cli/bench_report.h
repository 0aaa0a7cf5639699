// What `hachi bench` found, and how it prints it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/bench_runner.h"
#include "kernels/cpu/limits.h"
#include "kernels/gpu.h"
#include "model/config.h"

namespace hachi::cli {

// What one run of a task must do at least, whatever the code.
struct BenchWork {
  double bytes = 0;       // read from memory: weights once a step, and the cache; 0 for a prefill
  double operations = 0;  // of the products with matrices, a multiply-add counted as two
};

struct BenchRow {
  BenchTask task;
  BenchWork work;
  std::vector<double> seconds;                // of each repetition; empty if it was interrupted
  std::optional<BenchRunner::Stages> stages;  // of a repetition of its own, if asked for

  double tokens_per_second(double seconds_of_run) const;
};

struct BenchGroup {
  int threads = 0;
  ops::Limits limits;                 // of the processor
  std::optional<ops::GpuLimits> gpu;  // in their place, on a GPU
  std::vector<BenchRow> rows;
};

struct BenchReport {
  std::string model;
  std::string device;  // the GPU's name; empty: the processor
  model::ModelConfig config;
  uint64_t bytes_per_token = 0;  // weights that a decoded token reads
  DType kv_dtype = DType::kF16;
  enum class Weights { kPlain, kF8, kBlocks };
  Weights weights = Weights::kPlain;  // what most of them are: their products' limit
  double load_seconds = 0;            // until the weights are ready
  double first_token_seconds = 0;     // from the same start to the logits of one token
  uint64_t peak_bytes = 0;            // of the process's memory
  uint64_t gpu_bytes = 0;             // taken on the GPU
  std::vector<BenchGroup> groups;
};

BenchWork work_of(const BenchReport& report, const BenchTask& task);

void print_table(const BenchReport& report);
void print_json(const BenchReport& report);

}  // namespace hachi::cli
