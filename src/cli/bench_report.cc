#include "cli/bench_report.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/store.h"
#include "cli/terminal.h"

namespace hachi::cli {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string label(const BenchTask& task) {
  const bool prefill = task.kind == BenchTask::Kind::kPrefill;
  std::string text = fmt::format("{} {}", prefill ? "prefill" : "decode", task.tokens);
  if (task.sequences > 1) text += fmt::format(" x {}", task.sequences);
  if (task.depth > 0) text += fmt::format(" at {}", task.depth);
  return text;
}

struct Summary {
  double median, low, high;  // tokens a second, of all sequences together
};

Summary summarize(const BenchRow& row) {
  const auto [fast, slow] = std::minmax_element(row.seconds.begin(), row.seconds.end());
  return {row.tokens_per_second(median(row.seconds)), row.tokens_per_second(*slow),
          row.tokens_per_second(*fast)};
}

// Of a limit, by the median run; 0 if either is not known.
double share(double work, const BenchRow& row, double limit) {
  return limit > 0 ? work / median(row.seconds) / limit : 0;
}

std::string percent(double share) {
  return share > 0 ? fmt::format("{:.0f}%", 100 * share) : std::string("-");
}

std::string scaled(double rate, double unit) {
  return rate > 0 ? fmt::format("{:.1f}", rate / unit) : std::string("-");
}

// Operations a second, and the type of the products that they were measured with.
struct Arithmetic {
  double best;
  std::string_view type;
};

Arithmetic arithmetic(const BenchReport& report, const BenchGroup& group) {
  using Weights = BenchReport::Weights;
  if (group.gpu) {
    return report.weights == Weights::kF8 ? Arithmetic{group.gpu->fp8, "fp8"}
                                          : Arithmetic{group.gpu->bf16, "bf16"};
  }
  return report.weights == Weights::kBlocks ? Arithmetic{group.limits.int8.best, "int8"}
                                            : Arithmetic{group.limits.float32.best, "float32"};
}

double read_limit(const BenchGroup& group) {
  return group.gpu ? group.gpu->read : group.limits.read.best;
}

void print_limits(const BenchReport& report, const BenchGroup& group) {
  if (group.gpu) {
    fmt::print("\n{}, limits: read {:.0f} GB/s, bf16 {:.0f} TFLOP/s, fp8 {:.0f} TFLOP/s\n",
               printable(report.device), group.gpu->read / 1e9, group.gpu->bf16 / 1e12,
               group.gpu->fp8 / 1e12);
    return;
  }
  const ops::Limits& limits = group.limits;
  fmt::print("\n{} thread{}, limits: read {:.1f} GB/s (median {:.1f})", group.threads,
             group.threads == 1 ? "" : "s", limits.read.best / 1e9, limits.read.median / 1e9);
  if (limits.int8.best > 0) {
    fmt::print(", int8 {:.0f} GOP/s ({}), float32 {:.0f} GFLOP/s ({})", limits.int8.best / 1e9,
               limits.int8.how, limits.float32.best / 1e9, limits.float32.how);
  }
  fmt::print("\n");
}

boost::json::object rate_json(const ops::Rate& rate) {
  return {{"best", rate.best}, {"median", rate.median}, {"how", rate.how}};
}

boost::json::object limits_json(const BenchGroup& group) {
  if (group.gpu) {
    return {{"read", group.gpu->read}, {"bf16", group.gpu->bf16}, {"fp8", group.gpu->fp8}};
  }
  return {{"read", rate_json(group.limits.read)},
          {"int8", rate_json(group.limits.int8)},
          {"float32", rate_json(group.limits.float32)}};
}

// Of one step, or of a whole prefill.
double stage_milliseconds(const BenchRow& row, size_t stage) {
  const bool prefill = row.task.kind == BenchTask::Kind::kPrefill;
  const auto steps = static_cast<double>(prefill ? 1 : row.task.tokens);
  return (*row.stages)[stage] / steps * 1e3;
}

std::string stage_line(const BenchRow& row) {
  std::string line = "  ms:";
  for (size_t i = 0; i < ops::kNumStages; ++i) {
    line += fmt::format(" {} {:.3f}", ops::kStageNames[i], stage_milliseconds(row, i));
  }
  return line;
}

boost::json::object stages_json(const BenchRow& row) {
  boost::json::object stages;
  for (size_t i = 0; row.stages && i < ops::kNumStages; ++i) {
    stages[ops::kStageNames[i]] = stage_milliseconds(row, i);
  }
  return stages;
}

boost::json::object row_json(const BenchReport& report, const BenchGroup& group,
                             const BenchRow& row) {
  const Summary rates = summarize(row);
  return {{"do", row.task.kind == BenchTask::Kind::kPrefill ? "prefill" : "decode"},
          {"tokens", row.task.tokens},
          {"depth", row.task.depth},
          {"sequences", row.task.sequences},
          {"seconds", boost::json::value_from(row.seconds)},
          {"tokens_per_second", rates.median},
          {"low", rates.low},
          {"high", rates.high},
          {"stage_milliseconds", stages_json(row)},
          {"bytes", row.work.bytes},
          {"operations", row.work.operations},
          {"share_of_read", share(row.work.bytes, row, read_limit(group))},
          {"share_of_arithmetic", share(row.work.operations, row, arithmetic(report, group).best)}};
}

}  // namespace

double BenchRow::tokens_per_second(double seconds_of_run) const {
  return static_cast<double>(task.tokens * task.sequences) / seconds_of_run;
}

BenchWork work_of(const BenchReport& report, const BenchTask& task) {
  const model::ModelConfig& c = report.config;
  const int64_t attention = 2 * c.hidden_size * (c.num_heads + c.num_kv_heads) * c.head_dim;
  const auto layers =
      static_cast<double>(c.num_layers * (attention + 3 * c.hidden_size * c.ffn_size));
  const auto head = static_cast<double>(c.vocab_size * c.hidden_size);
  const auto tokens = static_cast<double>(task.tokens);
  if (task.kind == BenchTask::Kind::kPrefill) return {0, 2 * (tokens * layers + head)};
  const auto sequences = static_cast<double>(task.sequences);
  const double positions = static_cast<double>(task.depth) + (tokens + 1) / 2;
  const auto kv_bytes = static_cast<double>(c.kv_bytes_per_token(report.kv_dtype));
  const double step_bytes =
      static_cast<double>(report.bytes_per_token) + sequences * positions * kv_bytes;
  return {tokens * step_bytes, tokens * sequences * 2 * (layers + head)};
}

void print_table(const BenchReport& report) {
  fmt::print("{}: {} of weights a token, ready in {:.2f} s, first token after {:.2f} s\n",
             printable(report.model), human_bytes(report.bytes_per_token), report.load_seconds,
             report.first_token_seconds);
  for (const BenchGroup& group : report.groups) {
    print_limits(report, group);
    fmt::print("{:<26}{:>10}{:>20}{:>9}{:>9}{:>9}{:>9}\n", "", "tokens/s", "low - high", "GB/s",
               "of read", "GOP/s", "of peak");
    for (const BenchRow& row : group.rows) {
      const Summary rates = summarize(row);
      const double seconds = median(row.seconds);
      fmt::print("{:<26}{:>10.2f}{:>20}{:>9}{:>9}{:>9}{:>9}\n", label(row.task), rates.median,
                 fmt::format("{:.2f} - {:.2f}", rates.low, rates.high),
                 scaled(row.work.bytes / seconds, 1e9),
                 percent(share(row.work.bytes, row, read_limit(group))),
                 scaled(row.work.operations / seconds, 1e9),
                 percent(share(row.work.operations, row, arithmetic(report, group).best)));
      if (row.stages) fmt::print("{}\n", stage_line(row));
    }
  }
  fmt::print("\npeak memory {}", human_bytes(report.peak_bytes));
  if (report.gpu_bytes > 0) fmt::print(", on the GPU {}", human_bytes(report.gpu_bytes));
  fmt::print("\n");
}

void print_json(const BenchReport& report) {
  boost::json::array groups;
  for (const BenchGroup& group : report.groups) {
    boost::json::array rows;
    for (const BenchRow& row : group.rows) rows.push_back(row_json(report, group, row));
    groups.push_back(
        {{"threads", group.threads}, {"limits", limits_json(group)}, {"rows", std::move(rows)}});
  }
  const std::string_view type =
      report.groups.empty() ? "" : arithmetic(report, report.groups.front()).type;
  const boost::json::object json = {{"model", report.model},
                                    {"bytes_per_token", report.bytes_per_token},
                                    {"kv", name(report.kv_dtype)},
                                    {"device", report.device.empty() ? "cpu" : report.device},
                                    {"arithmetic", type},
                                    {"load_seconds", report.load_seconds},
                                    {"first_token_seconds", report.first_token_seconds},
                                    {"peak_bytes", report.peak_bytes},
                                    {"gpu_bytes", report.gpu_bytes},
                                    {"groups", std::move(groups)}};
  fmt::print("{}\n", boost::json::serialize(json));
}

}  // namespace hachi::cli
