#include "tokenizer/gguf_from_json.h"

#include <algorithm>

namespace hachi::tokenizer {
namespace {

namespace json = boost::json;

constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

std::pair<std::string_view, std::string_view> halves(const json::value& merge) {
  if (merge.is_array()) return {merge.at(0).as_string(), merge.at(1).as_string()};
  const std::string_view both = merge.as_string();
  const size_t space = both.find(' ');
  return {both.substr(0, space), both.substr(space + 1)};
}

struct Columns {
  std::vector<std::string_view> texts;
  std::vector<int64_t> types;

  void set(int64_t id, std::string_view text, int64_t type) {
    const auto index = static_cast<size_t>(id);
    if (index >= texts.size()) {
      texts.resize(index + 1, "[PAD]");
      types.resize(index + 1, kUnused);
    }
    texts[index] = text;
    types[index] = type;
  }
};

}  // namespace

formats::Metadata gguf_from_json(const json::object& document, std::string_view pre,
                                 std::deque<std::string>& storage) {
  const json::object& model = document.at("model").as_object();
  Columns columns;
  for (const auto& [text, id] : model.at("vocab").as_object()) {
    const bool byte = pre.empty() && text.size() == 6 && std::string_view(text).starts_with("<0x");
    columns.set(id.as_int64(), text, byte ? kByte : kNormal);
  }
  bool phi3 = false;
  for (const json::value& token : document.at("added_tokens").as_array()) {
    const std::string_view text = token.at("content").as_string();
    const bool special = token.at("special").as_bool();
    const int64_t type = text == "<unk>" ? kUnknown : special ? kControl : kUserDefined;
    columns.set(token.at("id").as_int64(), text, type);
    phi3 = phi3 || token.at("rstrip").as_bool();
  }

  formats::Metadata metadata;
  metadata.add("general.architecture", std::string_view(phi3 ? "phi3" : "llama"));
  metadata.add("tokenizer.ggml.model", std::string_view(pre.empty() ? "llama" : "gpt2"));
  const json::array& merges = model.at("merges").as_array();
  if (pre.empty()) {
    // A SentencePiece score is minus the place in the order of training; the place of the first
    // merge that makes the token stands for it.
    std::vector<double> scores(columns.texts.size(), -1e9);
    double place = 0;
    for (const json::value& merge : merges) {
      const auto [left, right] = halves(merge);
      std::string both(left);
      both += right;
      double& score = scores[static_cast<size_t>(model.at("vocab").at(both).as_int64())];
      score = std::max(score, -place);
      ++place;
    }
    const json::value& normalizer = document.at("normalizer");
    metadata.add("tokenizer.ggml.add_space_prefix", normalizer.at("type") == "Sequence");
    metadata.add("tokenizer.ggml.scores", std::move(scores));
  } else {
    std::vector<std::string_view> lines;
    for (const json::value& merge : merges) {
      const auto [left, right] = halves(merge);
      storage.push_back(std::string(left) + " " + std::string(right));
      lines.push_back(storage.back());
    }
    metadata.add("tokenizer.ggml.pre", pre);
    metadata.add("tokenizer.ggml.merges", std::move(lines));
  }
  metadata.add("tokenizer.ggml.tokens", std::move(columns.texts));
  metadata.add("tokenizer.ggml.token_type", std::move(columns.types));
  return metadata;
}

}  // namespace hachi::tokenizer
