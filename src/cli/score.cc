// `hachi score`: how likely a model finds given texts.
#include <cmath>
#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loaded_model.h"
#include "cli/terminal.h"
#include "core/files.h"

namespace hachi::cli {
namespace {

using tokenizer::TokenId;
using tokenizer::Tokenizer;

struct ScoreOptions {
  ModelOptions model;
  std::string file;
  bool jsonl = false;
  bool json = false;
};

struct Scored {
  std::vector<TokenId> tokens;
  int64_t first;  // of the continuation
};

// Tokens are those of the text as a whole, so that the border is where the text has it; white space
// at the end of the context counts as the continuation's, as the tokens of words begin with it. A
// text that begins with nothing begins with the model's first token, so that it can be scored.
Result<Scored> encode_pair(const Tokenizer& tokenizer, std::string_view context,
                           std::string_view continuation) {
  const size_t end = context.find_last_not_of(" \t\n") + 1;  // 0 if there is nothing else
  const std::string text = std::string(context) + std::string(continuation);
  const tokenizer::EncodeOptions options{.add_special = true};
  Scored scored{tokenizer.encode(text, options), 0};
  scored.first = static_cast<int64_t>(tokenizer.encode(context.substr(0, end), options).size());
  if (scored.first == 0) {
    const auto begin = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
    if (!begin) {
      return fail(Code::kInvalidArgument,
                  "the context is empty, and this model has no token that begins a text");
    }
    scored.tokens.insert(scored.tokens.begin(), *begin);
    scored.first = 1;
  }
  if (scored.first >= static_cast<int64_t>(scored.tokens.size())) {
    return fail(Code::kInvalidArgument, "the continuation is empty");
  }
  return scored;
}

Result<void> score_line(const LoadedModel& loaded, engine::Session& session,
                        const boost::json::object& line) {
  TRY(const std::string_view context, string_field(line, "context"));
  TRY(const std::string_view continuation, string_field(line, "continuation"));
  TRY(const Scored scored, encode_pair(loaded.tokenizer, context, continuation));
  TRY(const auto scores, session.score(scored.tokens, scored.first, {}, InterruptGuard::requested));
  double logprob = 0;
  bool greedy = true;
  for (const engine::TokenScore& score : scores) {
    logprob += static_cast<double>(score.logprob);
    greedy = greedy && score.greedy;
  }
  fmt::print("{}\n", boost::json::serialize(boost::json::object{
                         {"logprob", logprob}, {"tokens", scores.size()}, {"greedy", greedy}}));
  std::fflush(stdout);
  return {};
}

struct Perplexity {
  int64_t tokens = 0;
  double negative_logprob = 0;

  double value() const { return std::exp(negative_logprob / static_cast<double>(tokens)); }
};

// The text in windows of the context's length, side by side; each begins with the model's first
// token if it has one, and all its tokens but the first are scored.
Result<Perplexity> perplexity(const LoadedModel& loaded, engine::Session& session,
                              std::string_view text, bool quiet) {
  std::vector<TokenId> tokens = loaded.tokenizer.encode(text, {.parse_special = false});
  std::vector<TokenId> window = loaded.tokenizer.encode("", {.add_special = true});
  const size_t prefix = window.size();
  const size_t room = static_cast<size_t>(session.context()) - prefix;
  Perplexity result;
  ProgressLine progress("scoring", quiet);
  for (size_t at = 0; at + 1 < tokens.size(); at += room) {
    const size_t count = std::min(room, tokens.size() - at);
    window.resize(prefix);
    window.insert(window.end(), tokens.begin() + static_cast<ptrdiff_t>(at),
                  tokens.begin() + static_cast<ptrdiff_t>(at + count));
    if (window.size() < 2) break;
    const auto report = [&](int64_t done, int64_t) {
      progress.update(static_cast<int64_t>(at) + done, static_cast<int64_t>(tokens.size()));
    };
    TRY(const auto scores, session.score(window, 1, report, InterruptGuard::requested));
    for (const engine::TokenScore& score : scores) {
      result.negative_logprob -= static_cast<double>(score.logprob);
      ++result.tokens;
    }
  }
  if (result.tokens == 0) return fail(Code::kInvalidArgument, "the text is too short to score");
  return result;
}

Result<void> score_file(const LoadedModel& loaded, engine::Session& session,
                        const ScoreOptions& options) {
  TRY(const std::string text, read_file(options.file, kMaxInputBytes));
  TRY(const Perplexity result, perplexity(loaded, session, text, options.model.quiet));
  if (options.json) {
    fmt::print("{}\n",
               boost::json::serialize(boost::json::object{{"perplexity", result.value()},
                                                          {"tokens", result.tokens},
                                                          {"window", session.context()},
                                                          {"logprob", -result.negative_logprob}}));
  } else {
    fmt::print("perplexity {:.4f} over {} tokens in windows of {}\n", result.value(), result.tokens,
               session.context());
  }
  return {};
}

Result<int> run_score(const ScoreOptions& options) {
  if (options.jsonl == !options.file.empty()) {
    return fail(Code::kInvalidArgument,
                "score needs either --jsonl, with lines on standard input, or --file");
  }
  const InterruptGuard guard;
  TRY(const LoadedModel loaded, load_model(options.model));
  TRY(engine::Session session, make_session(loaded, options.model));
  if (options.jsonl) {
    TRY(each_json_line(
        [&](const boost::json::object& line) { return score_line(loaded, session, line); }));
  } else {
    TRY(score_file(loaded, session, options));
  }
  return 0;
}

}  // namespace

Command add_score(CLI::App& program) {
  CLI::App* app = program.add_subcommand("score", "Log-probabilities of texts, and perplexity");
  auto options = std::make_shared<ScoreOptions>();
  add_model_argument(*app, options->model);
  app->add_flag("--jsonl", options->jsonl,
                R"(Lines {"context": …, "continuation": …} to )"
                R"({"logprob": …, "tokens": n, "greedy": bool})");
  app->add_option("--file", options->file, "Print the perplexity of this text");
  app->add_flag("--json", options->json, "Print the perplexity as a JSON object");
  app->add_flag("!--no-repack", options->model.repack,
                "Multiply with rows as the file has them: slower, to see what repacking changes");
  add_engine_options(*app, options->model);
  app->footer(R"(
Examples:
  echo '{"context": "The capital of France is", "continuation": " Paris"}' |
    hachi score smollm2 --jsonl
  hachi score smollm2 --file book.txt --context 2048)");
  return {app, [options] { return run_score(*options); }};
}

}  // namespace hachi::cli
