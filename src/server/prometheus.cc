#include "server/prometheus.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/check.h"
#include "core/utf8.h"

namespace hachi::server {
namespace {

// What the format escapes in a label's value, and in a help text but for the quotes.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

std::string number(double value) {
  if (std::isnan(value)) return "0";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// "1.0" and "0.25": as vLLM's client library writes bounds, which is also the form that Prometheus
// 3 gives to all of them.
std::string bound_text(double bound) {
  std::string text = fmt::format("{}", bound);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds) {
  CHECK_LE(bounds.size(), kMaxBounds);
}

void Histogram::observe(double value) {
  if (!std::isfinite(value) || value < 0) value = 0;
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot snapshot;
  uint64_t count = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    count += counts_[i].load(std::memory_order_relaxed);
    snapshot.up_to[i] = count;
  }
  snapshot.sum = sum_.load(std::memory_order_relaxed);
  return snapshot;
}

void PrometheusWriter::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  out_ += fmt::format("# HELP {} ", name);
  append_escaped(out_, help, false);
  out_ += fmt::format("\n# TYPE {} {}\n", name, type);
}

void PrometheusWriter::sample(Labels labels, double value) {
  append_line("", labels, "", number(value));
}

void PrometheusWriter::sample(Labels labels, int64_t value) {
  append_line("", labels, "", fmt::to_string(value));
}

void PrometheusWriter::histogram(Labels labels, const Histogram& values) {
  const Histogram::Snapshot snapshot = values.snapshot();
  const std::span<const double> bounds = values.bounds();
  for (size_t i = 0; i < bounds.size(); ++i) {
    append_line("_bucket", labels, bound_text(bounds[i]), fmt::to_string(snapshot.up_to[i]));
  }
  const std::string count = fmt::to_string(snapshot.up_to[bounds.size()]);
  append_line("_bucket", labels, "+Inf", count);
  append_line("_sum", labels, "", number(snapshot.sum));
  append_line("_count", labels, "", count);
}

void PrometheusWriter::append_line(std::string_view suffix, Labels labels, std::string_view le,
                                   std::string_view value) {
  out_ += name_;
  out_ += suffix;
  char before = '{';
  const auto append_label = [&](std::string_view name, std::string_view text) {
    out_ += before;
    out_ += name;
    out_ += "=\"";
    append_escaped(out_, replace_invalid_utf8(text), true);
    out_ += '"';
    before = ',';
  };
  for (const Label& label : labels) append_label(label.name, label.value);
  if (!le.empty()) append_label("le", le);
  if (before == ',') out_ += '}';
  out_ += ' ';
  out_ += value;
  out_ += '\n';
}

}  // namespace hachi::server
