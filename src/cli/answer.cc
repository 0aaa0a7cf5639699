#include "cli/answer.h"

#include <algorithm>

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "formats/json.h"
#include "output/answer_text.h"

namespace hachi::cli {
namespace {

void take(const output::Piece& piece, Answer& answer) {
  switch (piece.field) {
    case output::Field::kReasoning:
      answer.thinking += piece.text;
      break;
    case output::Field::kContent:
      answer.text += piece.text;
      break;
    case output::Field::kCallName:
      answer.calls.push_back({"", piece.text, ""});
      break;
    case output::Field::kCallArguments:
      answer.calls.back().arguments += piece.text;
      break;
  }
}

}  // namespace

Result<Answer> answer(const LoadedModel& loaded, engine::Session& session,
                      const AnswerRequest& request, bool quiet, const OnPiece& on_piece) {
  const model::ModelConfig& config = loaded.model.config();
  const auto end_ids = end_tokens(config, loaded.tokenizer);
  const auto constraint = request.form->constraint(request.prompt_text, end_ids);
  engine::GenerateOptions options;
  TRY(options.sampling, sampling_params(request.sampling, config.sampling));
  options.max_tokens = request.sampling.max_tokens;
  options.stop_ids = end_ids;
  options.constraint = constraint.get();
  Answer answer;
  answer.seed = options.sampling.seed;
  output::AnswerText text(loaded.tokenizer,
                          {.skip_special = request.skip_special,
                           .automaton = request.form->automaton(request.prompt_text),
                           .stops = request.sampling.stop});
  std::vector<output::Piece> pieces;
  const auto pass_on = [&] {
    for (const output::Piece& piece : pieces) {
      take(piece, answer);
      on_piece(piece);
    }
    pieces.clear();
  };
  ProgressLine progress("reading the prompt", quiet);
  const InterruptGuard guard;
  const EchoGuard no_echo;
  TRY(answer.stats, engine::generate(
                        session, request.prompt, options,
                        [&](tokenizer::TokenId token) {
                          progress.erase();
                          answer.ids.push_back(token);
                          answer.reasoning_tokens += text.is_thinking() ? 1 : 0;
                          text.push(token, pieces);
                          pass_on();
                          return !text.stopped();
                        },
                        [&](int64_t done, int64_t total) { progress.update(done, total); },
                        [&] {
                          return InterruptGuard::requested() || request.context.is_cancelled() ||
                                 request.context.is_late();
                        }));
  progress.erase();
  text.finish(pieces);
  pass_on();
  answer.is_broken_off = text.is_broken_off();
  answer.reasoning_truncated = text.is_budget_spent();
  return answer;
}

std::string_view finish_name(engine::Finish finish) {
  switch (finish) {
    case engine::Finish::kStop:
      return "stop";
    case engine::Finish::kLength:
      return "length";
    case engine::Finish::kCancelled:
      return "cancelled";
    case engine::Finish::kDeadline:
      return "deadline";
  }
  return "";
}

std::string stats_text(const engine::GenerateStats& stats) {
  // The first token comes with the prompt: decoding makes the others.
  const auto decoded = static_cast<double>(std::max<int64_t>(stats.generated_tokens - 1, 0));
  const double rate = stats.decode_seconds > 0 ? decoded / stats.decode_seconds : 0;
  return fmt::format("{} tokens read ({} kept) in {:.2f} s, {} written at {:.1f} tokens/s",
                     stats.prompt_tokens, stats.cached_tokens, stats.prefill_seconds,
                     stats.generated_tokens, rate);
}

boost::json::object call_to_json(const agent::ToolCall& call) {
  Result<boost::json::value> arguments = formats::parse_json(call.arguments, "the arguments");
  return {{"name", call.name},
          {"arguments", arguments ? *std::move(arguments) : boost::json::value(call.arguments)}};
}

}  // namespace hachi::cli
