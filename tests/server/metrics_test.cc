#include "server/metrics.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <regex>
#include <set>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hachi::server {
namespace {

// The samples of a text in format 0.0.4, by what stands before the value, and the families' types.
// Whatever the format does not allow is a failure of the test.
struct Exposition {
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;
};

std::string family_of(const std::string& sample, const Exposition& all) {
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    if (!sample.ends_with(suffix)) continue;
    const std::string family = sample.substr(0, sample.size() - std::string(suffix).size());
    if (all.types.contains(family) && all.types.at(family) == "histogram") return family;
  }
  return sample;
}

Exposition parse(const std::string& text) {
  static const std::regex help(R"(# HELP ([a-zA-Z_:][\w:]*) .+)");
  static const std::regex type(R"(# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram))");
  static const std::regex sample(
      R"re(([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*",?)+\})? (\S+))re");
  Exposition all;
  std::set<std::string> helped;
  std::string family;
  EXPECT_TRUE(text.ends_with('\n'));
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      EXPECT_TRUE(helped.insert(match[1]).second) << "a second " << line;
      family = match[1];
    } else if (std::regex_match(line, match, type)) {
      EXPECT_EQ(match[1], family) << line;
      EXPECT_TRUE(all.types.emplace(match[1], match[2]).second) << "a second " << line;
      EXPECT_EQ(match[2] == "counter", family.ends_with("_total")) << line;
    } else if (std::regex_match(line, match, sample)) {
      EXPECT_EQ(family_of(match[1], all), family) << line;
      const std::string value = match[3];
      double number = std::nan("");
      const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      EXPECT_TRUE(error == std::errc() && stop == value.data() + value.size()) << line;
      EXPECT_TRUE(std::isfinite(number)) << line;
      EXPECT_TRUE(all.samples.emplace(match[1].str() + match[2].str(), number).second)
          << "a second " << line;
    } else {
      ADD_FAILURE() << "not of the format: " << line;
    }
  }
  return all;
}

constexpr std::array kBounds{0.25, 1.0, 100.0};

TEST(Histogram, CountsUpToEachBound) {
  Histogram histogram(kBounds);
  for (const double value : {0.25, 0.26, 1.0, 1.5, 1e9}) histogram.observe(value);
  const Histogram::Snapshot snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.up_to[0], 1u);
  EXPECT_EQ(snapshot.up_to[1], 3u);
  EXPECT_EQ(snapshot.up_to[2], 4u);
  EXPECT_EQ(snapshot.up_to[3], 5u);
  EXPECT_DOUBLE_EQ(snapshot.sum, 0.25 + 0.26 + 1.0 + 1.5 + 1e9);
}

TEST(Histogram, WhatIsNoAmountCountsAsZero) {
  Histogram histogram(kBounds);
  for (const double value : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    histogram.observe(value);
  }
  EXPECT_EQ(histogram.snapshot().up_to[0], 3u);
  EXPECT_EQ(histogram.snapshot().sum, 0);
}

TEST(Histogram, LosesNothingAmongThreads) {
  Histogram histogram(kBounds);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&histogram] {
      for (int i = 0; i < 10000; ++i) histogram.observe(0.5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.snapshot().up_to[0], 0u);
  EXPECT_EQ(histogram.snapshot().up_to[3], 40000u);
  EXPECT_DOUBLE_EQ(histogram.snapshot().sum, 20000);
}

TEST(Prometheus, WritesTheFormat) {
  std::string text;
  PrometheusWriter writer(text);
  writer.family("a_total", "counter", "One line\nand a \\ with \"quotes\".");
  writer.sample({{"x", "quote \" back \\ line\n bad \xFF"}, {"y", ""}}, int64_t{7});
  writer.family("b", "gauge", "A gauge.");
  writer.sample({}, 0.5);
  Histogram histogram(kBounds);
  histogram.observe(0.5);
  writer.family("c", "histogram", "A histogram.");
  writer.histogram({{"m", "n"}}, histogram);
  EXPECT_EQ(text,
            "# HELP a_total One line\\nand a \\\\ with \"quotes\".\n"
            "# TYPE a_total counter\n"
            "a_total{x=\"quote \\\" back \\\\ line\\n bad \xEF\xBF\xBD\",y=\"\"} 7\n"
            "# HELP b A gauge.\n"
            "# TYPE b gauge\n"
            "b 0.5\n"
            "# HELP c A histogram.\n"
            "# TYPE c histogram\n"
            "c_bucket{m=\"n\",le=\"0.25\"} 0\n"
            "c_bucket{m=\"n\",le=\"1.0\"} 1\n"
            "c_bucket{m=\"n\",le=\"100.0\"} 1\n"
            "c_bucket{m=\"n\",le=\"+Inf\"} 1\n"
            "c_sum{m=\"n\"} 0.5\n"
            "c_count{m=\"n\"} 1\n");
  parse(text);
}

// Two models and a server that has counted something of everything.
class Metrics : public testing::Test {
 protected:
  Exposition scrape() {
    std::string text;
    const std::array models{ModelReport{&a_, engine_}, ModelReport{&b_, {}}};
    append_metrics(text, server_, models);
    return parse(text);
  }

  ServerMetrics server_{"0.1.0"};
  ModelMetrics a_{"a", 4096}, b_{"b\"\n", 131072};
  EngineCounts engine_;
};

TEST_F(Metrics, EngineCountsHaveVllmsNames) {
  engine_ = {.running = 3,
             .waiting = 2,
             .num_pages = 100,
             .free_pages = 20,
             .cached_pages = 60,
             .idle_pages = 40,
             .steps = 9,
             .prompt_tokens = 500,
             .generated_tokens = 70,
             .guessed_tokens = 30,
             .accepted_tokens = 12,
             .preemptions = 1,
             .evictions = 5,
             .device_busy = 1.5,
             .device_waiting = 0.25,
             .num_host_pages = 80,
             .free_host_pages = 20,
             .cached_host_pages = 50,
             .moved_out = 90,
             .moved_in = 30,
             .swapped = 2,
             .swaps = 7,
             .swapped_out = 16,
             .swapped_in = 15,
             .prefix_hit = 400,
             .prefix_hit_host = 83,
             .prefix_miss_new = 1,
             .prefix_miss_forgotten = 2,
             .prefix_miss_other_salt = 3,
             .prefix_miss_page_end = 4,
             .prefix_miss_not_shared = 5};
  const Exposition all = scrape();
  const std::map<std::string, double> expected = {
      {"vllm:num_requests_running", 3},
      {"vllm:num_requests_waiting", 2},
      {"vllm:kv_cache_usage_perc", 0.4},
      {"vllm:gpu_cache_usage_perc", 0.4},
      {"vllm:prompt_tokens_total", 900},
      {"vllm:prompt_tokens_cached_total", 400},
      {"vllm:generation_tokens_total", 70},
      {"vllm:num_preemptions_total", 1},
      {"vllm:prefix_cache_queries_total", 415},
      {"vllm:prefix_cache_hits_total", 400},
      {"vllm:spec_decode_num_draft_tokens_total", 30},
      {"vllm:spec_decode_num_accepted_tokens_total", 12},
      {"hachi:engine_steps_total", 9},
      {"hachi:kv_cache_pages", 100},
      {"hachi:prefix_cache_pages", 60},
      {"hachi:device_busy_seconds_total", 1.5},
      {"hachi:device_waiting_seconds_total", 0.25},
      {"hachi:prefix_cache_evictions_total", 5},
      {"vllm:num_requests_swapped", 2},
      {"vllm:cpu_cache_usage_perc", 0.75},
      {"vllm:cpu_prefix_cache_hit_rate", 0.2},
      {"hachi:host_cache_pages", 80},
      {"hachi:host_cache_used_pages", 60},
      {"hachi:prefix_cache_host_pages", 50},
      {"hachi:prefix_cache_host_hit_tokens_total", 83},
      {"hachi:prefix_cache_moved_out_pages_total", 90},
      {"hachi:prefix_cache_moved_in_pages_total", 30},
      {"hachi:swaps_total", 7},
      {"hachi:swapped_out_pages_total", 16},
      {"hachi:swapped_in_pages_total", 15}};
  for (const auto& [name, value] : expected) {
    EXPECT_EQ(all.samples.at(name + R"({model_name="a"})"), value) << name;
    EXPECT_EQ(all.samples.at(name + R"({model_name="b\"\n"})"), 0) << name;
  }
  const std::vector<std::string> reasons = {"new", "forgotten", "other_salt", "page_end",
                                            "not_shared"};
  for (size_t i = 0; i < reasons.size(); ++i) {
    EXPECT_EQ(
        all.samples.at(fmt::format(
            R"(hachi:prefix_cache_miss_tokens_total{{model_name="a",reason="{}"}})", reasons[i])),
        static_cast<double>(i + 1));
  }
}

TEST_F(Metrics, RequestsFillTheHistograms) {
  a_.time_to_first_token.observe(0.3);
  a_.inter_token_latency.observe(0.03);
  a_.record({.outcome = Outcome::kLength,
             .total_s = 3.5,
             .queue_s = 0.5,
             .prefill_s = 1,
             .decode_s = 2,
             .prompt_tokens = 100,
             .generated_tokens = 11,
             .max_tokens = 11});
  a_.record({.outcome = Outcome::kAbort, .total_s = 1, .generated_tokens = 1});
  const Exposition all = scrape();
  const auto sum = [&all](const std::string& name) {
    return all.samples.at(name + R"(_sum{model_name="a"})");
  };
  const auto count = [&all](const std::string& name) {
    return all.samples.at(name + R"(_count{model_name="a"})");
  };
  EXPECT_EQ(sum("vllm:time_to_first_token_seconds"), 0.3);
  EXPECT_EQ(sum("vllm:inter_token_latency_seconds"), 0.03);
  EXPECT_EQ(sum("vllm:time_per_output_token_seconds"), 0.03);
  EXPECT_EQ(sum("vllm:request_time_per_output_token_seconds"), 0.2);
  EXPECT_EQ(count("vllm:request_time_per_output_token_seconds"), 1);  // one token has no time
  EXPECT_EQ(sum("vllm:e2e_request_latency_seconds"), 4.5);
  EXPECT_EQ(count("vllm:e2e_request_latency_seconds"), 2);
  EXPECT_EQ(sum("vllm:request_queue_time_seconds"), 0.5);
  EXPECT_EQ(sum("vllm:request_inference_time_seconds"), 3);
  EXPECT_EQ(sum("vllm:request_prefill_time_seconds"), 1);
  EXPECT_EQ(sum("vllm:request_decode_time_seconds"), 2);
  EXPECT_EQ(sum("vllm:request_prompt_tokens"), 100);
  EXPECT_EQ(sum("vllm:request_generation_tokens"), 12);
  EXPECT_EQ(sum("vllm:request_params_max_tokens"), 11);
  EXPECT_EQ(count("vllm:request_params_max_tokens"), 1);
  EXPECT_EQ(sum("vllm:request_params_n"), 2);
  const auto ended = [&all](const std::string& how) {
    return all.samples.at(R"(vllm:request_success_total{model_name="a",finished_reason=")" + how +
                          "\"}");
  };
  EXPECT_EQ(ended("stop"), 0);
  EXPECT_EQ(ended("length"), 1);
  EXPECT_EQ(ended("abort"), 1);
  EXPECT_EQ(ended("error"), 0);
}

TEST_F(Metrics, TokenBucketsEndWithTheContext) {
  const Exposition all = scrape();
  const std::string bucket = R"(vllm:request_prompt_tokens_bucket{model_name="a",le=")";
  EXPECT_TRUE(all.samples.contains(bucket + "2000.0\"}"));
  EXPECT_FALSE(all.samples.contains(bucket + "5000.0\"}"));
  EXPECT_TRUE(all.samples.contains(bucket + "+Inf\"}"));
  const ModelMetrics empty("none", 0);  // no bound but +Inf
  EXPECT_TRUE(empty.prompt_tokens.bounds().empty());
}

TEST_F(Metrics, TheServerCountsByRoute) {
  server_.count_request("/v1/chat/completions", 200);
  server_.count_request("/v1/chat/completions", 200);
  server_.count_request("/v1/chat/completions", 429);
  server_.count_rejected("tokens");
  server_.connections = 5;
  server_.access_log_dropped = 3;
  const Exposition all = scrape();
  const std::string requests = R"(hachi:http_requests_total{path="/v1/chat/completions",status=)";
  EXPECT_EQ(all.samples.at(requests + "\"200\"}"), 2);
  EXPECT_EQ(all.samples.at(requests + "\"429\"}"), 1);
  EXPECT_EQ(all.samples.at(R"(hachi:rejected_requests_total{reason="tokens"})"), 1);
  EXPECT_EQ(all.samples.at("hachi:http_connections"), 5);
  EXPECT_EQ(all.samples.at("hachi:access_log_dropped_lines_total"), 3);
  EXPECT_EQ(all.samples.at(R"(hachi:build_info{version="0.1.0"})"), 1);
  EXPECT_GT(all.samples.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(all.samples.at("process_cpu_seconds_total"), 0);
  EXPECT_GT(all.samples.at("process_start_time_seconds"), 1.6e9);
}

TEST_F(Metrics, SeriesHaveALimit) {
  for (int i = 0; i < 5000; ++i) server_.count_request(fmt::format("/made/up/{}", i), 404);
  const Exposition all = scrape();
  EXPECT_LT(all.samples.size(), 2000u);
  EXPECT_EQ(all.samples.at(R"(hachi:http_requests_total{path="other",status="0"})"),
            5000 - static_cast<double>(ServerMetrics::kMaxSeries));
}

}  // namespace
}  // namespace hachi::server
