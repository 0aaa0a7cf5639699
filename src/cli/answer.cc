#include "cli/answer.h"

#include "cli/interrupt.h"
#include "cli/stop_text.h"
#include "cli/terminal.h"

namespace hachi::cli {
namespace {

// Tokens -> text -> stop texts -> thinking and answer -> the caller.
class AnswerStream {
 public:
  AnswerStream(const LoadedModel& loaded, const AnswerRequest& request, const OnPiece& on_piece,
               Answer& answer)
      : decoder_(loaded.tokenizer, request.split_thinking),
        stop_(request.sampling.stop),
        splitter_(request.prompt_text),
        split_(request.split_thinking),
        on_piece_(on_piece),
        answer_(answer) {}

  // False once a stop text was seen.
  bool push(tokenizer::TokenId token) {
    answer_.ids.push_back(token);
    emit(stop_.push(decoder_.push(token)));
    return !stop_.found();
  }

  void finish() {
    emit(stop_.push(decoder_.finish()));
    emit(stop_.finish());
    if (split_) pass_on(splitter_.finish());
  }

 private:
  void emit(const std::string& text) {
    if (text.empty()) return;
    if (split_) {
      pass_on(splitter_.push(text));
    } else {
      answer_.text += text;
      on_piece_(false, text);
    }
  }

  void pass_on(const std::vector<chat::ThinkingSplitter::Piece>& pieces) {
    for (const auto& [kind, text] : pieces) {
      const bool thinking = kind == chat::ThinkingSplitter::Kind::kThinking;
      (thinking ? answer_.thinking : answer_.text) += text;
      on_piece_(thinking, text);
    }
  }

  tokenizer::StreamDecoder decoder_;
  StopText stop_;
  chat::ThinkingSplitter splitter_;
  bool split_;
  const OnPiece& on_piece_;
  Answer& answer_;
};

}  // namespace

Result<Answer> answer(const LoadedModel& loaded, engine::Session& session,
                      const AnswerRequest& request, bool quiet, const OnPiece& on_piece) {
  const model::ModelConfig& config = loaded.model.config();
  engine::GenerateOptions options;
  TRY(options.sampling, sampling_params(request.sampling, config.sampling));
  options.max_tokens = request.sampling.max_tokens;
  options.stop_ids = config.eos_ids;
  Answer answer;
  answer.seed = options.sampling.seed;
  AnswerStream stream(loaded, request, on_piece, answer);
  ProgressLine progress("reading the prompt", quiet);
  const InterruptGuard guard;
  const EchoGuard no_echo;
  TRY(answer.stats, engine::generate(
                        session, request.prompt, options,
                        [&](tokenizer::TokenId token) {
                          progress.erase();
                          return stream.push(token);
                        },
                        [&](int64_t done, int64_t total) { progress.update(done, total); },
                        InterruptGuard::requested));
  progress.erase();
  stream.finish();
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
