// `hachi tokenize`: texts to token ids and back.
#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command.h"
#include "cli/input.h"
#include "cli/store.h"
#include "tokenizer/tokenizer.h"

namespace hachi::cli {
namespace {

using tokenizer::EncodeOptions;
using tokenizer::TokenId;
using tokenizer::Tokenizer;

struct TokenizeOptions {
  std::string model;
  std::string text;
  bool has_text = false;
  bool jsonl = false;
  bool decode = false;
  bool no_special = false;
  bool add_special = false;
};

Result<std::vector<TokenId>> ids_of(const boost::json::array& list, const Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  for (const boost::json::value& item : list) {
    boost::system::error_code error;
    const auto id = item.to_number<TokenId>(error);
    if (error || id < 0 || id >= tokenizer.vocab_size()) {
      return fail(Code::kInvalidArgument, "{} is not a token of this model (0 to {})",
                  boost::json::serialize(item), tokenizer.vocab_size() - 1);
    }
    ids.push_back(id);
  }
  return ids;
}

// "[1, 2, 3]", "1,2,3" or "1 2 3".
Result<std::vector<TokenId>> parse_ids(std::string text, const Tokenizer& tokenizer) {
  boost::json::array list;
  for (char& c : text) {
    if (c == ',' || c == '[' || c == ']') c = ' ';
  }
  for (size_t at = 0; (at = text.find_first_not_of(" \t\r\n", at)) != std::string::npos;) {
    const size_t end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    const std::string word = text.substr(at, end - at);
    boost::system::error_code error;
    list.push_back(boost::json::parse(word, error));
    if (error) return fail(Code::kInvalidArgument, "'{}' is not a token id", word);
    at = end;
  }
  return ids_of(list, tokenizer);
}

void print_json(const boost::json::object& object) {
  const std::string line = boost::json::serialize(object) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
}

Result<void> run_lines(const Tokenizer& tokenizer, const TokenizeOptions& options,
                       const EncodeOptions& encode) {
  return each_json_line([&](const boost::json::object& line) -> Result<void> {
    if (!options.decode) {
      TRY(const std::string_view text, string_field(line, "text"));
      const auto ids = tokenizer.encode(text, encode);
      print_json({{"ids", boost::json::array(ids.begin(), ids.end())}});
      return {};
    }
    const boost::json::value* list = line.if_contains("ids");
    if (list == nullptr || !list->is_array()) {
      return fail(Code::kInvalidArgument, "the list \"ids\" is missing");
    }
    TRY(const auto ids, ids_of(list->get_array(), tokenizer));
    print_json({{"text", tokenizer.decode(ids, options.no_special)}});
    return {};
  });
}

Result<int> run_tokenize(const TokenizeOptions& options) {
  TRY(const ModelStore store, ModelStore::open());
  TRY(const auto path, store.resolve(options.model));
  TRY(const Tokenizer tokenizer, Tokenizer::open(path));
  const EncodeOptions encode{.parse_special = !options.no_special,
                             .add_special = options.add_special};
  if (options.jsonl) {
    TRY(run_lines(tokenizer, options, encode));
    return 0;
  }
  std::string text = options.text;
  if (!options.has_text) {
    TRY(text, read_standard_input());
  }
  if (options.decode) {
    TRY(const auto ids, parse_ids(text, tokenizer));
    fmt::print("{}\n", tokenizer.decode(ids, options.no_special));
  } else {
    fmt::print("[{}]\n", fmt::join(tokenizer.encode(text, encode), ", "));
  }
  return 0;
}

}  // namespace

Command add_tokenize(CLI::App& program) {
  CLI::App* app = program.add_subcommand("tokenize", "Turn text into token ids, or back");
  auto options = std::make_shared<TokenizeOptions>();
  app->add_option("MODEL", options->model, "A model, or just a tokenizer.json or a folder with one")
      ->required()
      ->type_name("MODEL");
  CLI::Option* text = app->add_option("TEXT", options->text, "The text (default: standard input)");
  app->add_flag("--jsonl", options->jsonl,
                R"(Lines {"text": …} to {"ids": […]}, with --decode the other way)");
  app->add_flag("--decode", options->decode, "Turn token ids into text");
  app->add_flag("--no-special", options->no_special,
                "Special tokens written in the text are plain text; when decoding, leave them out");
  app->add_flag("--add-special", options->add_special,
                "Add what the model begins a text with, such as <s>");
  app->footer(R"(
Examples:
  hachi tokenize smollm2 "Hello, world!"
  hachi tokenize smollm2 --decode "[19556, 28, 905, 17]"
  hachi tokenize ~/models/Qwen3-8B --jsonl < texts.jsonl > ids.jsonl)");
  return {app, [options, text] {
            options->has_text = text->count() > 0;
            return run_tokenize(*options);
          }};
}

}  // namespace hachi::cli
