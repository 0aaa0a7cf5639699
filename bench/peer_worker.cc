// Hachi's side of bench/peers.py: answers the lines that peer_worker.py describes, in the same
// words, with the same tokens.
//
//   bench_peer_worker MODEL.gguf --threads N --context N
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "core/clock.h"
#include "engine/session.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace hachi {
namespace {

struct Options {
  std::string model;
  int threads = 0;
  int64_t context = 0;
};

int32_t token_id(int64_t i, int64_t seed, int64_t vocab) {
  return static_cast<int32_t>((i * 7919 + seed * 104729 + 13) % vocab);
}

std::vector<int32_t> sequence(int64_t tokens, int64_t seed, int64_t vocab) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i) ids.push_back(token_id(i, seed, vocab));
  return ids;
}

// Seconds of the prefill of a sequence of which the cache has nothing.
Result<double> prefill(engine::Session& session, int64_t tokens, int64_t seed, int64_t vocab) {
  const std::vector<int32_t> ids = sequence(tokens, seed, vocab);
  const int32_t other = (ids.front() + 1) % static_cast<int32_t>(vocab);
  TRY(session.prefill({&other, 1}));
  const Stopwatch watch;
  TRY(session.prefill(ids));
  return watch.seconds();
}

// Seconds of `tokens` single steps after `depth` tokens and one more.
Result<double> decode(engine::Session& session, int64_t tokens, int64_t depth, int64_t vocab) {
  TRY(session.prefill(sequence(depth + 1, 0, vocab)));
  const Stopwatch watch;
  for (int64_t i = 0; i < tokens; ++i) {
    TRY(session.decode(token_id(depth + 1 + i, 0, vocab)));
  }
  return watch.seconds();
}

void answer(const boost::json::object& object) {
  std::cout << boost::json::serialize(object) << std::endl;
}

Result<void> serve(const Options& options) {
  const Stopwatch watch;
  TRY(auto checkpoint, formats::Checkpoint::open(options.model));
  TRY(model::Model model,
      model::Model::load(std::make_shared<const formats::Checkpoint>(std::move(checkpoint))));
  {
    ThreadPool pool(options.threads);
    ops::Context ctx{.pool = &pool};
    TRY(model.repack(ctx));
  }
  TRY(engine::Session session,
      engine::Session::create(model, {.threads = options.threads, .context = options.context}));
  answer({{"load_seconds", watch.seconds()}, {"info", ""}});
  const int64_t vocab = model.config().vocab_size;
  for (std::string line; std::getline(std::cin, line);) {
    const boost::json::value request = boost::json::parse(line);
    const auto number = [&](const char* key) { return request.at(key).to_number<int64_t>(); };
    double seconds = 0;
    if (request.at("do").as_string() == "prefill") {
      TRY(seconds, prefill(session, number("tokens"), number("seed"), vocab));
    } else {
      TRY(seconds, decode(session, number("tokens"), number("depth"), vocab));
    }
    answer({{"seconds", seconds}});
  }
  return {};
}

}  // namespace
}  // namespace hachi

int main(int argc, char** argv) {
  hachi::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--threads" && i + 1 < argc) {
      options.threads = std::atoi(argv[++i]);
    } else if (arg == "--context" && i + 1 < argc) {
      options.context = std::atoll(argv[++i]);
    } else {
      options.model = arg;
    }
  }
  if (options.model.empty()) {
    fmt::print(stderr, "usage: bench_peer_worker MODEL.gguf [--threads N] [--context N]\n");
    return 2;
  }
  if (const auto served = hachi::serve(options); !served) {
    fmt::print(stderr, "bench_peer_worker: {}\n", served.error().message);
    return 1;
  }
  return 0;
}
