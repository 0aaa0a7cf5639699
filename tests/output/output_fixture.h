// What the tests of the output share: small tokenizers with and without marks as tokens, a grammar
// that knows a list of texts, and a plain loop in place of the engine.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/files.h"
#include "core/random.h"
#include "output/answer_constraint.h"
#include "output/answer_text.h"
#include "tokenizer/data_folder.h"

namespace hachi::output::testing {

using tokenizer::TokenId;

struct Added {
  std::string text;
  bool special = false;
};

// A byte-level tokenizer of 340 tokens, and these.
inline tokenizer::Tokenizer make_tokenizer(const std::vector<Added>& added) {
  const auto text = read_file(tokenizer::data_folder() / "qwen.json", 1 << 20);
  boost::json::object json = boost::json::parse(*text).get_object();
  boost::json::array tokens;
  int64_t id = 340;
  for (const Added& one : added) {
    tokens.push_back({{"content", one.text},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", one.special},
                      {"id", id++}});
  }
  json["added_tokens"] = std::move(tokens);
  auto made = tokenizer::Tokenizer::from_json(boost::json::serialize(json));
  EXPECT_TRUE(made) << made.error().message;
  return *std::move(made);
}

inline constexpr std::string_view kEnd = "<|end|>";

// Marks of thinking as tokens, as Qwen3 and DeepSeek-R1-0528-Qwen3-8B have them.
inline tokenizer::Tokenizer marked_tokenizer() {
  return make_tokenizer({{std::string(kEnd), true},
                         {"<think>"},
                         {"</think>"},
                         {"<tool_call>"},
                         {"</tool_call>"},
                         {"[TOOL_CALLS]", true},
                         {"</think>{"},
                         {">{"},
                         {"><"}});
}

// All marks are text of several tokens; some tokens reach over their ends.
inline tokenizer::Tokenizer plain_tokenizer() {
  return make_tokenizer({{std::string(kEnd), true}, {">{"}, {">\n\n"}, {"><"}, {"<th"}});
}

// Allows the texts of a list.
class ListGrammar : public AnswerGrammar {
 public:
  ListGrammar(const TokenTable& table, std::vector<std::string> texts, std::vector<TokenId> stops)
      : table_(&table), texts_(std::move(texts)), stops_(std::move(stops)) {}

  bool accept(TokenId token) override {
    if (std::find(stops_.begin(), stops_.end(), token) != stops_.end()) return is_whole();
    return accept_bytes(table_->tokenizer().token_bytes(token));
  }
  bool accept_bytes(std::string_view bytes) override {
    if (!begins(text_ + std::string(bytes))) return false;
    text_ += bytes;
    return true;
  }
  void fill_mask(std::span<uint32_t> words) override {
    std::fill(words.begin(), words.end(), 0u);
    const auto set = [&](TokenId token) {
      words[static_cast<size_t>(token) / 32] |= uint32_t{1} << (token % 32);
    };
    for (TokenId token = 0; token < table_->tokenizer().vocab_size(); ++token) {
      const std::string bytes = table_->tokenizer().token_bytes(token);
      if (!bytes.empty() && begins(text_ + bytes)) set(token);
    }
    if (!is_whole()) return;
    for (const TokenId token : stops_) set(token);
  }
  bool is_finished() override {
    return is_whole() && std::count_if(texts_.begin(), texts_.end(), [&](const auto& text) {
                           return text.starts_with(text_);
                         }) == 1;
  }
  std::string forced_text() override {
    std::string forced;
    while (!is_whole_at(text_ + forced)) {
      std::set<char> next;
      for (const std::string& text : texts_) {
        if (text.starts_with(text_ + forced)) next.insert(text[text_.size() + forced.size()]);
      }
      if (next.size() != 1) break;
      forced += *next.begin();
    }
    return forced;
  }

 private:
  bool begins(const std::string& text) const {
    return std::any_of(texts_.begin(), texts_.end(),
                       [&](const std::string& one) { return one.starts_with(text); });
  }
  bool is_whole_at(const std::string& text) const {
    return std::find(texts_.begin(), texts_.end(), text) != texts_.end();
  }
  bool is_whole() const { return is_whole_at(text_); }

  const TokenTable* table_;
  std::vector<std::string> texts_;
  std::vector<TokenId> stops_;
  std::string text_;
};

inline bool allows(std::span<const uint32_t> mask, TokenId token) {
  return mask.empty() || (mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1) != 0;
}

struct Said {
  std::vector<TokenId> tokens;  // without the end
  std::string raw;              // their bytes
  std::string reasoning, content;
  std::vector<std::string> names, arguments;
  bool ended = false;  // by the end token, or because the constraint said so
  bool budget_spent = false;
  bool broken_off = false;
};

inline void add(Said& said, std::vector<Piece>& pieces) {
  for (const Piece& piece : pieces) {
    switch (piece.field) {
      case Field::kReasoning:
        said.reasoning += piece.text;
        break;
      case Field::kContent:
        said.content += piece.text;
        break;
      case Field::kCallName:
        EXPECT_EQ(piece.call, static_cast<int>(said.names.size()));
        said.names.push_back(piece.text);
        said.arguments.emplace_back();
        break;
      case Field::kCallArguments:
        said.arguments.at(static_cast<size_t>(piece.call)) += piece.text;
        break;
    }
  }
  pieces.clear();
}

// A model that wants to say `wish`, then to end; where that is not allowed, or it is forced off it,
// it says any allowed token (seeded).
class Speaker {
 public:
  Speaker(const tokenizer::Tokenizer& tokenizer, std::vector<TokenId> wish, uint64_t seed = 0)
      : tokenizer_(&tokenizer), wish_(std::move(wish)), seed_(seed) {}
  Speaker(const tokenizer::Tokenizer& tokenizer, std::string_view wish, uint64_t seed = 0)
      : Speaker(tokenizer, tokenizer.encode(wish), seed) {}

  // Says up to `most` tokens under `options`.
  Said say(const ConstraintOptions& options, int64_t most = 300) {
    const auto table = std::make_shared<const TokenTable>(*tokenizer_, tokenizer_->vocab_size());
    AnswerConstraint constraint(table, options);
    AnswerText text(*tokenizer_, {.automaton = options.automaton});
    const TokenId end = *tokenizer_->id(kEnd);
    Said said;
    std::vector<Piece> pieces;
    while (static_cast<int64_t>(said.tokens.size()) < most) {
      // A guess must come true as far as it is forced.
      std::vector<TokenId> run(4);
      run.resize(static_cast<size_t>(constraint.forced_run(run)));
      const auto forced = constraint.forced();
      if (forced) {
        EXPECT_EQ(run.at(0), *forced);
        if (at_ < wish_.size() && wish_[at_] == *forced) ++at_;
      }
      const auto token = forced ? forced : draw(constraint.mask(), said.tokens.size());
      if (!token || *token == end) {
        said.ended = true;
        break;
      }
      constraint.accept(*token);
      text.push(*token, pieces);
      // Both sides know the same.
      EXPECT_EQ(text.is_thinking(), constraint.automaton().is_thinking());
      EXPECT_EQ(text.is_budget_spent(), constraint.automaton().is_budget_spent());
      said.tokens.push_back(*token);
      said.raw += tokenizer_->is_special(*token) ? std::string(tokenizer_->token(*token))
                                                 : tokenizer_->token_bytes(*token);
      add(said, pieces);
      if (!constraint.finished()) continue;
      said.ended = true;
      break;
    }
    text.finish(pieces);
    add(said, pieces);
    said.budget_spent = text.is_budget_spent();
    said.broken_off = text.is_broken_off();
    return said;
  }

 private:
  std::optional<TokenId> draw(std::span<const uint32_t> mask, size_t place) {
    const TokenId wanted = at_ < wish_.size() ? wish_[at_] : *tokenizer_->id(kEnd);
    if (allows(mask, wanted)) {
      ++at_;
      return wanted;
    }
    std::vector<TokenId> allowed;
    for (TokenId token = 0; token < tokenizer_->vocab_size(); ++token) {
      if (allows(mask, token) && !tokenizer_->token(token).empty()) allowed.push_back(token);
    }
    if (allowed.empty()) return std::nullopt;
    const double at = uniform(seed_, place) * static_cast<double>(allowed.size());
    return allowed[static_cast<size_t>(at)];
  }

  const tokenizer::Tokenizer* tokenizer_;
  std::vector<TokenId> wish_;
  uint64_t seed_;
  size_t at_ = 0;
};

}  // namespace hachi::output::testing
