// `hachi run`: one prompt, one answer.
#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/answer.h"
#include "cli/answer_printer.h"
#include "cli/command.h"
#include "cli/conversation.h"
#include "cli/form_options.h"
#include "cli/input.h"
#include "cli/terminal.h"
#include "output/boxed.h"

namespace hachi::cli {
namespace {

constexpr int kInterrupted = 130;

// What DeepSeek recommends to ask of R1 and its distillations.
constexpr std::string_view kMathInstruction =
    "Please reason step by step, and put your final answer within \\boxed{}.";

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  FormOptions form;
  std::optional<std::string> prompt;
  std::string system;
  std::string chat_template;
  bool raw = false;
  bool math = false;
  bool json = false;
};

Result<void> check(const RunOptions& options) {
  const FormOptions& form = options.form;
  if (options.raw && (options.math || !form.tools.empty() || form.think_budget)) {
    return fail(Code::kInvalidArgument,
                "--raw continues a text: it takes no --tools, no --think-budget and no --math");
  }
  return {};
}

AnswerRequest raw_request(const LoadedModel& loaded, const std::string& text) {
  AnswerRequest request;
  request.prompt = loaded.tokenizer.encode(text, {.add_special = true});
  request.skip_special = false;
  return request;
}

Result<AnswerRequest> chat_request(const RunOptions& options, const output::FormRequest& form,
                                   const std::string& text, Conversation& conversation) {
  set_form(conversation, form, options.form);
  conversation.set_system(options.system);
  conversation.add_user(options.math ? fmt::format("{}\n{}", text, kMathInstruction) : text);
  TRY(chat::Prompter::TokenPrompt prompt, conversation.prompt());
  AnswerRequest request;
  request.prompt = std::move(prompt.tokens);
  request.prompt_text = std::move(prompt.text);
  return request;
}

boost::json::object to_json(const RunOptions& options, const Answer& answer) {
  const engine::GenerateStats& stats = answer.stats;
  const bool has_called = stats.finish == engine::Finish::kStop && !answer.calls.empty();
  boost::json::object json = {
      {"model", options.model.model},
      {"text", answer.text},
      {"thinking", answer.thinking},
      {"finish_reason", has_called ? "tool_calls" : finish_name(stats.finish)},
      {"ids", boost::json::array(answer.ids.begin(), answer.ids.end())},
      {"seed", answer.seed},
      {"usage",
       {{"prompt_tokens", stats.prompt_tokens},
        {"completion_tokens", stats.generated_tokens},
        {"reasoning_tokens", answer.reasoning_tokens}}},
      {"seconds", {{"prefill", stats.prefill_seconds}, {"decode", stats.decode_seconds}}}};
  if (answer.reasoning_truncated) json["reasoning_truncated"] = true;
  if (!options.form.tools.empty()) {
    boost::json::array calls;
    for (const agent::ToolCall& call : answer.calls) calls.push_back(call_to_json(call));
    json["tool_calls"] = std::move(calls);
  }
  if (options.math) {
    const auto boxed = output::last_boxed(answer.text);
    json["answer"] = boxed ? boost::json::value(*boxed) : boost::json::value(nullptr);
  }
  return json;
}

// What stands below the answer on standard output.
void print_findings(const RunOptions& options, const Answer& answer) {
  for (const agent::ToolCall& call : answer.calls) {
    fmt::print("{}\n", boost::json::serialize(call_to_json(call)));
  }
  if (!options.math) return;
  if (const auto boxed = output::last_boxed(answer.text)) {
    fmt::print("Answer: {}\n", is_terminal(stdout) ? printable(*boxed) : std::string(*boxed));
  } else {
    fmt::print(stderr, "hachi: the answer has no \\boxed{{}}\n");
  }
}

void print_closing_words(const RunOptions& options, const Answer& answer) {
  if (answer.text.empty() && answer.calls.empty() && !answer.thinking.empty()) {
    fmt::print(stderr, "hachi: the model was still thinking when its {} tokens were used up\n",
               answer.stats.generated_tokens);
  }
  if (answer.is_broken_off) {
    fmt::print(stderr, "hachi: the answer ends within a call, which is not whole\n");
  }
  if (options.model.quiet || !is_terminal(stderr)) return;
  const Style style = Style::of(stderr);
  fmt::print(stderr, "{}{}{}\n", style.dim, stats_text(answer.stats), style.reset);
}

Result<int> run(const RunOptions& options) {
  TRY(check(options));
  TRY(const std::string text, read_prompt(options.prompt));
  TRY(const output::FormRequest wanted, form_request(options.form));
  TRY(const LoadedModel loaded, load_model(options.model));
  std::optional<Conversation> conversation;
  AnswerRequest request;
  if (options.raw) {
    request = raw_request(loaded, text);
  } else {
    TRY(conversation, Conversation::open(loaded, options.chat_template));
    TRY(request, chat_request(options, wanted, text, *conversation));
  }
  output::FormTables tables = form_tables(loaded);
  TRY(const output::AnswerForm form,
      make_form(options.form, wanted, conversation ? &conversation->prompter() : nullptr, tables));
  request.sampling = options.sampling;
  request.form = &form;
  TRY(engine::Session session, make_session(loaded, options.model));
  AnswerPrinter printer(true);
  TRY(const Answer answer,
      cli::answer(loaded, session, request, options.model.quiet, [&](const output::Piece& piece) {
        if (!options.json) printer.print(piece);
      }));
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(to_json(options, answer)));
  } else {
    printer.finish();
    print_findings(options, answer);
    print_closing_words(options, answer);
  }
  return answer.stats.finish == engine::Finish::kCancelled ? kInterrupted : 0;
}

}  // namespace

Command add_run(CLI::App& program) {
  CLI::App* app = program.add_subcommand("run", "Answer one prompt");
  auto options = std::make_shared<RunOptions>();
  add_model_argument(*app, options->model);
  app->add_option("-p,--prompt", options->prompt, "The prompt (default: standard input)");
  app->add_option("--system", options->system, "How the model should behave");
  app->add_flag("--raw", options->raw, "Continue the text as it is, without the chat template");
  app->add_option("--chat-template", options->chat_template,
                  "Use this Jinja file in place of the model's template")
      ->type_name("FILE");
  add_form_options(*app, options->form);
  app->add_flag("--math", options->math,
                "Ask for a final answer in \\boxed{}, and print it in a line of its own");
  app->add_flag("--json", options->json, "Print one JSON object when done");
  add_sampling_options(*app, options->sampling);
  add_engine_options(*app, options->model);
  app->footer(R"(
Examples:
  hachi run smollm2 -p "Name three rivers."
  cat letter.txt | hachi run smollm2 --system "Summarise in one sentence."
  hachi run smollm2 --raw -p "Once upon a time" -n 50 --seed 7
  hachi run smollm2 -p "Hi" -t 0 --json
  hachi run smollm2 -p "Invent a person." --schema person.json
  hachi run smollm2 -p "Is the sky blue?" --choice yes --choice no
  hachi run smollm2 -p "When was Rome founded?" --regex "[0-9]+ (BC|AD)."
  hachi run smollm2 -p "Weather in Oslo?" --tools tools.json --tool-choice required
  hachi run qwen3-8b.gguf -p "What is 17 * 23?" --math --think-budget 2000)");
  return {app, [options] { return run(*options); }};
}

}  // namespace hachi::cli
