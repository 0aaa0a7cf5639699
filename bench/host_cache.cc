// What the processor's memory is worth to an engine whose KV cache is too small: for prompts that
// come again after others have pushed them out, and for answers that outgrow the cache together.
//
//   bench_host_cache [MODEL] [--cache-tokens N] [--host-tokens N] [--prompts N] [--prompt-tokens N]
//                    [--users N] [--answer-tokens N]
//
// MODEL is synthetic, such as synthetic:qwen3-8b:bf16. It runs on the first GPU, or else on the
// processor. Each case prints one line.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/random.h"
#include "engine/engine.h"
#include "engine/model_runner.h"
#include "kernels/gpu.h"
#include "model/synthetic.h"

namespace hachi::bench {
namespace {

using engine::Engine;
using engine::EngineStats;
using engine::ModelRunner;
using engine::Preempt;
using engine::Request;

struct Options {
  std::string model = "synthetic:tiny:bf16";
  std::map<std::string, int64_t, std::less<>> numbers{
      {"--cache-tokens", 2048}, {"--host-tokens", 32768}, {"--prompts", 16},
      {"--prompt-tokens", 448}, {"--users", 16},          {"--answer-tokens", 256}};
  int64_t operator[](std::string_view name) const { return numbers.find(name)->second; }
};

struct Place {
  model::Model* model;
  ops::Gpu* gpu;  // null: the processor
};

template <class T>
T or_exit(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "bench_host_cache: %s\n", result.error().message.c_str());
  std::exit(1);
}

std::unique_ptr<Engine> make_engine(const Place& place, const Options& options, int64_t host_tokens,
                                    Preempt preempt) {
  const bool on_gpu = place.gpu != nullptr;
  const int64_t step = on_gpu ? 4096 : 256;
  auto runner = or_exit(
      ModelRunner::create(*place.model, {.cache_tokens = options["--cache-tokens"],
                                         .max_tokens = step,
                                         .max_rows = options["--users"],
                                         .host_pages = host_tokens / model::KvCache::kPageTokens,
                                         .kv_dtype = on_gpu ? DType::kBF16 : DType::kF16,
                                         .gpu = place.gpu}));
  if (host_tokens > 0) {
    std::printf("  a page takes %.3f ms one way\n", 1e3 * runner->page_copy_seconds());
  }
  return std::make_unique<Engine>(
      std::move(runner), engine::EngineOptions{.scheduler = {.max_sequences = options["--users"],
                                                             .step_tokens = step,
                                                             .prompt_tokens = on_gpu ? 512 : 64,
                                                             .preempt = preempt}});
}

Request request_of(const Engine& engine, uint64_t number, int64_t prompt, int64_t answer) {
  Request request{.sampling = {.temperature = 0}, .max_tokens = answer};
  for (int64_t i = 0; i < prompt; ++i) {
    const double where = uniform(number + 1, static_cast<uint64_t>(i));
    request.prompt.push_back(
        static_cast<int32_t>(where * static_cast<double>(engine.vocab_size())));
  }
  return request;
}

using Streams = std::vector<std::shared_ptr<engine::Stream>>;

// The tokens of each, all of them there. All are read in turn, as the engine waits for readers.
std::vector<std::vector<int32_t>> read(const Streams& streams) {
  std::vector<std::vector<int32_t>> tokens(streams.size());
  engine::TokenEvent event;
  for (bool ended = false; !ended; std::this_thread::sleep_for(std::chrono::microseconds(50))) {
    ended = true;
    for (size_t i = 0; i < streams.size(); ++i) {
      ended &= streams[i]->finished().has_value();
      while (streams[i]->take(event)) tokens[i].push_back(event.chosen.token);
    }
  }
  return tokens;
}

// Prompts one after the other, in two rounds, each with one token of an answer.
void time_prefixes(const Place& place, const Options& options, int64_t host_tokens) {
  const auto engine = make_engine(place, options, host_tokens, Preempt::kAuto);
  const int64_t count = options["--prompts"];
  std::vector<std::vector<int32_t>> answers[2];
  for (const int round : {0, 1}) {
    const Stopwatch watch;
    int64_t cached = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto stream = or_exit(engine->submit(
          request_of(*engine, static_cast<uint64_t>(i), options["--prompt-tokens"], 1)));
      answers[round].push_back(read({stream})[0]);
      cached += stream->usage().cached_tokens;
    }
    const EngineStats stats = engine->stats();
    std::printf(
        "prefixes, host cache of %6ld tokens, round %d: %8.2f ms a prompt, %ld of %ld "
        "tokens cached, pages moved so far: %ld out, %ld in\n",
        host_tokens, round + 1, 1e3 * watch.seconds() / static_cast<double>(count), cached,
        count * options["--prompt-tokens"], stats.moved_out, stats.moved_in);
  }
  if (answers[0] != answers[1]) std::printf("  THE ANSWERS DIFFER\n");
}

// All users at once, whose answers outgrow the cache.
void time_answers(const Place& place, const Options& options, int64_t host_tokens, Preempt preempt,
                  const char* name, std::vector<std::vector<int32_t>>& expected) {
  const auto engine = make_engine(place, options, host_tokens, preempt);
  const Stopwatch watch;
  Streams streams;
  for (int64_t i = 0; i < options["--users"]; ++i) {
    streams.push_back(or_exit(
        engine->submit(request_of(*engine, static_cast<uint64_t>(1000 + i),
                                  options["--prompt-tokens"] / 2, options["--answer-tokens"]))));
  }
  const std::vector<std::vector<int32_t>> answers = read(streams);
  const double seconds = watch.seconds();
  const EngineStats stats = engine->stats();
  std::printf(
      "answers, host cache of %6ld tokens, %-9s: %8.1f tokens/s, %ld preempted, %ld kept, "
      "%ld tokens run again, pages copied: %ld out, %ld in\n",
      host_tokens, name, static_cast<double>(stats.generated_tokens) / seconds, stats.preemptions,
      stats.swap.sequences,
      stats.prompt_tokens - options["--users"] * (options["--prompt-tokens"] / 2),
      stats.swap.out + stats.moved_out, stats.swap.in + stats.moved_in);
  if (expected.empty()) expected = answers;
  int64_t others = 0;
  for (size_t i = 0; i < answers.size(); ++i) others += answers[i] != expected[i] ? 1 : 0;
  if (others > 0) std::printf("  %ld of the answers are others than in the first case\n", others);
}

void run(const Options& options) {
  auto checkpoint = or_exit(model::synthetic_checkpoint(options.model));
  auto gpu = ops::Gpu::open({});
  auto model = or_exit(
      model::Model::load(std::make_shared<const formats::Checkpoint>(std::move(checkpoint))));
  ThreadPool pool(usable_cpus());
  ops::Context ctx;
  ctx.pool = &pool;
  if (gpu) {
    ctx.device = ops::Device::kCuda;
    ctx.gpu = gpu->get();
  }
  if (const auto placed = model.repack(ctx); !placed) {
    std::fprintf(stderr, "bench_host_cache: %s\n", placed.error().message.c_str());
    std::exit(1);
  }
  const Place place{&model, ctx.gpu};
  const int64_t host = options["--host-tokens"];
  std::printf("%s on %s, KV cache of %ld tokens, prompts of %ld\n", options.model.c_str(),
              ctx.gpu != nullptr ? ctx.gpu->info().name.c_str() : "the processor",
              options["--cache-tokens"], options["--prompt-tokens"]);
  for (const int64_t tokens : {int64_t{0}, host}) time_prefixes(place, options, tokens);
  std::vector<std::vector<int32_t>> expected;
  time_answers(place, options, 0, Preempt::kRecompute, "recompute", expected);
  time_answers(place, options, host, Preempt::kRecompute, "recompute", expected);
  time_answers(place, options, host, Preempt::kSwap, "swap", expected);
  time_answers(place, options, host, Preempt::kAuto, "auto", expected);
}

}  // namespace
}  // namespace hachi::bench

int main(int argc, char** argv) {
  hachi::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const auto found = options.numbers.find(std::string_view(argv[i]));
    if (found != options.numbers.end() && i + 1 < argc) {
      found->second = std::strtoll(argv[++i], nullptr, 10);
    } else if (argv[i][0] != '-') {
      options.model = argv[i];
    } else {
      std::fprintf(stderr, "bench_host_cache: '%s' is unknown or has no number\n", argv[i]);
      return 2;
    }
  }
  hachi::bench::run(options);
  return 0;
}
