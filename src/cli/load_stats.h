// The figures of a load: percentiles of latencies, rates, and how many answers were fast enough.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/load_answer.h"
#include "core/result.h"

namespace hachi::cli {

// The value at `share` (0 to 1) of ascending `values`: at rank share * (n - 1), between two values
// by linear interpolation, as NumPy and so vLLM have it. 0 for no values.
double percentile(std::span<const double> ascending, double share);

struct Spread {
  int64_t count = 0;
  double mean = 0;
  double deviation = 0;  // standard deviation of the values, not of a sample
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double max = 0;

  static Spread of(std::vector<double> values);
};

// Seconds; 0: no demand.
struct LoadTargets {
  double time_to_first_token = 0;
  double time_per_token = 0;
  double end_to_end = 0;

  bool any() const { return time_to_first_token + time_per_token + end_to_end > 0; }
  bool are_met(const LoadAnswer& answer) const;
};

// "ttft=200,tpot=50,e2el=5000", in milliseconds.
Result<LoadTargets> parse_targets(const std::vector<std::string>& texts);

// What ran under one load, and for how long.
struct LoadRecord {
  std::vector<LoadAnswer> answers;
  double seconds = 0;      // from the first request to the end of the last answer
  double cpu_seconds = 0;  // of this process meanwhile
  int64_t connects = 0;
  bool interrupted = false;
  std::string stopped;  // why no more requests were sent; empty if all were
};

// Names and units (milliseconds) as in the results of `vllm bench serve`, where it has them.
struct LoadSummary {
  int64_t completed = 0;
  int64_t failed = 0;
  int64_t retries = 0;
  std::map<std::pair<int, std::string>, int64_t> failures;  // by status and reason
  int64_t total_input_tokens = 0;
  int64_t cached_input_tokens = 0;
  int64_t total_output_tokens = 0;
  int64_t chunks = 0;
  bool has_input_tokens = true;    // the server told them for each answer
  bool counted_by_chunks = false;  // some answer's tokens, as the server did not tell them
  double request_throughput = 0;   // per second
  double request_goodput = 0;      // of answers that met the targets
  double output_throughput = 0;    // tokens per second
  double total_token_throughput = 0;
  Spread ttft_ms;  // time to first token
  Spread tpot_ms;  // time per output token after the first, of each answer
  Spread itl_ms;   // each gap between two texts
  Spread e2el_ms;  // end to end

  static LoadSummary of(const LoadRecord& record, const LoadTargets& targets);
};

}  // namespace hachi::cli
