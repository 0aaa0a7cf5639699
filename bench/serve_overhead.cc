// What the server costs beside the engine, with a model that costs nothing: for each request, for
// each streamed token, and for many paced streams at once.
//
//   bench_serve_overhead [--requests N] [--tokens N] [--streams N] [--rate TOKENS_PER_SECOND]
//
// The server and the bare engine run in this process and are charged with its CPU time; the clients
// run in another one. Each case prints one line of JSON.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "bench/serve_client.h"
#include "engine/fake_model.h"
#include "formats/checkpoint.h"
#include "server/app.h"
#include "server/small_tokenizer.h"

namespace hachi::bench {
namespace {

using engine::testing::FakeModel;
using engine::testing::FakeModelOptions;

// A case at full speed goes on until so many tokens have come.
constexpr int64_t kTokensInAll = 400'000;

struct Options {
  int requests = 5000;
  int64_t tokens = 2000;
  int streams = 1000;
  int rate = 50;
  std::string command = "bench_serve_overhead";
};

// What runs at once, and how often a step may begin; 0: as often as it can.
struct Load {
  int64_t sequences;
  double steps_per_second = 0;
};

FakeModelOptions model_options(const tokenizer::Tokenizer& tokenizer, const Load& load) {
  constexpr int64_t kTokens = 4096;  // of a request, at most
  FakeModelOptions options{.vocab_size = tokenizer.vocab_size(),
                           .context_length = kTokens,
                           .page_tokens = 32,
                           .num_pages = (load.sequences + 1) * kTokens / 32,
                           .max_tokens = std::max<int64_t>(256, load.sequences),
                           .max_rows = 64};
  options.script_mark = *tokenizer.id(server::testing::kBeginMark);
  options.script = [token = *tokenizer.id("x")](int64_t) { return token; };
  if (load.steps_per_second > 0) {
    const std::chrono::duration<double> time(1 / load.steps_per_second);
    auto next = std::make_shared<engine::Clock::time_point>();
    options.on_step = [time, next](const ops::BatchView&) {
      std::this_thread::sleep_until(*next);
      *next = std::max(*next + std::chrono::duration_cast<engine::Clock::duration>(time),
                       engine::Clock::now());
    };
  }
  return options;
}

engine::EngineOptions engine_options(const Load& load) {
  engine::EngineOptions options;
  options.scheduler.max_sequences = load.sequences;
  options.scheduler.step_tokens = std::max<int64_t>(256, load.sequences);
  options.scheduler.prompt_tokens = options.scheduler.step_tokens;
  options.max_waiting = load.sequences;
  return options;
}

std::unique_ptr<server::App> start_server(const Load& load) {
  server::AppOptions options;
  options.models.engine = engine_options(load);
  const auto open_model = [load](size_t) -> Result<server::ModelParts> {
    server::ModelParts parts{.tokenizer = server::testing::small_tokenizer()};
    parts.end_ids = {*parts.tokenizer.id(server::testing::kEndMark)};
    const auto nothing = formats::Checkpoint::in_memory({"fake", {}, {}, {}});
    TRY(parts.prompter, chat::Prompter::open(nothing, parts.tokenizer,
                                             std::string(server::testing::kChatTemplate)));
    parts.runners.push_back(std::make_unique<FakeModel>(model_options(parts.tokenizer, load)));
    return parts;
  };
  // With its log, as it runs every day.
  auto log = server::AccessLog::open({.file = "/dev/null"});
  CHECK(log);
  auto app = server::App::start(options, {{.name = "fake"}}, open_model, nullptr, *std::move(log));
  CHECK(app);
  CHECK((*app)->models().load(""));
  return *std::move(app);
}

struct Cost {
  double wall = 0, cpu = 0;           // seconds
  double idle_rss = 0, peak_rss = 0;  // bytes
  ClientReport client;
};

double cpu_seconds() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  CHECK(file >> all >> resident);
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// A pipe each way between the server's process and the clients'.
struct Pipes {
  int to_client[2], to_server[2];
  Pipes() { CHECK(::pipe(to_client) == 0 && ::pipe(to_server) == 0); }
  ~Pipes() {
    for (const int fd : {to_client[0], to_client[1], to_server[0], to_server[1]}) ::close(fd);
  }
};

template <class T>
void put(int fd, const T& value) {
  CHECK(::write(fd, &value, sizeof value) == sizeof value);
}

template <class T>
T get(int fd) {
  T value;
  CHECK(::read(fd, &value, sizeof value) == sizeof value);
  return value;
}

// What `job` costs the server; `warm_up` goes before. Both run in the clients' process.
Cost cost_of_serving(const Load& load, const std::function<void(uint16_t)>& warm_up,
                     const std::function<ClientReport(uint16_t)>& job) {
  const Pipes pipes;
  std::fflush(nullptr);
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child == 0) {
    const auto port = get<uint16_t>(pipes.to_client[0]);
    warm_up(port);
    put(pipes.to_server[1], 'r');
    get<char>(pipes.to_client[0]);
    put(pipes.to_server[1], job(port));
    ::_exit(0);
  }
  auto app = start_server(load);
  put(pipes.to_client[1], app->port());
  get<char>(pipes.to_server[0]);
  Cost cost{.idle_rss = resident_bytes()};
  std::atomic<bool> is_done{false};
  double peak = 0;
  std::thread watcher([&] {  // twenty times a second: no cost that could be seen
    while (!is_done) {
      peak = std::max(peak, resident_bytes());
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  const double before = cpu_seconds();
  put(pipes.to_client[1], 'g');
  cost.client = get<ClientReport>(pipes.to_server[0]);
  cost.cpu = cpu_seconds() - before;
  is_done = true;
  watcher.join();
  cost.peak_rss = peak;
  cost.wall = cost.client.seconds;
  ::waitpid(child, nullptr, 0);
  return cost;
}

// The same without a server: `at_once` requests of `tokens` tokens are kept running until `count`
// have ended.
Cost cost_of_engine(const Load& load, int at_once, int count, int64_t tokens) {
  const auto tokenizer = server::testing::small_tokenizer();
  std::atomic<uint32_t> news{0};
  engine::Engine engine(std::make_unique<FakeModel>(model_options(tokenizer, load)),
                        engine_options(load), [&] {
                          ++news;
                          news.notify_one();
                        });
  engine::Request request{.max_tokens = tokens};
  request.prompt = tokenizer.encode("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
  request.sampling.temperature = 0;
  std::vector<std::shared_ptr<engine::Stream>> streams;
  const double cpu = cpu_seconds();
  const Stopwatch watch;
  engine::TokenEvent event;
  for (int begun = 0, ended = 0; ended < count;) {
    const uint32_t seen = news;
    for (size_t i = 0; i < streams.size();) {
      const bool is_finished = streams[i]->finished().has_value();
      while (streams[i]->take(event)) {
      }
      if (!is_finished) {
        ++i;
        continue;
      }
      streams.erase(streams.begin() + static_cast<ptrdiff_t>(i));
      ++ended;
    }
    for (; begun < count && begun - ended < at_once; ++begun) {
      auto stream = engine.submit(request);
      CHECK(stream);
      streams.push_back(*std::move(stream));
    }
    if (ended < count) news.wait(seen);
  }
  return {.wall = watch.seconds(), .cpu = cpu_seconds() - cpu};
}

void measure_requests(const Options& options, int connections) {
  const Load load{connections};
  const int each = std::max(options.requests / connections, 1);
  const double count = static_cast<double>(each) * connections;
  const Cost serving = cost_of_serving(
      load, [&](uint16_t port) { ask_for_answers(port, connections, each / 10 + 1); },
      [&](uint16_t port) { return ask_for_answers(port, connections, each); });
  const Cost bare = cost_of_engine(load, connections, each * connections, 1);
  const auto micros = [&](double seconds) { return 1e6 * seconds / count; };
  fmt::print(R"({{"bench":"serve_overhead","case":"request","connections":{},"requests":{},)"
             R"("server_wall_us":{:.1f},"engine_wall_us":{:.1f},"overhead_wall_us":{:.1f},)"
             R"("server_cpu_us":{:.1f},"engine_cpu_us":{:.1f},"overhead_cpu_us":{:.1f},)"
             R"("command":"{}"}})"
             "\n",
             connections, count, micros(serving.wall), micros(bare.wall),
             micros(serving.wall - bare.wall), micros(serving.cpu), micros(bare.cpu),
             micros(serving.cpu - bare.cpu), options.command);
}

void measure_tokens(const Options& options, int streams) {
  const Load load{streams};
  const auto rounds =
      static_cast<int>(std::max<int64_t>(kTokensInAll / (options.tokens * streams), 1));
  const double count = static_cast<double>(options.tokens) * streams * rounds;
  const Cost serving = cost_of_serving(
      load, [&](uint16_t port) { read_streams(port, streams, 20); },
      [&](uint16_t port) {
        ClientReport sum;
        for (int i = 0; i < rounds; ++i) {
          const ClientReport one = read_streams(port, streams, options.tokens);
          sum.seconds += one.seconds;
          sum.tokens_per_read += one.tokens_per_read / rounds;
        }
        return sum;
      });
  const Cost bare = cost_of_engine(load, streams, streams * rounds, options.tokens);
  const auto micros = [&](double seconds) { return 1e6 * seconds / count; };
  fmt::print(R"({{"bench":"serve_overhead","case":"token","streams":{},"tokens":{},)"
             R"("server_tokens_per_s":{:.0f},"engine_tokens_per_s":{:.0f},)"
             R"("overhead_wall_us":{:.2f},"server_cpu_us":{:.2f},"engine_cpu_us":{:.2f},)"
             R"("overhead_cpu_us":{:.2f},"tokens_per_read":{:.1f},"command":"{}"}})"
             "\n",
             streams, count, count / serving.wall, count / bare.wall,
             micros(serving.wall - bare.wall), micros(serving.cpu), micros(bare.cpu),
             micros(serving.cpu - bare.cpu), serving.client.tokens_per_read, options.command);
}

void measure_paced(const Options& options) {
  const Load load{options.streams, static_cast<double>(options.rate)};
  const int64_t tokens = options.rate * 10;
  const Cost serving = cost_of_serving(
      load, [&](uint16_t port) { read_streams(port, 1, 2); },
      [&](uint16_t port) { return read_streams(port, options.streams, tokens); });
  const Cost bare = cost_of_engine(load, options.streams, options.streams, tokens);
  const double count = static_cast<double>(tokens) * options.streams;
  const double rate = serving.client.tokens_per_read / serving.client.gap_mean;
  fmt::print(
      R"({{"bench":"serve_overhead","case":"paced","streams":{},"tokens_each":{},)"
      R"("asked_tokens_per_s":{},"tokens_per_s":{:.2f},"gap_p50_ms":{:.2f},"gap_p99_ms":{:.2f},)"
      R"("gap_max_ms":{:.2f},"cpu_share":{:.3f},"engine_cpu_share":{:.3f},)"
      R"("overhead_cpu_us":{:.2f},"rss_per_stream_kib":{:.1f},"idle_rss_mib":{:.1f},)"
      R"("command":"{}"}})"
      "\n",
      options.streams, tokens, options.rate, rate, 1e3 * serving.client.gap_p50,
      1e3 * serving.client.gap_p99, 1e3 * serving.client.gap_max, serving.cpu / serving.wall,
      bare.cpu / bare.wall, 1e6 * (serving.cpu - bare.cpu) / count,
      (serving.peak_rss - serving.idle_rss) / 1024 / options.streams, serving.idle_rss / (1 << 20),
      options.command);
}

}  // namespace
}  // namespace hachi::bench

int main(int argc, char** argv) {
  hachi::bench::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const int value = std::atoi(argv[i + 1]);
    options.command += fmt::format(" {} {}", name, value);
    if (name == "--requests") options.requests = value;
    if (name == "--tokens") options.tokens = value;
    if (name == "--streams") options.streams = value;
    if (name == "--rate") options.rate = value;
  }
  for (const int connections : {1, 16}) hachi::bench::measure_requests(options, connections);
  for (const int streams : {1, 16, 64}) hachi::bench::measure_tokens(options, streams);
  hachi::bench::measure_paced(options);
  return 0;
}
