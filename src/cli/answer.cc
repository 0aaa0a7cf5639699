#include "cli/answer.h"

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "output/answer_text.h"

namespace hachi::cli {

Result<Answer> answer(const LoadedModel& loaded, engine::Session& session,
                      const AnswerRequest& request, bool quiet, const OnPiece& on_piece) {
  const model::ModelConfig& config = loaded.model.config();
  engine::GenerateOptions options;
  TRY(options.sampling, sampling_params(request.sampling, config.sampling));
  options.max_tokens = request.sampling.max_tokens;
  options.stop_ids = config.eos_ids;
  Answer answer;
  answer.seed = options.sampling.seed;
  output::AnswerText text(loaded.tokenizer,
                          {.skip_special = request.split_thinking,
                           .automaton = {.fields = {.prompt = request.prompt_text,
                                                    .split_thinking = request.split_thinking}},
                           .stops = request.sampling.stop});
  std::vector<output::Piece> pieces;
  const auto pass_on = [&] {
    for (const output::Piece& piece : pieces) {
      (piece.is_thinking() ? answer.thinking : answer.text) += piece.text;
      on_piece(piece.is_thinking(), piece.text);
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
                          text.push(token, pieces);
                          pass_on();
                          return !text.stopped();
                        },
                        [&](int64_t done, int64_t total) { progress.update(done, total); },
                        InterruptGuard::requested));
  progress.erase();
  text.finish(pieces);
  pass_on();
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

}  // namespace hachi::cli
