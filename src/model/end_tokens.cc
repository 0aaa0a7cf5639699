#include "model/end_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::Kind;

struct EndTexts {
  std::string_view family;
  std::array<std::string_view, 3> texts;
};

// Sources: the generation_config.json of the instruction-tuned models of each family.
constexpr EndTexts kEndTexts[] = {
    {"qwen3", {"<|im_end|>", "<|endoftext|>"}},
    {"llama", {"<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"}},  // Llama 3
    {"gemma", {"<end_of_turn>"}},
    {"gemma3", {"<end_of_turn>"}},
    {"phi3", {"<|endoftext|>", "<|assistant|>", "<|end|>"}},
};

class Finder {
 public:
  Finder(const Checkpoint& checkpoint, std::string_view family, int64_t vocab_size)
      : checkpoint_(checkpoint), vocab_size_(vocab_size) {
    for (const EndTexts& known : kEndTexts) {
      if (known.family == family) texts_ = known.texts;
    }
  }

  bool ends(std::string_view text) const {
    return !text.empty() && std::find(texts_.begin(), texts_.end(), text) != texts_.end();
  }

  void add_from_gguf(std::vector<int64_t>& ids) const {
    const auto* tokens = checkpoint_.metadata().strings("tokenizer.ggml.tokens");
    if (tokens == nullptr) return;
    const int64_t count = std::min(static_cast<int64_t>(tokens->size()), vocab_size_);
    for (int64_t i = 0; i < count; ++i) {
      if (ends((*tokens)[static_cast<size_t>(i)])) ids.push_back(i);
    }
  }

  // tokenizer_config.json has the texts as added_tokens_decoder.ID.content.
  void add_from_tokenizer_config(std::vector<int64_t>& ids) const {
    constexpr std::string_view kPrefix = "added_tokens_decoder.";
    const auto& entries = checkpoint_.tokenizer_config().entries();
    for (auto at = entries.lower_bound(kPrefix); at != entries.end(); ++at) {
      const std::string_view key = at->first;
      if (key.substr(0, kPrefix.size()) != kPrefix) break;
      const auto* text = std::get_if<std::string_view>(&at->second);
      int64_t id = 0;
      const auto [rest, error] =
          std::from_chars(key.data() + kPrefix.size(), key.data() + key.size(), id);
      if (error != std::errc() || id < 0 || id >= vocab_size_) continue;
      const std::string_view field = key.substr(static_cast<size_t>(rest - key.data()));
      if (field == ".content" && text != nullptr && ends(*text)) ids.push_back(id);
    }
  }

 private:
  const Checkpoint& checkpoint_;
  int64_t vocab_size_;
  std::array<std::string_view, 3> texts_;
};

}  // namespace

Result<std::vector<int32_t>> read_end_tokens(const Checkpoint& checkpoint, std::string_view family,
                                             int64_t vocab_size) {
  std::vector<int64_t> ids;
  const Finder finder(checkpoint, family, vocab_size);
  if (checkpoint.kind() == Kind::kGguf) {
    for (const std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"}) {
      TRY(const auto more, checkpoint.metadata().integers(key));
      ids.insert(ids.end(), more.begin(), more.end());
    }
    finder.add_from_gguf(ids);
  } else {
    TRY(ids, checkpoint.generation().integers("eos_token_id"));
    if (ids.empty()) {
      TRY(ids, checkpoint.metadata().integers("eos_token_id"));
    }
    finder.add_from_tokenizer_config(ids);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<int32_t> end_ids;
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      return fail(Code::kCorrupt, "{}: the end-of-text token {} is not among the {} tokens",
                  checkpoint.path().string(), id, vocab_size);
    }
    end_ids.push_back(static_cast<int32_t>(id));
  }
  return end_ids;
}

}  // namespace hachi::model
