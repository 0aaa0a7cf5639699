#include "server/answers.h"

#include <algorithm>
#include <utility>

#include "engine/sampling_defaults.h"
#include "server/off_thread.h"

namespace hachi::server {
namespace {

engine::SamplingParams sampling_params(const api::SamplingFields& fields,
                                       const model::SamplingDefaults& defaults) {
  engine::SamplingParams params = engine::default_sampling(defaults);
  params.temperature = fields.temperature.value_or(params.temperature);
  params.top_p = fields.top_p.value_or(params.top_p);
  params.top_k = fields.top_k.value_or(params.top_k);
  params.min_p = fields.min_p.value_or(params.min_p);
  params.repetition_penalty = fields.repetition_penalty.value_or(params.repetition_penalty);
  params.presence_penalty = fields.presence_penalty;
  params.frequency_penalty = fields.frequency_penalty;
  params.logit_bias = fields.logit_bias;
  params.seed = fields.seed ? static_cast<uint64_t>(*fields.seed) : engine::fresh_seed();
  return params;
}

engine::Request engine_request(const Caller& caller, const ServedModel& model,
                               const AnswerAsk& ask) {
  engine::Request request;
  request.sampling = sampling_params(ask.sampling, model.parts.sampling);
  request.max_tokens = ask.max_tokens.value_or(-1);
  request.min_tokens = ask.sampling.min_tokens;
  if (!ask.sampling.ignore_eos) request.stop_ids = model.parts.end_ids;
  request.stop_ids.insert(request.stop_ids.end(), ask.sampling.stop_token_ids.begin(),
                          ask.sampling.stop_token_ids.end());
  request.top_logprobs = static_cast<int>(ask.top_logprobs.value_or(-1));
  request.score_prompt = ask.score_prompt;
  request.pooling = ask.pooling;
  request.user = caller.user();
  request.salt = caller.salt(ask.schedule.cache_salt);
  request.priority = caller.priority(ask.schedule.priority);
  if (caller.timeout().count() > 0) request.deadline = caller.start() + caller.timeout();
  return request;
}

api::ApiError gone_error() { return {499, "nobody waits for the answer", "", "cancelled"}; }

api::ApiError busy_error() {
  return {429, "the engine is busy: try again later", "", std::string(kEngineBusy)};
}

int64_t num_requests(const AnswerAsk& ask) {
  const auto* prompts = std::get_if<std::vector<api::Prompt>>(&ask.prompt);
  return ask.sampling.n * (prompts == nullptr ? 1 : static_cast<int64_t>(prompts->size()));
}

// Of what has to be rendered and tokenized; a message counts also if its text is short.
size_t text_bytes(const AnswerAsk& ask) {
  constexpr size_t kMessageBytes = 64;
  size_t bytes = 0;
  if (const auto* chat = std::get_if<ChatPrompt>(&ask.prompt)) {
    for (const auto& message : chat->messages) {
      bytes += kMessageBytes;
      const auto* content = message.get_object().if_contains("content");
      if (content != nullptr && content->is_string()) bytes += content->get_string().size();
    }
    return bytes;
  }
  for (const api::Prompt& prompt : std::get<std::vector<api::Prompt>>(ask.prompt)) {
    if (const auto* text = std::get_if<std::string>(&prompt)) bytes += text->size();
  }
  return bytes;
}

api::ApiResult<TokenPrompt> render(const ServedModel& model, const ChatPrompt& chat,
                                   const AnswerAsk& ask) {
  const std::string_view prompt_field = ask.prompt_field;
  if (!model.parts.prompter) {
    return tl::unexpected(api::ApiError{
        400, fmt::format("the model '{}' has no chat template: use /v1/completions", model.name),
        std::string(prompt_field), "no_chat_template"});
  }
  chat::RenderInput input;
  input.messages = chat.messages;
  if (ask.form.tools.choice != api::ToolFields::Choice::kNone) input.tools = ask.form.tools.tools;
  input.add_generation_prompt = chat.fields.add_generation_prompt;
  input.enable_thinking = chat.fields.enable_thinking;
  input.system_in_user = chat.fields.system_in_user.value_or(model.parts.system_in_user);
  input.extra = chat.fields.variables;
  const chat::Prompter& prompter = *model.parts.prompter;
  auto prompt = chat.fields.continue_final_message
                    ? prompter.continue_last(model.parts.tokenizer, std::move(input))
                    : prompter.prompt(model.parts.tokenizer, std::move(input));
  if (!prompt) {
    // The limits of a template are no rate: asking again does not help.
    if (prompt.error().code == Code::kLimit) {
      return tl::unexpected(api::ApiError{400, std::move(prompt.error().message),
                                          std::string(prompt_field), "invalid_value"});
    }
    api::ApiError error = api::to_api_error(prompt.error());
    if (error.status < 500) error.param = prompt_field;
    return tl::unexpected(std::move(error));
  }
  return TokenPrompt{std::move(prompt->tokens), std::move(prompt->text)};
}

// What the engine would refuse without the name that the request has for it.
std::optional<api::ApiError> refuse_tokens(const ServedModel& model, const AnswerAsk& ask,
                                           const std::vector<TokenPrompt>& prompts) {
  const int64_t vocab = model.engine.vocab_size();
  std::optional<api::ApiError> refused;
  const auto look_at = [&](std::string_view field, int32_t token) {
    if (refused || token < vocab) return;
    refused = api::invalid_field(std::string(field), "{} has the token {}, and the model has {}",
                                 field, token, vocab);
  };
  for (const TokenPrompt& prompt : prompts) {
    if (prompt.tokens.empty()) {
      return api::invalid_field(std::string(ask.prompt_field),
                                "{} is empty: give it at least one token", ask.prompt_field);
    }
    for (const int32_t token : prompt.tokens) look_at(ask.prompt_field, token);
  }
  for (const int32_t token : ask.sampling.stop_token_ids) look_at("stop_token_ids", token);
  for (const auto& [token, bias] : ask.sampling.logit_bias) look_at("logit_bias", token);
  return refused;
}

// What the answers have to look like. Grammars are compiled on the text threads.
net::awaitable<api::ApiResult<output::AnswerForm>> make_form(Caller& caller, ServedModel& model,
                                                             const output::FormRequest& request) {
  const auto* prompter = model.parts.prompter ? &*model.parts.prompter : nullptr;
  std::optional<Result<output::AnswerForm>> form;
  auto work = [&] { form.emplace(output::AnswerForm::make(request, prompter, model.forms)); };
  const bool is_free = request.format.kind == api::OutputFormat::Kind::kText &&
                       request.tools.choice == api::ToolFields::Choice::kNone;
  if (is_free) {
    work();
  } else {
    co_await run_on(caller.app().text_pool(), caller.executor(), work);
  }
  if (*form) co_return **std::move(form);
  // The limits of a grammar are no rate: asking again does not help.
  const bool is_format = request.tools.choice == api::ToolFields::Choice::kNone;
  co_return tl::unexpected(api::ApiError{400, std::move(form->error().message),
                                         is_format ? request.format.path : std::string("tools"),
                                         "invalid_value"});
}

}  // namespace

bool Answers::is_done() const {
  return std::all_of(generations.begin(), generations.end(),
                     [](const Generation& one) { return one.is_done(); });
}

bool Answers::were_cut() const {
  return std::any_of(generations.begin(), generations.end(), [](const Generation& one) {
    return one.is_done() && one.finish() == engine::Finish::kCancelled;
  });
}

api::ApiError stopping_error() { return {503, "the server is stopping", "", "server_stopping"}; }

api::Usage Answers::usage() const {
  api::Usage total;
  const size_t n = generations.size() / std::max<size_t>(prompts.size(), 1);
  for (size_t i = 0; i < generations.size(); ++i) {
    const api::Usage one = generations[i].usage();
    if (i % n == 0) total.prompt_tokens += one.prompt_tokens;
    if (i % n == 0) total.cached_tokens += one.cached_tokens;
    total.completion_tokens += one.completion_tokens;
    total.reasoning_tokens += one.reasoning_tokens;
  }
  return total;
}

net::awaitable<api::ApiResult<std::shared_ptr<ServedModel>>> acquire_model(Caller& caller,
                                                                           std::string name) {
  auto model = caller.app().models().find(name);
  if (model && *model == nullptr) {
    auto load = [&] { model = caller.app().models().load(name); };
    co_await run_on(caller.app().load_pool(), caller.executor(), load);
  }
  if (model) caller.notes().model = (*model)->name;
  co_return model;
}

api::ApiResult<std::vector<TokenPrompt>> tokenize(const ServedModel& model, const AnswerAsk& ask) {
  std::vector<TokenPrompt> prompts;
  if (const auto* chat = std::get_if<ChatPrompt>(&ask.prompt)) {
    auto prompt = render(model, *chat, ask);
    if (!prompt) return tl::unexpected(std::move(prompt).error());
    prompts.push_back(*std::move(prompt));
    return prompts;
  }
  for (const api::Prompt& prompt : std::get<std::vector<api::Prompt>>(ask.prompt)) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      prompts.push_back(
          {model.parts.tokenizer.encode(*text, {.add_special = ask.add_special_tokens}), *text});
    } else {
      prompts.push_back({std::get<std::vector<int32_t>>(prompt), ""});
    }
  }
  return prompts;
}

net::awaitable<api::ApiResult<Answers>> begin_answers(Caller& caller, AnswerAsk ask) {
  if (auto refused = caller.admit()) co_return tl::unexpected(*std::move(refused));
  auto model = co_await acquire_model(caller, ask.model);
  if (!model) co_return tl::unexpected(std::move(model).error());
  Answers answers;
  answers.model = *std::move(model);
  if (!caller.has_room(*answers.model, num_requests(ask))) co_return tl::unexpected(busy_error());
  if (std::holds_alternative<ChatPrompt>(ask.prompt)) {
    ask.form.thinking_budget = answers.model->parts.thinking_budget;
  }
  api::ApiResult<std::vector<TokenPrompt>> prompts;
  auto work = [&] { prompts = tokenize(*answers.model, ask); };
  if (text_bytes(ask) < kShortBody) {
    work();
  } else {
    co_await run_on(caller.app().text_pool(), caller.executor(), work);
  }
  if (!prompts) co_return tl::unexpected(std::move(prompts).error());
  answers.prompts = *std::move(prompts);
  if (auto refused = refuse_tokens(*answers.model, ask, answers.prompts)) {
    co_return tl::unexpected(*std::move(refused));
  }
  auto form = co_await make_form(caller, *answers.model, ask.form);
  if (!form) co_return tl::unexpected(std::move(form).error());
  const engine::Request common = engine_request(caller, *answers.model, ask);
  for (const TokenPrompt& prompt : answers.prompts) {
    for (int64_t choice = 0; choice < ask.sampling.n; ++choice) {
      engine::Request request = common;
      request.prompt = prompt.tokens;
      request.sampling.seed += static_cast<uint64_t>(choice);
      auto generation =
          Generation::start(answers.model, request, form->constraint(prompt.text, request.stop_ids),
                            {.automaton = form->automaton(prompt.text),
                             .skip_special = ask.sampling.skip_special_tokens,
                             .stops = ask.sampling.stop,
                             .with_logprobs = ask.top_logprobs.has_value(),
                             .score_end = !std::holds_alternative<ChatPrompt>(ask.prompt)});
      if (!generation) {
        api::ApiError error = api::to_api_error(generation.error());
        if (error.status == 429) caller.app().metrics().count_rejected("queue_full");
        if (error.code == "context_length_exceeded") error.param = ask.prompt_field;
        co_return tl::unexpected(std::move(error));
      }
      answers.generations.push_back(*std::move(generation));
    }
  }
  co_return answers;
}

AnswerReader::AnswerReader(Caller& caller, Answers& answers)
    : caller_(caller), answers_(answers), waiter_(caller.hub()), last_news_(Caller::Clock::now()) {
  for (const Generation& one : answers.generations) open_.push_back(one.stream());
  caller_.on_gone([this] { waiter_.wake(); });
  const AccessLog* log = caller.app().log();
  if (log != nullptr && log->with_text()) caller.notes().prompt = answers.prompts.front().text;
}

AnswerReader::~AnswerReader() {
  caller_.on_gone({});
  note_end();
}

net::awaitable<bool> AnswerReader::next() {
  if (open_.empty()) co_return false;
  for (int i = 0; i < 2; ++i) {
    if (caller_.is_gone()) co_return false;
    if (pull()) co_return true;
    if (i == 0) co_await waiter_.wait(open_, kSilence);
  }
  co_return !caller_.is_gone();
}

net::awaitable<std::optional<api::ApiError>> AnswerReader::read_all() {
  // Not the condition of an empty loop, which GCC 12 takes for one without effects.
  bool goes_on = true;
  while (goes_on) goes_on = co_await next();
  if (answers_.were_cut()) co_return stopping_error();
  if (!answers_.is_done()) co_return gone_error();
  co_return std::nullopt;
}

bool AnswerReader::pull() {
  bool any = false;
  int64_t tokens = 0;
  for (Generation& one : answers_.generations) {
    if (one.is_done() || !one.stream()->has_news()) continue;
    const size_t before = one.pieces().size();
    tokens -= one.usage().completion_tokens;
    one.pull();
    tokens += one.usage().completion_tokens;
    note_text(one, before);
    any = true;
    if (one.is_done()) std::erase(open_, one.stream());
  }
  if (tokens > 0) note_tokens(tokens);
  return any;
}

void AnswerReader::note_text(Generation& generation, size_t first_piece) {
  const AccessLog* log = caller_.app().log();
  if (log == nullptr || !log->with_text()) return;
  std::string& answer = caller_.notes().answer;
  for (size_t i = first_piece; i < generation.pieces().size(); ++i) {
    if (answer.size() < AccessLog::kMaxTextBytes) answer += generation.pieces()[i].text;
  }
}

void AnswerReader::note_tokens(int64_t count) {
  const auto now = Caller::Clock::now();
  ModelMetrics& metrics = answers_.model->metrics;
  const std::chrono::duration<double> since_start = now - caller_.start();
  if (num_tokens_ == 0) {
    metrics.time_to_first_token.observe(since_start.count());
    caller_.notes().ttft_ms = 1000 * since_start.count();
  } else {
    const std::chrono::duration<double> since_last = now - last_news_;
    metrics.inter_token_latency.observe(since_last.count() / static_cast<double>(count));
  }
  num_tokens_ += count;
  last_news_ = now;
}

void AnswerReader::note_end() {
  const auto seconds = [](auto duration) {
    return std::chrono::duration<double>(duration).count();
  };
  const auto now = Caller::Clock::now();
  CallerNotes& notes = caller_.notes();
  const double until_first = notes.ttft_ms.value_or(0) / 1000;
  for (const Generation& one : answers_.generations) {
    const api::Usage usage = one.usage();
    RequestSummary summary{.outcome = Outcome::kAbort,
                           .total_s = seconds(now - caller_.start()),
                           .prompt_tokens = usage.prompt_tokens,
                           .generated_tokens = usage.completion_tokens,
                           .n = static_cast<int64_t>(answers_.generations.size())};
    if (one.is_done()) {
      const bool is_cut = one.finish_reason() == api::FinishReason::kLength;
      summary.outcome = is_cut ? Outcome::kLength : Outcome::kStop;
      notes.finish = api::to_string(one.finish_reason());
    }
    if (const auto started = one.stream()->started()) {
      summary.queue_s = seconds(*started - caller_.start());
      summary.prefill_s = std::max(until_first - summary.queue_s, 0.0);
      summary.decode_s = std::max(summary.total_s - until_first, 0.0);
    }
    answers_.model->metrics.record(summary);
  }
  const api::Usage usage = answers_.usage();
  notes.prompt_tokens = usage.prompt_tokens;
  notes.cached_tokens = usage.cached_tokens;
  notes.completion_tokens = usage.completion_tokens;
  caller_.settle(usage.prompt_tokens + usage.completion_tokens);
}

LogprobViews::LogprobViews(const std::vector<ScoredToken>& scored) {
  tops_.reserve(scored.size());
  for (const ScoredToken& one : scored) {
    auto& top = tops_.emplace_back();
    for (const ScoredToken::Top& other : one.top) top.push_back({other.token, other.logprob});
    views_.push_back({one.token, one.logprob, top, one.has_logprob});
  }
}

}  // namespace hachi::server
