// What the server counts, under vLLM's names where vLLM has one, so that its dashboards read Hachi
// as they are; Hachi's own are named hachi:. Sources: vLLM's vllm/v1/metrics/loggers.py and
// vllm/v1/spec_decode/metrics.py.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "server/prometheus.h"

namespace hachi::server {

// What one engine counted, as its statistics have it.
struct EngineCounts {
  int64_t running = 0, waiting = 0;
  int64_t num_pages = 0, free_pages = 0;
  int64_t cached_pages = 0;  // known to the prefix cache
  int64_t idle_pages = 0;    // of those, held by no request: free for whoever needs them
  int64_t steps = 0;
  int64_t prompt_tokens = 0;  // that were run, so without prefix_hit
  int64_t generated_tokens = 0;
  int64_t guessed_tokens = 0, accepted_tokens = 0;
  int64_t preemptions = 0, evictions = 0;
  double device_busy = 0, device_waiting = 0;  // seconds
  // In the processor's memory: pages, and of those the ones that nobody uses or the prefix cache
  // knows; pages of the prefix cache that were moved there and back.
  int64_t num_host_pages = 0, free_host_pages = 0, cached_host_pages = 0;
  int64_t moved_out = 0, moved_in = 0;
  // Requests that wait with their pages kept, and such as ever did; pages of theirs that were
  // copied.
  int64_t swapped = 0, swaps = 0;
  int64_t swapped_out = 0, swapped_in = 0;
  // Prompt tokens that were looked for in the cache: found, and not found by reason.
  int64_t prefix_hit = 0;
  int64_t prefix_hit_host = 0;  // of those, in the processor's memory
  int64_t prefix_miss_new = 0, prefix_miss_forgotten = 0, prefix_miss_other_salt = 0;
  int64_t prefix_miss_page_end = 0, prefix_miss_not_shared = 0;
};

enum class Outcome { kStop, kLength, kAbort, kError };
inline constexpr int kNumOutcomes = 4;

// One request that ended. Times in seconds.
struct RequestSummary {
  Outcome outcome = Outcome::kStop;
  double total_s = 0;    // from its arrival to its last token
  double queue_s = 0;    // until its first prefill
  double prefill_s = 0;  // from there to its first token
  double decode_s = 0;   // from there to its last token
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t max_tokens = 0;  // asked for; 0: not said
  int64_t n = 1;           // answers asked for
};

// The histograms and counters of one model. Any thread may feed them; nothing allocates or locks.
struct ModelMetrics {
  // `context_length` [tokens] bounds the buckets of token counts, as in vLLM.
  ModelMetrics(std::string model_name, int64_t context_length);

  // Once a request, when it ends.
  void record(const RequestSummary& request);

  const std::string model_name;

  // Fed by the stream as tokens come.
  Histogram time_to_first_token;  // seconds
  Histogram inter_token_latency;  // seconds between one event of a stream and the next

  // Fed by record().
  Histogram time_per_output_token, total_time, queue_time, prefill_time, decode_time,
      inference_time;                                               // seconds
  Histogram prompt_tokens, generation_tokens, max_tokens, answers;  // counts
  std::array<std::atomic<int64_t>, kNumOutcomes> outcomes{};
};

// What the process and its HTTP server count. Any thread may feed it.
class ServerMetrics {
 public:
  // Label values beyond this many count as "other".
  static constexpr size_t kMaxSeries = 1024;

  explicit ServerMetrics(std::string version);

  // `route` is the pattern of a route ("/v1/files/{id}") or a fixed word, never what a client sent:
  // each value is a series that Prometheus keeps for ever.
  void count_request(std::string_view route, int status);
  // `reason` is one of our own words: "requests", "tokens", "concurrency", "queue_full",
  // "draining".
  void count_rejected(std::string_view reason);

  std::atomic<int64_t> connections{0};         // open now
  std::atomic<int64_t> access_log_dropped{0};  // lines that could not be written

  void append(std::string& out) const;

 private:
  const std::string version_;
  const double start_time_s_;  // since 1970, of this object, which the server makes at its start
  mutable std::mutex mutex_;   // guards the maps
  std::map<std::pair<std::string, int>, int64_t, std::less<>> requests_;
  std::map<std::string, int64_t, std::less<>> rejected_;
};

// One model at the moment of a scrape.
struct ModelReport {
  const ModelMetrics* metrics;  // not null
  EngineCounts engine;          // zeros while the model is not loaded
};

// All of /metrics.
void append_metrics(std::string& out, const ServerMetrics& server,
                    std::span<const ModelReport> models);

}  // namespace hachi::server
