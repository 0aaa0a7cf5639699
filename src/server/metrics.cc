#include "server/metrics.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <sys/resource.h>
#include <unistd.h>

#include <fmt/format.h>

namespace hachi::server {
namespace {

// The bounds are vLLM's, so that quantiles of both can be laid over each other.
constexpr std::array kFirstTokenBounds{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                       0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0,
                                       20.0,  40.0,  80.0, 160., 640., 2560.};
constexpr std::array kTokenBounds{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                  0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
constexpr std::array kRequestBounds{0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,
                                    5.0,  10.0, 15.0, 20.0, 30.0,  40.0,  50.0,
                                    60.0, 120., 240., 480., 960.0, 1920., 7680.};
constexpr std::array kCountBounds{1e0, 2e0, 5e0, 1e1, 2e1, 5e1, 1e2, 2e2, 5e2, 1e3, 2e3,
                                  5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7};
constexpr std::array kAnswerBounds{1.0, 2.0, 5.0, 10.0, 20.0};

std::span<const double> count_bounds(int64_t context_length) {
  const auto end = std::upper_bound(kCountBounds.begin(), kCountBounds.end(),
                                    static_cast<double>(context_length));
  return {kCountBounds.begin(), end};
}

constexpr std::array<std::string_view, kNumOutcomes> kOutcomeNames{"stop", "length", "abort",
                                                                   "error"};

// A number of an engine, by its family.
struct EngineSeries {
  std::string_view name, type, help;
  double (*value)(const EngineCounts&);
};

double cache_usage(const EngineCounts& engine) {
  if (engine.num_pages <= 0) return 0;
  const int64_t used = engine.num_pages - engine.free_pages - engine.idle_pages;
  return static_cast<double>(std::max<int64_t>(0, used)) / static_cast<double>(engine.num_pages);
}

int64_t prefix_misses(const EngineCounts& engine) {
  return engine.prefix_miss_new + engine.prefix_miss_forgotten + engine.prefix_miss_other_salt +
         engine.prefix_miss_page_end + engine.prefix_miss_not_shared;
}

double host_usage(const EngineCounts& engine) {
  if (engine.num_host_pages <= 0) return 0;
  return static_cast<double>(engine.num_host_pages - engine.free_host_pages) /
         static_cast<double>(engine.num_host_pages);
}

double host_hit_rate(const EngineCounts& engine) {
  const int64_t asked = engine.prefix_hit + prefix_misses(engine);
  if (asked <= 0) return 0;
  return static_cast<double>(engine.prefix_hit_host) / static_cast<double>(asked);
}

template <int64_t EngineCounts::*member>
double value_of(const EngineCounts& engine) {
  return static_cast<double>(engine.*member);
}

constexpr EngineSeries kEngineSeries[] = {
    {"vllm:num_requests_running", "gauge", "Requests that take part in the engine's steps.",
     &value_of<&EngineCounts::running>},
    {"vllm:num_requests_waiting", "gauge", "Requests that wait to be taken up.",
     &value_of<&EngineCounts::waiting>},
    {"vllm:kv_cache_usage_perc", "gauge",
     "Share of the KV cache's pages that requests hold; 1 is all of them.", &cache_usage},
    // vLLM's older name, which dashboards of its time read.
    {"vllm:gpu_cache_usage_perc", "gauge", "The same as vllm:kv_cache_usage_perc.", &cache_usage},
    {"vllm:prompt_tokens_total", "counter",
     "Prompt tokens that were read, run or found in the cache.",
     [](const EngineCounts& e) { return static_cast<double>(e.prompt_tokens + e.prefix_hit); }},
    {"vllm:prompt_tokens_cached_total", "counter", "Prompt tokens that were found in the cache.",
     &value_of<&EngineCounts::prefix_hit>},
    {"vllm:generation_tokens_total", "counter", "Tokens that were generated.",
     &value_of<&EngineCounts::generated_tokens>},
    {"vllm:num_preemptions_total", "counter", "Requests that gave their pages to others.",
     &value_of<&EngineCounts::preemptions>},
    {"vllm:prefix_cache_queries_total", "counter",
     "Prompt tokens that were looked for in the prefix cache.",
     [](const EngineCounts& e) { return static_cast<double>(e.prefix_hit + prefix_misses(e)); }},
    {"vllm:prefix_cache_hits_total", "counter",
     "Prompt tokens that were found in the prefix cache.", &value_of<&EngineCounts::prefix_hit>},
    {"vllm:spec_decode_num_draft_tokens_total", "counter", "Tokens that were guessed ahead.",
     &value_of<&EngineCounts::guessed_tokens>},
    {"vllm:spec_decode_num_accepted_tokens_total", "counter",
     "Tokens that were guessed ahead and right.", &value_of<&EngineCounts::accepted_tokens>},
    {"hachi:engine_steps_total", "counter", "Steps of the engine.",
     &value_of<&EngineCounts::steps>},
    {"hachi:device_busy_seconds_total", "counter", "Time in which a GPU worked on steps.",
     [](const EngineCounts& e) { return e.device_busy; }},
    {"hachi:device_waiting_seconds_total", "counter",
     "Time in which a GPU waited for the processor, or moved pages to its memory and back, within "
     "and between steps.",
     [](const EngineCounts& e) { return e.device_waiting; }},
    {"hachi:kv_cache_pages", "gauge", "Pages of the KV cache.",
     &value_of<&EngineCounts::num_pages>},
    {"hachi:prefix_cache_pages", "gauge", "Pages that the prefix cache knows.",
     &value_of<&EngineCounts::cached_pages>},
    {"hachi:prefix_cache_evictions_total", "counter",
     "Pages that the prefix cache forgot to make room.", &value_of<&EngineCounts::evictions>},
    // vLLM's older names for what it kept in the processor's memory.
    {"vllm:num_requests_swapped", "gauge",
     "Requests that gave their pages to others and wait with what is computed of them kept.",
     &value_of<&EngineCounts::swapped>},
    {"vllm:cpu_cache_usage_perc", "gauge",
     "Share of the pages in the processor's memory that hold something; 1 is all of them.",
     &host_usage},
    {"vllm:cpu_prefix_cache_hit_rate", "gauge",
     "Share of the prompt tokens looked for in the prefix cache that came from the processor's "
     "memory.",
     &host_hit_rate},
    {"hachi:host_cache_pages", "gauge", "Pages in the processor's memory.",
     &value_of<&EngineCounts::num_host_pages>},
    {"hachi:host_cache_used_pages", "gauge", "Those that hold something.",
     [](const EngineCounts& e) {
       return static_cast<double>(e.num_host_pages - e.free_host_pages);
     }},
    {"hachi:prefix_cache_host_pages", "gauge",
     "Pages that the prefix cache knows in the processor's memory.",
     &value_of<&EngineCounts::cached_host_pages>},
    {"hachi:prefix_cache_host_hit_tokens_total", "counter",
     "Prompt tokens that were found in the processor's memory.",
     &value_of<&EngineCounts::prefix_hit_host>},
    {"hachi:prefix_cache_moved_out_pages_total", "counter",
     "Pages that the prefix cache moved to the processor's memory.",
     &value_of<&EngineCounts::moved_out>},
    {"hachi:prefix_cache_moved_in_pages_total", "counter", "Pages that it brought back.",
     &value_of<&EngineCounts::moved_in>},
    {"hachi:swaps_total", "counter",
     "Requests that gave their pages to others and kept what was computed of them.",
     &value_of<&EngineCounts::swaps>},
    {"hachi:swapped_out_pages_total", "counter",
     "Pages of such requests, without the prefix cache's, that were copied to the processor's "
     "memory.",
     &value_of<&EngineCounts::swapped_out>},
    {"hachi:swapped_in_pages_total", "counter", "Pages of such requests that were brought back.",
     &value_of<&EngineCounts::swapped_in>},
};

// A reason why prompt tokens were not in the prefix cache.
struct MissReason {
  std::string_view name;
  int64_t EngineCounts::*tokens;
};

constexpr MissReason kMissReasons[] = {
    {"new", &EngineCounts::prefix_miss_new},
    {"forgotten", &EngineCounts::prefix_miss_forgotten},
    {"other_salt", &EngineCounts::prefix_miss_other_salt},
    {"page_end", &EngineCounts::prefix_miss_page_end},
    {"not_shared", &EngineCounts::prefix_miss_not_shared},
};

struct HistogramSeries {
  std::string_view name, help;
  Histogram ModelMetrics::*values;
};

constexpr HistogramSeries kHistograms[] = {
    {"vllm:time_to_first_token_seconds", "From a request's arrival to its first token.",
     &ModelMetrics::time_to_first_token},
    {"vllm:inter_token_latency_seconds", "From one piece of an answer to the next.",
     &ModelMetrics::inter_token_latency},
    // As above.
    {"vllm:time_per_output_token_seconds", "The same as vllm:inter_token_latency_seconds.",
     &ModelMetrics::inter_token_latency},
    {"vllm:request_time_per_output_token_seconds",
     "Mean time for each token after the first, by request.", &ModelMetrics::time_per_output_token},
    {"vllm:e2e_request_latency_seconds", "From a request's arrival to its end.",
     &ModelMetrics::total_time},
    {"vllm:request_queue_time_seconds", "From a request's arrival until the engine took it up.",
     &ModelMetrics::queue_time},
    {"vllm:request_inference_time_seconds", "From there to its end.",
     &ModelMetrics::inference_time},
    {"vllm:request_prefill_time_seconds", "From there to its first token.",
     &ModelMetrics::prefill_time},
    {"vllm:request_decode_time_seconds", "From its first token to its last.",
     &ModelMetrics::decode_time},
    {"vllm:request_prompt_tokens", "Tokens of a prompt.", &ModelMetrics::prompt_tokens},
    {"vllm:request_generation_tokens", "Tokens of an answer.", &ModelMetrics::generation_tokens},
    {"vllm:request_params_max_tokens", "Tokens that a request asked for at most.",
     &ModelMetrics::max_tokens},
    {"vllm:request_params_n", "Answers that a request asked for.", &ModelMetrics::answers},
};

void append_model_families(PrometheusWriter& writer, std::span<const ModelReport> models) {
  for (const EngineSeries& series : kEngineSeries) {
    writer.family(series.name, series.type, series.help);
    for (const ModelReport& model : models) {
      writer.sample({{"model_name", model.metrics->model_name}}, series.value(model.engine));
    }
  }
  writer.family("hachi:prefix_cache_miss_tokens_total", "counter",
                "Prompt tokens that were looked for in the prefix cache and not found, by reason.");
  for (const ModelReport& model : models) {
    for (const MissReason& reason : kMissReasons) {
      writer.sample({{"model_name", model.metrics->model_name}, {"reason", reason.name}},
                    model.engine.*reason.tokens);
    }
  }
  writer.family("vllm:request_success_total", "counter", "Requests that ended, by how.");
  for (const ModelReport& model : models) {
    for (int i = 0; i < kNumOutcomes; ++i) {
      writer.sample(
          {{"model_name", model.metrics->model_name}, {"finished_reason", kOutcomeNames[i]}},
          model.metrics->outcomes[i].load(std::memory_order_relaxed));
    }
  }
  for (const HistogramSeries& series : kHistograms) {
    writer.family(series.name, "histogram", series.help);
    for (const ModelReport& model : models) {
      writer.histogram({{"model_name", model.metrics->model_name}}, model.metrics->*series.values);
    }
  }
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The second number of /proc/self/statm, in pages; 0 if there is none.
int64_t resident_bytes() {
  long pages = 0;
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/statm", "re"),
                                                   &std::fclose);
  if (!file || std::fscanf(file.get(), "%*s %ld", &pages) != 1) return 0;
  return int64_t{pages} * ::sysconf(_SC_PAGESIZE);
}

double seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

// Adds one to the count of `key`, or to that of `other` if the map is full.
template <class Map, class Key>
void add_one(Map& counts, const Key& key, const Key& other) {
  auto at = counts.find(key);
  if (at == counts.end()) {
    at = counts.try_emplace(counts.size() < ServerMetrics::kMaxSeries ? key : other, 0).first;
  }
  ++at->second;
}

}  // namespace

ModelMetrics::ModelMetrics(std::string name, int64_t context_length)
    : model_name(std::move(name)),
      time_to_first_token(kFirstTokenBounds),
      inter_token_latency(kTokenBounds),
      time_per_output_token(kTokenBounds),
      total_time(kRequestBounds),
      queue_time(kRequestBounds),
      prefill_time(kRequestBounds),
      decode_time(kRequestBounds),
      inference_time(kRequestBounds),
      prompt_tokens(count_bounds(context_length)),
      generation_tokens(count_bounds(context_length)),
      max_tokens(count_bounds(context_length)),
      answers(kAnswerBounds) {}

void ModelMetrics::record(const RequestSummary& request) {
  outcomes[static_cast<int>(request.outcome)].fetch_add(1, std::memory_order_relaxed);
  total_time.observe(request.total_s);
  queue_time.observe(request.queue_s);
  prefill_time.observe(request.prefill_s);
  decode_time.observe(request.decode_s);
  inference_time.observe(request.prefill_s + request.decode_s);
  prompt_tokens.observe(static_cast<double>(request.prompt_tokens));
  generation_tokens.observe(static_cast<double>(request.generated_tokens));
  if (request.max_tokens > 0) max_tokens.observe(static_cast<double>(request.max_tokens));
  answers.observe(static_cast<double>(request.n));
  if (request.generated_tokens > 1) {
    time_per_output_token.observe(request.decode_s /
                                  static_cast<double>(request.generated_tokens - 1));
  }
}

ServerMetrics::ServerMetrics(std::string version)
    : version_(std::move(version)), start_time_s_(seconds_since_1970()) {}

void ServerMetrics::count_request(std::string_view route, int status) {
  const std::pair<std::string, int> key(route, status), other("other", 0);
  const std::lock_guard lock(mutex_);
  add_one(requests_, key, other);
}

void ServerMetrics::count_rejected(std::string_view reason) {
  const std::string key(reason), other("other");
  const std::lock_guard lock(mutex_);
  add_one(rejected_, key, other);
}

void ServerMetrics::append(std::string& out) const {
  PrometheusWriter writer(out);
  writer.family("hachi:build_info", "gauge", "Always 1; the label says which Hachi this is.");
  writer.sample({{"version", version_}}, int64_t{1});
  writer.family("hachi:http_connections", "gauge", "Connections that are open.");
  writer.sample({}, connections.load(std::memory_order_relaxed));
  writer.family("hachi:access_log_dropped_lines_total", "counter",
                "Lines of the access log that could not be written.");
  writer.sample({}, access_log_dropped.load(std::memory_order_relaxed));
  {
    const std::lock_guard lock(mutex_);
    writer.family("hachi:http_requests_total", "counter", "Requests, by route and status.");
    for (const auto& [key, count] : requests_) {
      writer.sample({{"path", key.first}, {"status", fmt::to_string(key.second)}}, count);
    }
    writer.family("hachi:rejected_requests_total", "counter",
                  "Requests that were turned away for now, by reason.");
    for (const auto& [reason, count] : rejected_) writer.sample({{"reason", reason}}, count);
  }
  writer.family("process_resident_memory_bytes", "gauge", "Memory that the process has.");
  writer.sample({}, resident_bytes());
  writer.family("process_cpu_seconds_total", "counter", "Processor time, user and system.");
  writer.sample({}, cpu_seconds());
  writer.family("process_start_time_seconds", "gauge", "When the server began, since 1970.");
  writer.sample({}, start_time_s_);
}

void append_metrics(std::string& out, const ServerMetrics& server,
                    std::span<const ModelReport> models) {
  server.append(out);
  PrometheusWriter writer(out);
  append_model_families(writer, models);
}

}  // namespace hachi::server
