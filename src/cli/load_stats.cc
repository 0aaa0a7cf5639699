#include "cli/load_stats.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace hachi::cli {
namespace {

constexpr double kMilliseconds = 1000;
constexpr size_t kMaxReasons = 16;

double per_second(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

void count_failure(const LoadAnswer& answer, LoadSummary& summary) {
  ++summary.failed;
  std::pair reason(answer.status, answer.failure);
  const bool is_new = !summary.failures.contains(reason);
  if (is_new && summary.failures.size() >= kMaxReasons) reason = {0, "other reasons"};
  ++summary.failures[reason];
}

void count_tokens(const LoadAnswer& answer, LoadSummary& summary) {
  summary.total_output_tokens += answer.tokens();
  summary.chunks += answer.chunks;
  summary.total_input_tokens += std::max<int64_t>(answer.prompt_tokens, 0);
  summary.cached_input_tokens += std::max<int64_t>(answer.cached_tokens, 0);
  if (answer.prompt_tokens < 0) summary.has_input_tokens = false;
  if (answer.output_tokens < 0) summary.counted_by_chunks = true;
}

}  // namespace

double percentile(std::span<const double> ascending, double share) {
  if (ascending.empty()) return 0;
  const double rank = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(rank);
  if (below + 1 >= ascending.size()) return ascending.back();
  const double part = rank - static_cast<double>(below);
  return ascending[below] + part * (ascending[below + 1] - ascending[below]);
}

Spread Spread::of(std::vector<double> values) {
  Spread spread;
  if (values.empty()) return spread;
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  for (const double value : values) spread.mean += value / count;
  double variance = 0;
  for (const double value : values) {
    variance += (value - spread.mean) * (value - spread.mean) / count;
  }
  spread.count = static_cast<int64_t>(values.size());
  spread.deviation = std::sqrt(variance);
  spread.p50 = percentile(values, 0.50);
  spread.p90 = percentile(values, 0.90);
  spread.p95 = percentile(values, 0.95);
  spread.p99 = percentile(values, 0.99);
  spread.max = values.back();
  return spread;
}

bool LoadTargets::are_met(const LoadAnswer& answer) const {
  const auto meets = [](double value, double target) { return target == 0 || value <= target; };
  return meets(answer.time_to_first_token(), time_to_first_token) &&
         meets(answer.time_per_token(), time_per_token) && meets(answer.end_to_end(), end_to_end);
}

Result<LoadTargets> parse_targets(const std::vector<std::string>& texts) {
  LoadTargets targets;
  for (const std::string& text : texts) {
    const size_t equals = std::min(text.find('='), text.size());
    const std::string name = text.substr(0, equals);
    double* target = name == "ttft"   ? &targets.time_to_first_token
                     : name == "tpot" ? &targets.time_per_token
                     : name == "e2el" ? &targets.end_to_end
                                      : nullptr;
    const char* const end = text.data() + text.size();
    double value = 0;
    const auto [stop, error] = std::from_chars(std::min(text.data() + equals + 1, end), end, value);
    if (target == nullptr || error != std::errc() || stop != end || !(value > 0)) {
      return fail(Code::kInvalidArgument,
                  "--slo {}: must be ttft=MS, tpot=MS or e2el=MS with a number above 0", text);
    }
    *target = value / kMilliseconds;
  }
  return targets;
}

LoadSummary LoadSummary::of(const LoadRecord& record, const LoadTargets& targets) {
  LoadSummary summary;
  std::vector<double> first_token;
  std::vector<double> per_token;
  std::vector<double> gaps;
  std::vector<double> whole;
  int64_t met = 0;
  for (const LoadAnswer& answer : record.answers) {
    summary.retries += answer.retries;
    if (answer.end == LoadAnswer::End::kFailed) count_failure(answer, summary);
    if (answer.end != LoadAnswer::End::kCompleted) continue;
    ++summary.completed;
    met += targets.are_met(answer) ? 1 : 0;
    count_tokens(answer, summary);
    first_token.push_back(kMilliseconds * answer.time_to_first_token());
    if (answer.tokens() > 1) per_token.push_back(kMilliseconds * answer.time_per_token());
    for (const float gap : answer.gaps) gaps.push_back(kMilliseconds * static_cast<double>(gap));
    whole.push_back(kMilliseconds * answer.end_to_end());
  }
  const auto rate = [&](int64_t count) {
    return per_second(static_cast<double>(count), record.seconds);
  };
  summary.request_throughput = rate(summary.completed);
  summary.request_goodput = rate(met);
  summary.output_throughput = rate(summary.total_output_tokens);
  summary.total_token_throughput = rate(summary.total_input_tokens + summary.total_output_tokens);
  summary.ttft_ms = Spread::of(std::move(first_token));
  summary.tpot_ms = Spread::of(std::move(per_token));
  summary.itl_ms = Spread::of(std::move(gaps));
  summary.e2el_ms = Spread::of(std::move(whole));
  return summary;
}

}  // namespace hachi::cli
