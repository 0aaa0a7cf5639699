// `hachi bench`: how fast a model reads and writes here, beside what the machine could do.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/bench_report.h"
#include "cli/bench_runner.h"
#include "cli/bench_serve.h"
#include "cli/command.h"
#include "cli/gpu.h"
#include "cli/interrupt.h"
#include "cli/loaded_model.h"
#include "cli/ranks.h"
#include "cli/terminal.h"
#include "core/clock.h"
#include "engine/tensor_parallel.h"
#include "model/synthetic.h"

namespace hachi::cli {
namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 30;
constexpr int64_t kMaxSequences = 1024;
constexpr int kMaxThreads = 1024;
constexpr int kMaxRepetitions = 1000;

struct BenchOptions {
  std::string model;
  std::vector<int64_t> prompts = {128, 512};
  std::vector<int64_t> generate = {32};
  std::vector<int64_t> depths = {0};
  std::vector<int> threads;
  bool pin = false;
  std::vector<int64_t> batches = {1};
  int repetitions = 5;
  std::string kv_type = "f16";
  bool stages = false;
  bool json = false;
  bool quiet = false;
  DeviceOptions device;
  int tensor_parallel = 1;
  model::Shard shard;  // of this process
};

// The process's largest resident memory since it began or reset_peak_memory() was called.
uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

// What the limits' probes took must not count. Where the system does not allow it, it counts.
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

// The tasks for each number of threads.
std::vector<BenchTask> tasks_of(const BenchOptions& options) {
  std::vector<BenchTask> tasks;
  for (const int64_t depth : options.depths) {
    for (const int64_t tokens : options.prompts) {
      if (tokens > 0) tasks.push_back({BenchTask::Kind::kPrefill, tokens, depth, 1});
    }
    for (const int64_t sequences : options.batches) {
      for (const int64_t tokens : options.generate) {
        if (tokens > 0) tasks.push_back({BenchTask::Kind::kDecode, tokens, depth, sequences});
      }
    }
  }
  return tasks;
}

struct Extent {
  int64_t context = 1;
  int64_t sequences = 1;
};

Result<Extent> extent_of(const std::vector<BenchTask>& tasks, const model::ModelConfig& config) {
  Extent extent;
  for (const BenchTask& task : tasks) {
    extent.context = std::max(extent.context, task.depth + task.tokens);
    extent.sequences = std::max(extent.sequences, task.sequences);
  }
  if (extent.context > config.context_length) {
    return fail(Code::kContextTooLong,
                "{} tokens do not fit into this model's context of {}: ask for a smaller --depth, "
                "--prompt or --generate",
                extent.context, config.context_length);
  }
  return extent;
}

// What most of the bytes are.
BenchReport::Weights kind_of_weights(const formats::Checkpoint& checkpoint) {
  int64_t blocks = 0;
  int64_t f8 = 0;
  int64_t plain = 0;
  for (const formats::TensorEntry& tensor : checkpoint.tensors()) {
    if (tensor.data.rank() != 2) continue;
    const int64_t bytes = tensor.data.size(0) * row_bytes(tensor.data.dtype(), tensor.data.size(1));
    const DType type = tensor.data.dtype();
    (traits(type).block_size > 1 ? blocks : type == DType::kF8E4M3 ? f8 : plain) += bytes;
  }
  if (blocks > std::max(plain, f8)) return BenchReport::Weights::kBlocks;
  return f8 > plain ? BenchReport::Weights::kF8 : BenchReport::Weights::kPlain;
}

// False if it was interrupted; what was measured by then is in `row`.
bool measure(BenchRunner& runner, const BenchOptions& options, int threads, BenchRow& row) {
  const BenchTask& task = row.task;
  ProgressLine progress(fmt::format("{} of {} tokens, {} threads",
                                    task.kind == BenchTask::Kind::kPrefill ? "prefill" : "decode",
                                    task.tokens, threads),
                        options.quiet);
  // The first run finds cold caches, and weights that are not in memory yet; it does not count.
  BenchTask warm_up = task;
  if (task.kind == BenchTask::Kind::kDecode) warm_up.tokens = std::min<int64_t>(task.tokens, 2);
  if (!runner.run(warm_up, InterruptGuard::requested)) return false;
  for (int i = 0; i < options.repetitions; ++i) {
    progress.update(i, options.repetitions);
    const auto seconds = runner.run(task, InterruptGuard::requested);
    if (!seconds) return false;
    row.seconds.push_back(*seconds);
  }
  if (options.stages) row.stages = runner.stages(task, InterruptGuard::requested);
  return !options.stages || row.stages;
}

Result<void> run_groups(BenchRunner& runner, ops::Gpu* gpu, const BenchOptions& options,
                        const std::vector<BenchTask>& tasks, BenchReport& report) {
  for (const int threads : options.threads) {
    TRY(runner.set_threads(threads, options.pin));
    report.peak_bytes = std::max(report.peak_bytes, peak_memory());
    BenchGroup& group = report.groups.emplace_back();
    group.threads = threads;
    if (gpu != nullptr) {
      report.gpu_bytes = gpu->memory_used();
      TRY(group.gpu, gpu->measure_limits());
    } else {
      TRY(group.limits, ops::measure_limits(runner.pool(), ops::cpu_features()));
    }
    reset_peak_memory();
    for (const BenchTask& task : tasks) {
      BenchRow row{task, work_of(report, task), {}, {}};
      const bool whole = measure(runner, options, threads, row);
      if (!row.seconds.empty()) group.rows.push_back(std::move(row));
      if (!whole) return fail(Code::kCancelled, "interrupted");
    }
  }
  return {};
}

// What the options leave to the machine, and to where this process stands among the ranks.
Result<Ranks> settle(BenchOptions& options) {
  ModelOptions own{.threads = options.threads.empty() ? 0 : options.threads.front(),
                   .device = options.device};
  TRY(Ranks ranks, Ranks::find(options.tensor_parallel, own));
  options.device = own.device;
  options.shard = own.shard;
  if (options.tensor_parallel > 1) options.threads = {own.threads};
  if (options.threads.empty()) options.threads = {usable_cpus()};
  return ranks;
}

// What a report says of the model before anything has run.
BenchReport report_on(const BenchOptions& options, const formats::Checkpoint& checkpoint,
                      const model::Model& model, const ops::Gpu* gpu) {
  BenchReport report;
  report.model = options.model;
  if (gpu != nullptr) report.device = gpu->info().name;
  if (options.tensor_parallel > 1) {
    report.model += fmt::format(", a rank of {}", options.tensor_parallel);
  }
  report.config = model.config();
  report.bytes_per_token = model.bytes_per_token();
  report.kv_dtype = *dtype_from_name(options.kv_type);
  report.weights = kind_of_weights(checkpoint);
  return report;
}

Result<int> run_bench(BenchOptions options) {
  if (options.model.empty()) {
    return fail(Code::kInvalidArgument, "MODEL is required (see hachi bench --help)");
  }
  const InterruptGuard guard;
  std::sort(options.depths.begin(), options.depths.end());
  TRY(Ranks ranks, settle(options));
  TRY(ranks.meet());
  const std::vector<BenchTask> tasks = tasks_of(options);
  const bool synthetic = options.model.rfind(model::kSyntheticPrefix, 0) == 0;
  Stopwatch watch;
  TRY(const auto checkpoint, open_checkpoint(options.model));
  if (synthetic) watch.restart();
  TRY(const std::unique_ptr<ops::Gpu> gpu, open_gpu(options.device));
  if (gpu != nullptr) options.threads.resize(1);  // the processor only hands out work
  const int most_threads = *std::max_element(options.threads.begin(), options.threads.end());
  TRY(model::Model model, model::Model::load(checkpoint, {}, options.shard));
  TRY(repack(model, most_threads, gpu.get()));
  BenchReport report = report_on(options, *checkpoint, model, gpu.get());
  report.load_seconds = watch.seconds();
  TRY(const Extent extent, extent_of(tasks, report.config));
  std::unique_ptr<ops::Collective> collective;
  TRY(BenchRunner runner,
      BenchRunner::create(model, gpu.get(), extent.sequences, extent.context, report.kv_dtype));
  if (ranks.group() != nullptr) {
    TRY(collective, engine::make_collective(*ranks.group(), gpu.get()));
    if (ranks.rank() != 0) {
      TRY(runner.follow(*ranks.group(), *collective, most_threads, options.pin));
      ranks.finish();
      return 0;
    }
    runner.lead(*ranks.group(), *collective);
  }
  TRY(runner.set_threads(most_threads, options.pin));
  runner.first_token();
  report.first_token_seconds = watch.seconds();
  const Result<void> whole = run_groups(runner, gpu.get(), options, tasks, report);
  ranks.finish();
  report.peak_bytes = std::max(report.peak_bytes, peak_memory());
  options.json ? print_json(report) : print_table(report);
  TRY(whole);
  return 0;
}

void add_options(CLI::App& app, BenchOptions& options) {
  app.add_option("MODEL", options.model,
                 "A .gguf file, a Hugging Face folder, a name in the store, or "
                 "synthetic:SHAPE:TYPE, such as synthetic:qwen3-8b:q4_0")
      ->type_name("MODEL");
  const auto list = [&](const char* names, auto& values, const char* text, auto low, auto high) {
    app.add_option(names, values, text)
        ->delimiter(',')
        ->check(CLI::Range(low, high).description(""))
        ->type_name("N,...")
        ->capture_default_str();
  };
  list("--prompt,-p", options.prompts, "Tokens of the prompts to read", int64_t{0}, kMaxTokens);
  list("--generate,-n", options.generate, "Tokens to write", int64_t{0}, kMaxTokens);
  list("--depth,-d", options.depths, "Tokens that stand in the cache before", int64_t{0},
       kMaxTokens);
  list("--threads,-t", options.threads, "Threads to compute with (default: all allowed)", 1,
       kMaxThreads);
  app.add_flag("--pin", options.pin, "Keep each thread on a core of its own");
  list("--batch", options.batches, "Sequences that are written at once", int64_t{1}, kMaxSequences);
  app.add_option("--repetitions,-r", options.repetitions, "Runs of each; the median counts")
      ->check(CLI::Range(1, kMaxRepetitions).description(""))
      ->type_name("N")
      ->capture_default_str();
  add_kv_type_option(app, options.kv_type);
  add_device_options(app, options.device);
  add_tensor_parallel_option(app, options.tensor_parallel);
  app.add_flag("--stages", options.stages,
               "Also milliseconds of a step, or a prompt, by stage, in a run that does not count");
  app.add_flag("--json", options.json, "As one JSON object");
  app.add_flag("--quiet,-q", options.quiet, "No progress");
}

}  // namespace

Command add_bench(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "bench", "Measure a model's speed beside the machine's limits, or a server under load");
  auto options = std::make_shared<BenchOptions>();
  add_options(*app, *options);
  app->footer(fmt::format(R"(
"of read" is the memory speed measured in the same run that the weights and the cache account for,
"of peak" the same for the products with matrices and the processor's fastest instructions.
A step's time has the drawing of its most likely tokens in it.
Shapes for synthetic models: {}

Examples:
  hachi bench smollm2
  hachi bench model.gguf -p 512 -n 64 -d 0,4096 -t 1,2
  hachi bench synthetic:qwen3-8b:q4_k_m --batch 1,8 --json
  hachi bench serve --help                a server under load)",
                          model::synthetic_shapes()));
  const Command serve = add_bench_serve(*app);
  return {app,
          [options, serve] { return serve.app->parsed() ? serve.run() : run_bench(*options); }};
}

}  // namespace hachi::cli
