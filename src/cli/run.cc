// `hachi run`: one prompt, one answer.
#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/answer.h"
#include "cli/answer_printer.h"
#include "cli/command.h"
#include "cli/conversation.h"
#include "cli/input.h"
#include "cli/terminal.h"

namespace hachi::cli {
namespace {

constexpr int kInterrupted = 130;

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::string prompt;
  bool has_prompt = false;
  std::string system;
  std::string chat_template;
  bool raw = false;
  bool no_think = false;
  bool json = false;
};

Result<AnswerRequest> request_for(const LoadedModel& loaded, const RunOptions& options,
                                  const std::string& text) {
  AnswerRequest request;
  request.sampling = options.sampling;
  if (options.raw) {
    request.prompt = loaded.tokenizer.encode(text, {.add_special = true});
    request.split_thinking = false;
    return request;
  }
  TRY(Conversation conversation, Conversation::open(loaded, options.chat_template));
  if (options.no_think) conversation.enable_thinking = false;
  conversation.set_system(options.system);
  conversation.add_user(text);
  TRY(chat::Prompter::TokenPrompt prompt, conversation.prompt());
  request.prompt = std::move(prompt.tokens);
  request.prompt_text = std::move(prompt.text);
  return request;
}

boost::json::object to_json(const RunOptions& options, const Answer& answer) {
  const engine::GenerateStats& stats = answer.stats;
  return {{"model", options.model.model},
          {"text", answer.text},
          {"thinking", answer.thinking},
          {"finish_reason", finish_name(stats.finish)},
          {"ids", boost::json::array(answer.ids.begin(), answer.ids.end())},
          {"seed", answer.seed},
          {"usage",
           {{"prompt_tokens", stats.prompt_tokens}, {"completion_tokens", stats.generated_tokens}}},
          {"seconds", {{"prefill", stats.prefill_seconds}, {"decode", stats.decode_seconds}}}};
}

Result<std::string> prompt_text(const RunOptions& options) {
  if (options.has_prompt) return options.prompt;
  if (is_terminal(stdin)) {
    return fail(Code::kInvalidArgument,
                "there is no prompt: give one with -p, or on standard input");
  }
  return read_standard_input();
}

void print_closing_words(const RunOptions& options, const Answer& answer) {
  if (answer.text.empty() && !answer.thinking.empty()) {
    fmt::print(stderr, "hachi: the model was still thinking when its {} tokens were used up\n",
               answer.stats.generated_tokens);
  }
  if (options.model.quiet || !is_terminal(stderr)) return;
  const Style style = Style::of(stderr);
  fmt::print(stderr, "{}{}{}\n", style.dim, stats_text(answer.stats), style.reset);
}

Result<int> run(const RunOptions& options) {
  TRY(const std::string text, prompt_text(options));
  if (text.empty()) return fail(Code::kInvalidArgument, "the prompt is empty");
  TRY(const LoadedModel loaded, load_model(options.model));
  TRY(const AnswerRequest request, request_for(loaded, options, text));
  TRY(engine::Session session, make_session(loaded, options.model));
  AnswerPrinter printer(true);
  TRY(const Answer answer, cli::answer(loaded, session, request, options.model.quiet,
                                       [&](bool thinking, std::string_view piece) {
                                         if (!options.json) printer.print(thinking, piece);
                                       }));
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(to_json(options, answer)));
  } else {
    printer.finish();
    print_closing_words(options, answer);
  }
  return answer.stats.finish == engine::Finish::kCancelled ? kInterrupted : 0;
}

}  // namespace

Command add_run(CLI::App& program) {
  CLI::App* app = program.add_subcommand("run", "Answer one prompt");
  auto options = std::make_shared<RunOptions>();
  add_model_argument(*app, options->model);
  CLI::Option* prompt =
      app->add_option("-p,--prompt", options->prompt, "The prompt (default: standard input)");
  app->add_option("--system", options->system, "How the model should behave");
  app->add_flag("--raw", options->raw, "Continue the text as it is, without the chat template");
  app->add_option("--chat-template", options->chat_template,
                  "Use this Jinja file in place of the model's template")
      ->type_name("FILE");
  app->add_flag("--no-think", options->no_think,
                "Ask for an answer without thinking, where the template can");
  app->add_flag("--json", options->json, "Print one JSON object when done");
  add_sampling_options(*app, options->sampling);
  add_engine_options(*app, options->model);
  app->footer(R"(
Examples:
  hachi run smollm2 -p "Name three rivers."
  cat letter.txt | hachi run smollm2 --system "Summarise in one sentence."
  hachi run smollm2 --raw -p "Once upon a time" -n 50 --seed 7
  hachi run smollm2 -p "Hi" -t 0 --json)");
  return {app, [options, prompt] {
            options->has_prompt = prompt->count() > 0;
            return run(*options);
          }};
}

}  // namespace hachi::cli
