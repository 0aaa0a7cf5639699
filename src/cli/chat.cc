// `hachi chat`: a conversation at the terminal.
#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/answer.h"
#include "cli/answer_printer.h"
#include "cli/command.h"
#include "cli/conversation.h"
#include "cli/form_options.h"
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
  /schema [FILE|off] hold answers to a JSON schema; /regex REGEX and /grammar FILE do the same
  /tools [FILE|off]  tools that the model may call; what you say after a call is its result
  /budget [N|off]    tokens that the model may think with
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
  FormOptions form;
  bool fold_thinking = false;
};

class Chat {
 public:
  Chat(const LoadedModel& loaded, engine::Session session, Conversation conversation,
       const ChatOptions& options)
      : loaded_(loaded),
        session_(std::move(session)),
        conversation_(std::move(conversation)),
        form_tables_(form_tables(loaded)),
        sampling_(options.sampling),
        show_thinking_(!options.fold_thinking),
        quiet_(options.model.quiet) {}

  // Reads and compiles what answers have to look like; if that fails, all stays as it was.
  Result<void> use_form(const FormOptions& options) {
    TRY(const output::FormRequest wanted, form_request(options));
    TRY(form_, make_form(options, wanted, &conversation_.prompter(), form_tables_));
    set_form(conversation_, wanted, options);
    form_options_ = options;
    return {};
  }

  const engine::Session& session() const { return session_; }

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
      TRY(say(text));
      return true;
    }
    const size_t space = std::min(text.find_first_of(" \t"), text.size());
    const size_t rest = std::min(text.find_first_not_of(" \t", space), text.size());
    const std::string command = text.substr(0, space);
    if (command == "/exit" || command == "/quit") return false;
    TRY(run_command(command, text.substr(rest)));
    return true;
  }

  // To the model, or as the result of the call that waits for one.
  Result<void> say(const std::string& text) {
    const bool is_result = conversation_.open_call().has_value();
    if (is_result) {
      conversation_.add_result(text);
      if (conversation_.open_call()) {
        ask_for_result();
        return {};
      }
    } else {
      conversation_.add_user(text);
    }
    Result<void> answered = reply();
    // The conversation stays as it was, so that a shorter message can be tried.
    if (!answered) conversation_.take_back(is_result ? "tool" : "user");
    return answered;
  }

  void ask_for_result() const {
    const auto call = conversation_.open_call();
    if (!call) return;
    const Style style = Style::of(stdout);
    fmt::print("{}-> {} {}\n   what you say next is its result{}\n", style.dim,
               printable(call->name), printable(call->arguments), style.reset);
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
    } else if (command == "/schema" || command == "/regex" || command == "/grammar" ||
               command == "/tools" || command == "/budget") {
      return change_form(command.substr(1), argument);
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
    const AnswerRequest request{.prompt = std::move(prompt.tokens),
                                .prompt_text = std::move(prompt.text),
                                .sampling = sampling_,
                                .form = &*form_};
    AnswerPrinter printer(show_thinking_);
    TRY(last_, answer(loaded_, session_, request, quiet_,
                      [&](const output::Piece& piece) { printer.print(piece); }));
    printer.finish();
    conversation_.add_assistant(last_.thinking, last_.text, last_.calls);
    ask_for_result();
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
      FormOptions changed = form_options_;
      changed.thinking = on;
      return use_form(changed);
    }
    SamplingOptions changed = sampling_;
    TRY(set_sampling_option(changed, name, value));
    const model::ModelConfig& config = loaded_.model.config();
    TRY(const auto params, sampling_params(changed, config.sampling));
    TRY(engine::validate(params, config.vocab_size));
    sampling_ = std::move(changed);
    return {};
  }

  Result<void> change_form(const std::string& name, const std::string& argument) {
    if (argument.empty()) {
      fmt::print("{}\n", printable(shown_form_option(form_options_, name)));
      return {};
    }
    FormOptions changed = form_options_;
    TRY(set_form_option(changed, name, argument));
    return use_form(changed);
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
    fmt::print("seed {}, ended by {}, context {} of {}, {}\n", last_.seed,
               finish_name(stats.finish), session_.tokens().size(), session_.context(),
               place_of(loaded_, session_));
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
  output::FormTables form_tables_;
  FormOptions form_options_;
  std::optional<output::AnswerForm> form_;  // there once use_form() was called
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
  Chat chat(loaded, std::move(session), std::move(conversation), options);
  TRY(chat.use_form(options.form));
  if (!options.model.quiet && is_terminal(stdin)) {
    const model::ModelConfig& config = loaded.model.config();
    const Style style = Style::of(stdout);
    fmt::print("{}{}: {} with {} layers, context {}, {}. /help lists the commands.{}\n", style.dim,
               printable(loaded.name), config.family, config.num_layers, chat.session().context(),
               place_of(loaded, chat.session()), style.reset);
  }
  LineEditor editor(store.root() / "history");
  chat.run(editor);
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
  add_form_options(*app, options->form);
  app->add_flag("--fold-thinking", options->fold_thinking, "Fold the thinking into one line");
  add_sampling_options(*app, options->sampling);
  add_engine_options(*app, options->model);
  app->footer(std::string("\nIn the conversation:\n") + kHelp + R"(
Examples:
  hachi chat
  hachi chat ~/models/DeepSeek-R1-0528-Qwen3-8B --context 32768
  hachi chat smollm2 --system "Answer like a pirate." --temperature 0.9
  hachi chat qwen3-8b.gguf --tools tools.json --think-budget 1000)");
  return {app, [options] { return run_chat(*options); }};
}

}  // namespace hachi::cli
