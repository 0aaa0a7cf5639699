// `hachi agent`: a task that a model does with tools.
#include "agent/agent.h"

#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/agent_model.h"
#include "cli/agent_tools.h"
#include "cli/answer_printer.h"
#include "cli/command.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "core/clock.h"
#include "core/utf8.h"
#include "engine/sampling_defaults.h"

namespace hachi::cli {
namespace {

constexpr int kNotDone = 1;
constexpr int kInterrupted = 130;
constexpr size_t kShownLines = 4;  // of a call or its result
constexpr size_t kShownBytes = 400;
constexpr std::chrono::seconds kStartTime{30};  // of the servers

constexpr const char* kDefaultSystem =
    "You do tasks with the help of tools. Call tools to look up what you do not know and to "
    "calculate; never guess what a tool can tell. When you know the answer, say it in one or two "
    "sentences.";

struct AgentOptions {
  ModelOptions model;
  SamplingOptions sampling;
  FormOptions form;
  AgentToolOptions tools;
  std::optional<std::string> prompt;
  std::string system = kDefaultSystem;
  std::string chat_template;
  int max_steps = agent::Limits{}.steps;
  int64_t time_limit = agent::Limits{}.total_time.count();
  std::vector<std::string> first_calls;
  bool json = false;
};

// The beginning of `text`: a few lines, and a mark if there was more.
std::string shortened(std::string_view text) {
  size_t end = 0;
  for (size_t line = 0; line < kShownLines && end < text.size(); ++line) {
    end = std::min(text.find('\n', end), text.size() - 1) + 1;
  }
  std::string_view shown = text.substr(0, std::min(end, kShownBytes));
  shown = shown.substr(0, complete_utf8_prefix(shown));
  while (shown.ends_with('\n')) shown.remove_suffix(1);
  const bool is_cut = text.find_first_not_of('\n', shown.size()) != std::string_view::npos;
  std::string out;
  for (const char c : printable(shown)) {
    out += c;
    if (c == '\n') out += "   ";
  }
  return is_cut ? out + " …" : out;
}

// Shows the steps as they happen. A terminal gets all words of the model as they come; a pipe or a
// file gets the last answer alone. Calls and results go to standard error.
class StepPrinter : public agent::Observer {
 public:
  StepPrinter(bool quiet, bool json) : quiet_(quiet), streams_(!json && is_terminal(stdout)) {}

  void print(const output::Piece& piece) {
    if (!streams_) return;
    if (!printer_) printer_.emplace(true);
    printer_->print(piece);
  }

  void on_answer(int, const agent::AssistantTurn&, double) override {
    if (printer_) printer_->finish();
    printer_.reset();
  }

  void on_call(int, const agent::ToolCall& call) override {
    print_line(fmt::format("-> {} {}", printable(call.name), shortened(call.arguments)));
  }

  void on_result(int, const agent::ToolCall&, std::string_view result, bool, double) override {
    print_line("<- " + shortened(result));
  }

  bool streams() const { return streams_; }

 private:
  void print_line(const std::string& line) const {
    if (!quiet_) fmt::print(stderr, "{}{}{}\n", style_.dim, line, style_.reset);
  }

  bool quiet_;
  bool streams_;
  Style style_ = Style::of(stderr);
  std::optional<AnswerPrinter> printer_;  // of the answer that is coming
};

std::string_view end_name(agent::End end) {
  switch (end) {
    case agent::End::kAnswered:
      return "answered";
    case agent::End::kCut:
      return "cut";
    case agent::End::kSteps:
      return "steps";
    case agent::End::kTime:
      return "time";
    case agent::End::kCancelled:
      return "cancelled";
    case agent::End::kRepeated:
      return "repeated";
  }
  return "";
}

int status_of(agent::End end) {
  if (end == agent::End::kAnswered) return 0;
  return end == agent::End::kCancelled ? kInterrupted : kNotDone;
}

// What came of a task, beside its messages.
struct Done {
  agent::Outcome outcome;
  int64_t cached_tokens = 0;
  double seconds = 0;
};

boost::json::object to_json(const AgentOptions& options, const Done& done,
                            boost::json::array messages) {
  const agent::Outcome& outcome = done.outcome;
  return {{"model", options.model.model},
          {"text", outcome.text},
          {"end", end_name(outcome.end)},
          {"reason", outcome.reason},
          {"steps", outcome.steps},
          {"messages", std::move(messages)},
          {"seed", *options.sampling.seed},
          {"usage",
           {{"prompt_tokens", outcome.prompt_tokens},
            {"cached_tokens", done.cached_tokens},
            {"completion_tokens", outcome.completion_tokens}}},
          {"seconds", done.seconds}};
}

void report(const AgentOptions& options, const StepPrinter& printer, const Done& done) {
  const agent::Outcome& outcome = done.outcome;
  if (!printer.streams() && !outcome.text.empty()) fmt::print("{}\n", outcome.text);
  if (outcome.end == agent::End::kCancelled) {
    fmt::print(stderr, "hachi: interrupted\n");
  } else if (outcome.end != agent::End::kAnswered) {
    fmt::print(stderr, "hachi: the agent was stopped: {}\n", outcome.reason);
  }
  if (options.model.quiet || !is_terminal(stderr)) return;
  const Style style = Style::of(stderr);
  fmt::print(stderr, "{}{} steps in {:.1f} s, {} tokens read ({} kept), {} written, seed {}{}\n",
             style.dim, outcome.steps, done.seconds, outcome.prompt_tokens, done.cached_tokens,
             outcome.completion_tokens, *options.sampling.seed, style.reset);
}

boost::json::array first_messages(const AgentOptions& options, const std::string& task) {
  boost::json::array messages;
  if (!options.system.empty()) {
    messages.push_back({{"role", "system"}, {"content", options.system}});
  }
  messages.push_back({{"role", "user"}, {"content", task}});
  return messages;
}

Result<chat::Prompter> open_prompter(const LoadedModel& loaded, const AgentOptions& options) {
  const auto conversation = Conversation::open(loaded, options.chat_template);
  if (conversation) return conversation->prompter();
  if (conversation.error().code == Code::kUnsupported && !loaded.checkpoint->chat_template()) {
    return fail(Code::kUnsupported,
                "{}: the model brings no chat template, so it cannot be talked to about tools; "
                "give one with --chat-template",
                loaded.name);
  }
  return tl::unexpected<Error>(conversation.error());
}

Result<void> check_first_calls(const std::vector<std::string>& names, const agent::Toolbox& tools) {
  for (const std::string& name : names) {
    if (name == kAnyTool || tools.find(name) != nullptr) continue;
    return fail(Code::kInvalidArgument, "--first-calls: there is no tool '{}'; there are: {}", name,
                tools.names());
  }
  return {};
}

Result<int> run_agent(const AgentOptions& given) {
  AgentOptions options = given;
  if (!options.sampling.seed) options.sampling.seed = engine::fresh_seed();
  TRY(const std::string task, read_prompt(options.prompt));
  TRY(const output::FormRequest wanted, form_request(options.form));
  if (options.tools.shell) {
    fmt::print(stderr, "hachi: --shell: the model may do whatever you may, without being asked\n");
  }
  const InterruptGuard guard;
  TRY(const agent::Toolbox tools,
      make_toolbox(options.tools,
                   agent::within({.cancelled = &InterruptGuard::flag()}, kStartTime)));
  TRY(check_first_calls(options.first_calls, tools));
  TRY(const LoadedModel loaded, load_model(options.model));
  TRY(const chat::Prompter prompter, open_prompter(loaded, options));
  TRY(engine::Session session, make_session(loaded, options.model));
  StepPrinter printer(options.model.quiet, options.json);
  TRY(LocalModel model,
      LocalModel::create(loaded, session, prompter, tools.definitions(),
                         {.sampling = options.sampling,
                          .form = options.form,
                          .request = wanted,
                          .first_calls = options.first_calls,
                          .max_steps = static_cast<size_t>(options.max_steps),
                          .quiet = options.model.quiet},
                         [&](const output::Piece& piece) { printer.print(piece); }));
  const agent::Limits limits{.steps = options.max_steps,
                             .total_time = std::chrono::seconds(options.time_limit),
                             .cancelled = &InterruptGuard::flag()};
  boost::json::array messages = first_messages(options, task);
  const Stopwatch clock;
  TRY(agent::Outcome outcome, agent::run(model, tools, messages, limits, printer));
  const Done done{std::move(outcome), model.cached_tokens(), clock.seconds()};
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(to_json(options, done, std::move(messages))));
  } else {
    report(options, printer, done);
  }
  return status_of(done.outcome.end);
}

void add_tool_options(CLI::App& app, AgentToolOptions& tools) {
  app.add_option("--folder", tools.folder, "Let the model list and read the files in this folder")
      ->type_name("FOLDER");
  app.add_flag("--shell", tools.shell,
               "Let the model run commands, in that folder or the current one. CAUTION: it may do "
               "all that you may, and nobody is asked");
  app.add_option("--mcp", tools.mcp,
                 "Start this server of the Model Context Protocol and add its tools, as NAME_tool; "
                 "can be given again")
      ->allow_extra_args(false)
      ->type_name("[NAME=]COMMAND");
}

}  // namespace

Command add_agent(CLI::App& program) {
  CLI::App* app = program.add_subcommand("agent", "Do a task with tools");
  auto options = std::make_shared<AgentOptions>();
  add_model_argument(*app, options->model);
  app->add_option("-p,--prompt", options->prompt, "The task (default: standard input)");
  app->add_option("--system", options->system,
                  "How the model should behave (default: to use the tools, and to be brief)");
  add_tool_options(*app, options->tools);
  app->add_option("--max-steps", options->max_steps, "Answers of the model at most, with calls")
      ->check(CLI::Range(1, 1000).description(""))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--time-limit", options->time_limit, "Seconds for all of it")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30).description(""))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--first-calls", options->first_calls,
                  "What the first answers have to call, one tool each, or any: helps small models")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("TOOL,…");
  app->add_option("--chat-template", options->chat_template,
                  "Use this Jinja file in place of the model's template")
      ->type_name("FILE");
  add_format_options(*app, options->form);
  add_thinking_options(*app, options->form);
  app->add_flag("--json", options->json, "Print one JSON object with all messages when done");
  add_sampling_options(*app, options->sampling);
  add_engine_options(*app, options->model);
  app->footer(R"(
The model always has a calculator. -n limits the tokens of each answer. The exit status is 1 if a
limit ended the task before it was done.

Examples:
  hachi agent qwen3-8b.gguf -p "What is factorial(17) / factorial(15)?"
  hachi agent qwen3-8b.gguf --folder accounts -p "What did we spend in March?"
  hachi agent qwen3-8b.gguf --mcp "files=npx -y @modelcontextprotocol/server-filesystem /data" \
      -p "Which file in /data is the newest?" --max-steps 20
  hachi agent smollm2 -p "What is 123 * 456?" --first-calls calculator -t 0)");
  return {app, [options] { return run_agent(*options); }};
}

}  // namespace hachi::cli
