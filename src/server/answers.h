// The road that all requests for answers take: model -> tokens -> engine -> text, one or several
// answers at a time.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/messages.h"
#include "api/prompts.h"
#include "api/sampling.h"
#include "server/caller.h"
#include "server/generation.h"

namespace hachi::server {

// A conversation to be rendered.
struct ChatPrompt {
  boost::json::array messages;
  api::TemplateFields fields;
};

struct AnswerAsk {
  std::string model;
  std::variant<ChatPrompt, std::vector<api::Prompt>> prompt;
  std::string_view prompt_field = "messages";  // where the request has it, for errors
  bool add_special_tokens = true;              // to prompts that are texts
  api::SamplingFields sampling;
  api::ScheduleFields schedule;
  std::optional<int64_t> max_tokens;  // not set: what the context holds
  std::optional<int64_t> top_logprobs;
  bool score_prompt = false;
  output::FormRequest form;
  engine::Pooling pooling = engine::Pooling::kNone;
};

struct TokenPrompt {
  std::vector<int32_t> tokens;
  std::string text;  // only of conversations and of prompts given as text
};

// Requests whose bodies are shorter than this are parsed, rendered and tokenized at once: going to
// another thread costs more.
inline constexpr size_t kShortBody = 8192;

// How long a stream may be silent before its reader is told that it is alive.
inline constexpr std::chrono::seconds kSilence{10};

// Answers on their way. The answers to prompt p are generations [p * n, (p + 1) * n).
struct Answers {
  std::shared_ptr<ServedModel> model;
  std::vector<TokenPrompt> prompts;
  std::vector<Generation> generations;
  bool is_done() const;
  // The engine closed before they were done.
  bool were_cut() const;
  // Counts a prompt once, whatever the number of its answers.
  api::Usage usage() const;
};

// The code of the error that begin_answers() gives if the caller has no room in the engine.
inline constexpr std::string_view kEngineBusy = "engine_busy";

// What clients are told whose answers were cut.
api::ApiError stopping_error();

// The model that a request names, loaded.
net::awaitable<api::ApiResult<std::shared_ptr<ServedModel>>> acquire_model(Caller& caller,
                                                                           std::string name);

// The tokens of what is asked; on the calling thread, which is not the network's for long texts.
api::ApiResult<std::vector<TokenPrompt>> tokenize(const ServedModel& model, const AnswerAsk& ask);

// Loads the model, makes the tokens on the text threads, and submits.
net::awaitable<api::ApiResult<Answers>> begin_answers(Caller& caller, AnswerAsk ask);

// Follows answers to their ends, or until the caller goes. Tells the metrics and the caller's
// notes.
class AnswerReader {
 public:
  AnswerReader(Caller& caller, Answers& answers);
  ~AnswerReader();
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;

  // Waits until something has come, and pulls it; also returns when nothing has come for a while,
  // so that a stream can show that it is alive. False once all are done or the caller has gone.
  net::awaitable<bool> next();
  // To the end. An error if the caller has gone or the answers were cut.
  net::awaitable<std::optional<api::ApiError>> read_all();

 private:
  bool pull();
  // For a log that wants texts: the pieces of a generation from `first_piece` on.
  void note_text(Generation& generation, size_t first_piece);
  void note_tokens(int64_t count);
  void note_end();

  Caller& caller_;
  Answers& answers_;
  NewsHub::Waiter waiter_;
  std::vector<std::shared_ptr<engine::Stream>> open_;  // of the answers that are not done
  Caller::Clock::time_point last_news_;
  int64_t num_tokens_ = 0;
};

// `scored` as the API's views of it.
class LogprobViews {
 public:
  explicit LogprobViews(const std::vector<ScoredToken>& scored);
  std::span<const api::TokenLogprob> span() const { return views_; }

 private:
  std::vector<std::vector<api::TopLogprob>> tops_;
  std::vector<api::TokenLogprob> views_;
};

}  // namespace hachi::server
