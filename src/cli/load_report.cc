#include "cli/load_report.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "cli/terminal.h"

namespace hachi::cli {
namespace {

namespace json = boost::json;

// From here on the client may itself be what is slow.
constexpr double kBusyClient = 0.8;

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

double microseconds_per_chunk(const LoadRecord& record, const LoadSummary& summary) {
  return 1e6 * ratio(record.cpu_seconds, static_cast<double>(summary.chunks));
}

std::string label(const LoadShape& shape) {
  if (shape.rate == 0) return fmt::format("{} user{}", shape.users, shape.users > 1 ? "s" : "");
  const bool poisson = shape.burstiness == 1;
  return fmt::format("{:g} requests a second{}", shape.rate,
                     poisson ? "" : fmt::format(", burstiness {:g}", shape.burstiness));
}

void print_line(const char* name, int64_t total, int64_t answers, double rate,
                const std::string& note) {
  fmt::print("{:<16}{:>10.2f}/s  {:>10} in all, {:.1f} each{}\n", name, rate, total,
             ratio(static_cast<double>(total), static_cast<double>(answers)), note);
}

void print_spread(const char* name, const Spread& spread) {
  if (spread.count == 0) return;
  fmt::print("{:<16}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}\n", name, spread.mean,
             spread.p50, spread.p90, spread.p95, spread.p99, spread.max);
}

void print_failures(const LoadRecord& record, const LoadSummary& summary) {
  for (const auto& [reason, count] : summary.failures) {
    const auto& [status, text] = reason;
    fmt::print("failed: {} x {}{}\n", count, status > 0 ? fmt::format("{}, ", status) : "",
               printable(text));
  }
  if (summary.retries > 0) fmt::print("{} requests were sent again\n", summary.retries);
  if (!record.stopped.empty()) fmt::print("stopped: {}\n", printable(record.stopped));
  if (record.interrupted) fmt::print("interrupted: requests in flight are not counted\n");
}

void print_level(const LoadLevel& level, const LoadTargets& targets) {
  const LoadRecord& record = level.record;
  const LoadSummary summary = LoadSummary::of(record, targets);
  const Style style = Style::of(stdout);
  fmt::print("\n{}{}{}: {} answered, {} failed in {:.2f} s\n", style.bold, label(level.shape),
             style.reset, summary.completed, summary.failed, record.seconds);
  print_failures(record, summary);
  if (summary.completed == 0) return;
  fmt::print("{:<16}{:>10.2f}/s\n", "requests", summary.request_throughput);
  if (targets.any()) {
    fmt::print("{:<16}{:>10.2f}/s  met the targets\n", "goodput", summary.request_goodput);
  }
  if (summary.has_input_tokens) {
    const std::string cached = summary.cached_input_tokens > 0
                                   ? fmt::format(", {} cached", summary.cached_input_tokens)
                                   : std::string();
    print_line("input tokens", summary.total_input_tokens, summary.completed,
               summary.total_token_throughput - summary.output_throughput, cached);
  }
  print_line("output tokens", summary.total_output_tokens, summary.completed,
             summary.output_throughput,
             summary.counted_by_chunks ? " (pieces: the server tells no usage)" : "");
  fmt::print("{}{:<16}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{}\n", style.dim, "ms", "mean", "p50",
             "p90", "p95", "p99", "max", style.reset);
  print_spread("TTFT", summary.ttft_ms);
  print_spread("TPOT", summary.tpot_ms);
  print_spread("ITL", summary.itl_ms);
  print_spread("E2EL", summary.e2el_ms);
  const double busy = ratio(record.cpu_seconds, record.seconds);
  fmt::print("{}this client: {:.1f} us a piece, {:.0f}% of one processor{}{}\n", style.dim,
             microseconds_per_chunk(record, summary), 100 * busy,
             busy > kBusyClient ? "; it may itself be what is slow" : "", style.reset);
}

void add_spread(json::object& out, const std::string& name, const Spread& spread) {
  out["mean_" + name + "_ms"] = spread.mean;
  out["median_" + name + "_ms"] = spread.p50;
  out["std_" + name + "_ms"] = spread.deviation;
  out["p90_" + name + "_ms"] = spread.p90;
  out["p95_" + name + "_ms"] = spread.p95;
  out["p99_" + name + "_ms"] = spread.p99;
  out["max_" + name + "_ms"] = spread.max;
}

json::object level_json(const LoadLevel& level, const LoadTargets& targets) {
  const LoadRecord& record = level.record;
  const LoadSummary summary = LoadSummary::of(record, targets);
  json::array failures;
  for (const auto& [reason, count] : summary.failures) {
    failures.push_back({{"status", reason.first}, {"reason", reason.second}, {"count", count}});
  }
  json::object out;
  if (level.shape.rate > 0) {
    out["request_rate"] = level.shape.rate;
    out["burstiness"] = level.shape.burstiness;
  } else {
    out["max_concurrency"] = level.shape.users;
  }
  out["duration"] = record.seconds;
  out["interrupted"] = record.interrupted;
  if (!record.stopped.empty()) out["stopped"] = record.stopped;
  out["completed"] = summary.completed;
  out["failed"] = summary.failed;
  out["failures"] = std::move(failures);
  out["retries"] = summary.retries;
  out["total_input_tokens"] =
      summary.has_input_tokens ? json::value(summary.total_input_tokens) : json::value();
  out["cached_input_tokens"] = summary.cached_input_tokens;
  out["total_output_tokens"] = summary.total_output_tokens;
  out["output_tokens_are_chunks"] = summary.counted_by_chunks;
  out["request_throughput"] = summary.request_throughput;
  if (targets.any()) out["request_goodput"] = summary.request_goodput;
  out["output_throughput"] = summary.output_throughput;
  out["total_token_throughput"] = summary.total_token_throughput;
  add_spread(out, "ttft", summary.ttft_ms);
  add_spread(out, "tpot", summary.tpot_ms);
  add_spread(out, "itl", summary.itl_ms);
  add_spread(out, "e2el", summary.e2el_ms);
  out["chunks"] = summary.chunks;
  out["connections"] = record.connects;
  out["client_cpu_seconds"] = record.cpu_seconds;
  out["client_us_per_chunk"] = microseconds_per_chunk(record, summary);
  return out;
}

}  // namespace

void print_table(const LoadReport& report) {
  fmt::print("{}, model {}, {}, answers of {}{} tokens\n", report.endpoint_url,
             printable(report.request.model), report.prompts,
             report.request.ignore_eos ? "" : "at most ", report.request.max_tokens);
  for (const LoadLevel& level : report.levels) print_level(level, report.targets);
}

boost::json::object report_json(const LoadReport& report) {
  json::array levels;
  for (const LoadLevel& level : report.levels) {
    levels.push_back(level_json(level, report.targets));
  }
  return {{"url", report.endpoint_url},
          {"model", report.request.model},
          {"prompts", report.prompts},
          {"max_tokens", report.request.max_tokens},
          {"ignore_eos", report.request.ignore_eos},
          {"temperature", report.request.temperature},
          {"percentiles", "linear interpolation at rank share * (n - 1)"},
          {"levels", std::move(levels)}};
}

}  // namespace hachi::cli
