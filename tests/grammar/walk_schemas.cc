// Answers to JSON schemas by a model that knows nothing: random tokens under the mask, with a
// liking for those that close something. schemas_test.py feeds it and validates what comes out.
//
//   grammar_walk SEEDS [TOKENIZER]    schemas from standard input, one a line; else than from a
//                                     tokenizer.json or GGUF file, tokens are synthetic
//
// One line of JSON for each schema and seed: [schema, seed, "finished" | "cut" | "refused", text].
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "grammar/compiler.h"
#include "grammar/matcher.h"
#include "grammar/synthetic_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace hachi::grammar {
namespace {

constexpr int kMaxSteps = 400;

class Writer {
 public:
  Writer(const Vocabulary& vocabulary, const std::vector<std::string>& tokens)
      : vocabulary_(vocabulary), tokens_(tokens), mask_(vocabulary.mask_words()) {
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary.is_stop(id)) {
        stop_ = id;
        continue;
      }
      all_.push_back(id);
      if (tokens[static_cast<size_t>(id)].find_first_of("\"]}") != std::string::npos) {
        closing_.push_back(id);
      }
    }
  }

  // The text, and whether it came to its end.
  bool write(const std::shared_ptr<const Grammar>& grammar, uint64_t seed, std::string& text) {
    Matcher matcher(grammar);
    uint64_t counter = 0;
    for (int step = 0; step < kMaxSteps; ++step) {
      matcher.fill_mask(mask_);
      const TokenId token = choose(seed, counter);
      if (token < 0 || !matcher.accept(token)) {
        text += " <- a token of the mask is not accepted, or there is none";
        return true;
      }
      if (vocabulary_.is_stop(token)) return true;
      text += tokens_[static_cast<size_t>(token)];
    }
    return false;
  }

 private:
  bool is_allowed(TokenId id) const {
    return (mask_[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
  }
  // The first of some random ones of the list that is allowed, or -1.
  TokenId probe(const std::vector<TokenId>& from, uint64_t seed, uint64_t& counter) const {
    for (int tries = 0; tries < 64 && !from.empty(); ++tries) {
      const TokenId id = from[random_bits(seed, counter++) % from.size()];
      if (is_allowed(id)) return id;
    }
    return -1;
  }

  TokenId choose(uint64_t seed, uint64_t& counter) {
    if (is_allowed(stop_) && random_bits(seed, counter++) % 2 == 0) return stop_;
    const bool close = random_bits(seed, counter++) % 3 == 0;
    const TokenId found = probe(close ? closing_ : all_, seed, counter);
    if (found >= 0) return found;
    std::vector<TokenId> allowed;
    for (const TokenId id : all_) {
      if (is_allowed(id)) allowed.push_back(id);
    }
    if (!allowed.empty()) return allowed[random_bits(seed, counter++) % allowed.size()];
    return is_allowed(stop_) ? stop_ : -1;
  }

  const Vocabulary& vocabulary_;
  const std::vector<std::string>& tokens_;
  std::vector<uint32_t> mask_;
  TokenId stop_ = 0;
  std::vector<TokenId> all_, closing_;
};

int walk(int argc, char** argv) {
  if (argc < 2) return 2;
  const uint64_t seeds = std::stoull(argv[1]);
  std::vector<std::string> tokens = synthetic_tokens();
  TokenId stop = kSyntheticStop;
  if (argc > 2) {
    const auto tokenizer = tokenizer::Tokenizer::open(argv[2]);
    if (!tokenizer) {
      fmt::print(stderr, "{}\n", tokenizer.error().message);
      return 2;
    }
    tokens.clear();
    for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
      tokens.push_back(tokenizer->is_special(id) ? std::string() : tokenizer->token_bytes(id));
    }
    stop = tokenizer->eos().value_or(0);
  }
  const auto vocabulary = Vocabulary::make(tokens, std::vector<TokenId>{stop});
  if (!vocabulary) return 2;
  Compiler compiler(*vocabulary);
  Writer writer(**vocabulary, tokens);
  std::string schema;
  for (int64_t number = 0; std::getline(std::cin, schema); ++number) {
    const auto grammar = compiler.compile(Spec::json_schema(schema));
    for (uint64_t seed = 0; seed < seeds; ++seed) {
      std::string text = grammar ? "" : grammar.error().message;
      const char* outcome = "refused";
      if (grammar) outcome = writer.write(*grammar, seed, text) ? "finished" : "cut";
      if (outcome[0] == 'c') text.clear();  // it may end within a character
      std::cout << boost::json::serialize(boost::json::array{number, seed, outcome, text}) << '\n';
      if (!grammar) break;
    }
  }
  return 0;
}

}  // namespace
}  // namespace hachi::grammar

int main(int argc, char** argv) { return hachi::grammar::walk(argc, argv); }
