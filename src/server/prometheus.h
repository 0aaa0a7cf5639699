// Prometheus' text format 0.0.4: a histogram that any thread may feed, and the writer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace hachi::server {

inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

// Counts of values at most each bound. observe() takes no lock and allocates nothing.
class Histogram {
 public:
  static constexpr size_t kMaxBounds = 24;

  // `bounds` rise, are at most kMaxBounds, and outlive the histogram.
  explicit Histogram(std::span<const double> bounds);

  // Any thread. What is not a finite number of at least 0 counts as 0.
  void observe(double value);

  struct Snapshot {
    std::array<uint64_t, kMaxBounds + 1> up_to{};  // cumulative; the one after the last bound: all
    double sum = 0;
  };
  // Any thread. Values that are observed meanwhile may be in the counts and not yet in the sum.
  Snapshot snapshot() const;
  std::span<const double> bounds() const { return bounds_; }

 private:
  std::span<const double> bounds_;
  std::array<std::atomic<uint64_t>, kMaxBounds + 1> counts_{};  // of each bucket alone
  std::atomic<double> sum_{0};
};

struct Label {
  std::string_view name, value;
};
using Labels = std::initializer_list<Label>;

// Appends families to a text. Each begins once, with family(), and its samples follow.
class PrometheusWriter {
 public:
  explicit PrometheusWriter(std::string& out) : out_(out) {}

  // `name` without "_total", "_bucket" and so on lives as long as the family is written; `type` is
  // "counter", "gauge" or "histogram". A counter's `name` ends in "_total".
  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(Labels labels, double value);
  void sample(Labels labels, int64_t value);
  void histogram(Labels labels, const Histogram& values);

 private:
  void append_line(std::string_view suffix, Labels labels, std::string_view le,
                   std::string_view value);

  std::string& out_;
  std::string_view name_;
};

}  // namespace hachi::server
