// `hachi chat`: a conversation at the terminal.
#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/answer.h"
#include "cli/answer_printer.h"
#include "cli/command.h"
#include "cli/conversation.h"
#include "cli/line_editor.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "core/files.h"
#include "formats/json.h"

namespace hachi::cli {
namespace {

constexpr uint64_t kMaxSavedBytes = 64 << 20;

constexpr const char* kHelp = R"(  /help              this list
  /system [TEXT]     show or set how the model should behave; starts anew
  /set NAME VALUE    temperature, top-p, top-k, min-p, repetition-penalty, presence-penalty,
                     frequency-penalty, seed, max-tokens; thinking on|off
  /think on|off      show the model's thinking, or fold it into a line
  /regen             take back the last answer and give another
  /clear             start anew
  /save FILE         write the conversation to a file
  /load FILE         go on with one from a file
  /stats             speed and size of the last answer
  /exit              leave (or Ctrl-D)
  Ctrl-C stops an answer. A line that ends with \ goes on in the next; """ begins and ends a block.
)";

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::string system;
  std::string chat_template;
  bool no_think = false;
  bool fold_thinking = false;
};

class Chat {
 public:
  Chat(const LoadedModel& loaded, engine::Session session, Conversation conversation,
       const ChatOptions& options)
      : loaded_(loaded),
        session_(std::move(session)),
        conversation_(std::move(conversation)),
        sampling_(options.sampling),
        show_thinking_(!options.fold_thinking),
        quiet_(options.model.quiet) {}

  void run(LineEditor& editor) {
    while (true) {
      const LineEditor::Input input = editor.read();
      if (input.event == LineEditor::Event::kEnd) return;
      if (input.event == LineEditor::Event::kInterrupted) continue;
      if (input.text.find_first_not_of(" \t\n") == std::string::npos) continue;
      const Result<bool> go_on = take(input.text);
      if (!go_on) fmt::print(stderr, "hachi: {}\n", go_on.error().message);
      if (go_on && !*go_on) return;
    }
  }

 private:
  // False to leave.
  Result<bool> take(const std::string& text) {
    if (text.front() != '/') {
      conversation_.add_user(text);
      const Result<void> answered = reply();
      if (!answered) {
        // The conversation stays as it was, so that a shorter message can be tried.
        conversation_.take_back("user");
        return tl::unexpected<Error>(answered.error());
      }
      return true;
    }
    const size_t space = std::min(text.find_first_of(" \t"), text.size());
    const size_t rest = std::min(text.find_first_not_of(" \t", space), text.size());
    const std::string command = text.substr(0, space);
    if (command == "/exit" || command == "/quit") return false;
    TRY(run_command(command, text.substr(rest)));
    return true;
  }

  Result<void> run_command(const std::string& command, const std::string& argument) {
    if (command == "/help") {
      fmt::print("{}", kHelp);
    } else if (command == "/system") {
      return set_system(argument);
    } else if (command == "/set") {
      return set(argument);
    } else if (command == "/think") {
      return set_switch("/think", argument, show_thinking_);
    } else if (command == "/regen") {
      return regenerate();
    } else if (command == "/clear") {
      conversation_.clear();
    } else if (command == "/save") {
      return save(argument);
    } else if (command == "/load") {
      return load(argument);
    } else if (command == "/stats") {
      print_stats();
    } else {
      return fail(Code::kInvalidArgument, "there is no {}; /help lists what there is", command);
    }
    return {};
  }

  static Result<void> set_switch(std::string_view what, std::string_view value, bool& on) {
    if (value != "on" && value != "off") {
      return fail(Code::kInvalidArgument, "{} takes on or off", what);
    }
    on = value == "on";
    return {};
  }

  Result<void> reply() {
    TRY(chat::Prompter::TokenPrompt prompt, conversation_.prompt());
    const AnswerRequest request{std::move(prompt.tokens), sampling_, std::move(prompt.text)};
    AnswerPrinter printer(show_thinking_);
    TRY(last_,
        answer(loaded_, session_, request, quiet_,
               [&](bool thinking, std::string_view text) { printer.print(thinking, text); }));
    printer.finish();
    conversation_.add_assistant(last_.thinking, last_.text);
    return {};
  }

  Result<void> set_system(const std::string& text) {
    if (text.empty()) {
      fmt::print("{}\n", printable(conversation_.system()));
      return {};
    }
    conversation_.set_system(text);
    conversation_.clear();
    return {};
  }

  Result<void> set(const std::string& argument) {
    const size_t space = argument.find(' ');
    if (space == std::string::npos) {
      return fail(Code::kInvalidArgument, "/set takes a name and a value; /help lists the names");
    }
    const std::string name = argument.substr(0, space);
    const std::string value = argument.substr(space + 1);
    if (name == "thinking") {
      bool on = true;
      TRY(set_switch("/set thinking", value, on));
      conversation_.enable_thinking = on;
      return {};
    }
    SamplingOptions changed = sampling_;
    TRY(set_sampling_option(changed, name, value));
    const model::ModelConfig& config = loaded_.model.config();
    TRY(const auto params, sampling_params(changed, config.sampling));
    TRY(engine::validate(params, config.vocab_size));
    sampling_ = std::move(changed);
    return {};
  }

  Result<void> regenerate() {
    const Conversation before = conversation_;
    if (!conversation_.take_back("assistant")) {
      return fail(Code::kInvalidArgument, "there is no answer to give again");
    }
    Result<void> answered = reply();
    if (!answered) conversation_ = before;
    return answered;
  }

  Result<void> save(const std::string& file) const {
    if (file.empty()) return fail(Code::kInvalidArgument, "/save takes the name of a file");
    boost::json::object json = conversation_.to_json();
    json["model"] = loaded_.name;
    return write_file(file, boost::json::serialize(json) + "\n");
  }

  Result<void> load(const std::string& file) {
    if (file.empty()) return fail(Code::kInvalidArgument, "/load takes the name of a file");
    TRY(const std::string text, read_file(file, kMaxSavedBytes));
    TRY(const boost::json::object json, formats::parse_json_object(text, file));
    return conversation_.from_json(json);
  }

  void print_stats() const {
    if (last_.ids.empty()) {
      fmt::print("no answer yet\n");
      return;
    }
    const engine::GenerateStats& stats = last_.stats;
    fmt::print("{}\n", stats_text(stats));
    fmt::print("seed {}, ended by {}, context {} of {}, {} threads\n", last_.seed,
               finish_name(stats.finish), session_.tokens().size(), session_.context(),
               session_.threads());
    const auto decoded = static_cast<double>(stats.generated_tokens - 1);
    if (decoded > 0 && stats.decode_seconds > 0) {
      const double bytes = decoded * static_cast<double>(loaded_.model.bytes_per_token());
      fmt::print("{} of weights a token, read at {:.1f} GB/s\n",
                 human_bytes(loaded_.model.bytes_per_token()), bytes / stats.decode_seconds / 1e9);
    }
  }

  const LoadedModel& loaded_;
  engine::Session session_;
  Conversation conversation_;
  SamplingOptions sampling_;
  bool show_thinking_;
  bool quiet_;
  Answer last_;
};

Result<int> run_chat(const ChatOptions& options) {
  TRY(const ModelStore store, ModelStore::open());
  TRY(const LoadedModel loaded, load_model(options.model));
  TRY(engine::Session session, make_session(loaded, options.model));
  TRY(Conversation conversation, Conversation::open(loaded, options.chat_template));
  conversation.set_system(options.system);
  if (options.no_think) conversation.enable_thinking = false;
  if (!options.model.quiet && is_terminal(stdin)) {
    const model::ModelConfig& config = loaded.model.config();
    const Style style = Style::of(stdout);
    fmt::print("{}{}: {} with {} layers, context {}, {} threads. /help lists the commands.{}\n",
               style.dim, printable(loaded.name), config.family, config.num_layers,
               session.context(), session.threads(), style.reset);
  }
  LineEditor editor(store.root() / "history");
  Chat(loaded, std::move(session), std::move(conversation), options).run(editor);
  return 0;
}

}  // namespace

Command add_chat(CLI::App& program) {
  CLI::App* app = program.add_subcommand("chat", "Talk to a model");
  auto options = std::make_shared<ChatOptions>();
  options->model.model = "smollm2";
  add_model_argument(*app, options->model, false);
  app->add_option("--system", options->system, "How the model should behave");
  app->add_option("--chat-template", options->chat_template,
                  "Use this Jinja file in place of the model's template")
      ->type_name("FILE");
  app->add_flag("--no-think", options->no_think,
                "Ask for answers without thinking, where the template can");
  app->add_flag("--fold-thinking", options->fold_thinking, "Fold the thinking into one line");
  add_sampling_options(*app, options->sampling);
  add_engine_options(*app, options->model);
  app->footer(std::string("\nIn the conversation:\n") + kHelp + R"(
Examples:
  hachi chat
  hachi chat ~/models/DeepSeek-R1-0528-Qwen3-8B --context 32768
  hachi chat smollm2 --system "Answer like a pirate." --temperature 0.9)");
  return {app, [options] { return run_chat(*options); }};
}

}  // namespace hachi::cli
