// What structured output costs: compiling 50 ordinary schemas, masks over a walk of random tokens
// through each, and the worst inputs that we know of.
//
//   bench_grammar [TOKENIZER]    a tokenizer.json or a GGUF file; else 151,936 synthetic tokens
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/clock.h"
#include "core/random.h"
#include "grammar/compiler.h"
#include "grammar/matcher.h"
#include "tests/grammar/attacks.h"
#include "tests/grammar/synthetic_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace hachi::grammar {
namespace {

std::string ordinary_schema(int number) {
  std::string properties;
  std::string required;
  const char* kinds[] = {
      R"({"type":"string"})",
      R"({"type":"integer","minimum":0,"maximum":120})",
      R"({"type":"string","maxLength":200})",
      R"({"type":"array","items":{"type":"string"},"maxItems":8})",
      R"({"type":"number"})",
      R"({"enum":["red","green","blue"]})",
      R"({"type":"boolean"})",
      R"({"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}},"required":["city"]})",
      R"({"anyOf":[{"type":"string"},{"type":"null"}]})",
      R"({"type":"string","format":"date"})"};
  const int count = 3 + number % 8;
  for (int i = 0; i < count; ++i) {
    const auto kind = static_cast<size_t>(number * 7 + i * 3) % std::size(kinds);
    properties += fmt::format("{}\"field_{}_{}\":{}", i ? "," : "", number, i, kinds[kind]);
    if (i % 2 == 0) required += fmt::format("{}\"field_{}_{}\"", i ? "," : "", number, i);
  }
  return fmt::format(
      R"({{"type":"object","properties":{{{}}},"required":[{}],"additionalProperties":false}})",
      properties, required);
}

double percentile(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(values.size())))];
}

void report(const char* what, std::vector<double>& us) {
  double sum = 0;
  for (const double value : us) sum += value;
  fmt::print(
      "{}: {} samples, mean {:.1f} us, median {:.1f}, 99th {:.1f}, 99.9th {:.1f}, worst {:.1f}\n",
      what, us.size(), sum / static_cast<double>(us.size()), percentile(us, 0.5),
      percentile(us, 0.99), percentile(us, 0.999), us.back());
}

// Walks of up to `steps` tokens; a model would write short tokens that mean something, so of the
// allowed ones the shortest of a few is taken.
void walk(const std::shared_ptr<const Grammar>& grammar, const Vocabulary& vocabulary,
          const std::vector<std::string>& tokens, uint64_t seed, int steps,
          std::vector<double>& mask_us, std::vector<double>& accept_us) {
  Matcher matcher(grammar);
  std::vector<uint32_t> mask(vocabulary.mask_words());
  uint64_t counter = 0;
  for (int step = 0; step < steps && !matcher.is_finished(); ++step) {
    Stopwatch watch;
    matcher.fill_mask(mask);
    mask_us.push_back(watch.seconds() * 1e6);
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      if (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) allowed.push_back(id);
    }
    TokenId chosen = -1;
    for (int i = 0; i < 4; ++i) {
      const auto at = static_cast<size_t>(random_bits(seed, counter++) % allowed.size());
      const TokenId one = allowed[at];
      if (chosen < 0 ||
          tokens[static_cast<size_t>(one)].size() < tokens[static_cast<size_t>(chosen)].size()) {
        chosen = one;
      }
    }
    watch.restart();
    matcher.accept(chosen);
    accept_us.push_back(watch.seconds() * 1e6);
  }
}

void bench_attacks(const std::shared_ptr<const Vocabulary>& vocabulary) {
  fmt::print("\n{:34} {:>11} {:>12} {:>10}  outcome\n", "attack", "compile ms", "worst mask ms",
             "KB");
  for (const Attack& attack : attacks()) {
    Compiler compiler(vocabulary);
    Stopwatch watch;
    const auto grammar = compiler.compile(attack.spec);
    const double compile_ms = watch.seconds() * 1e3;
    double worst_ms = 0;
    if (grammar) {
      Matcher matcher(*grammar);
      std::vector<uint32_t> mask(vocabulary->mask_words());
      uint64_t counter = 0;
      for (int step = 0; step < 60 && !matcher.is_finished(); ++step) {
        watch.restart();
        matcher.fill_mask(mask);
        worst_ms = std::max(worst_ms, watch.seconds() * 1e3);
        for (int tries = 0; tries < 100'000; ++tries) {
          const auto id = static_cast<TokenId>(random_bits(7, counter++) %
                                               static_cast<uint64_t>(vocabulary->size()));
          if ((mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) && matcher.accept(id)) break;
        }
      }
    }
    fmt::print("{:34} {:11.2f} {:12.2f} {:10}  {}\n", attack.name, compile_ms, worst_ms,
               grammar ? (*grammar)->bytes() / 1024 : 0,
               grammar ? "accepted" : grammar.error().message.substr(0, 90));
  }
}

int bench(int argc, char** argv) {
  std::vector<std::string> tokens = synthetic_tokens();
  TokenId stop = kSyntheticStop;
  if (argc > 1) {
    const auto tokenizer = tokenizer::Tokenizer::open(argv[1]);
    if (!tokenizer) {
      fmt::print(stderr, "{}\n", tokenizer.error().message);
      return 2;
    }
    tokens.clear();
    for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
      tokens.push_back(tokenizer->token_bytes(id));
    }
    stop = tokenizer->eos().value_or(0);
  }
  Stopwatch watch;
  const auto vocabulary = Vocabulary::make(tokens, std::vector<TokenId>{stop});
  fmt::print("vocabulary: {} tokens, {} nodes, {:.0f} ms\n", tokens.size(),
             (*vocabulary)->trie().nodes().size(), watch.seconds() * 1e3);
  Compiler compiler(*vocabulary);
  std::vector<double> compile_us, mask_us, accept_us, again_us;
  for (int number = 0; number < 50; ++number) {
    watch.restart();
    const auto grammar = compiler.compile(Spec::json_schema(ordinary_schema(number)));
    compile_us.push_back(watch.seconds() * 1e6);
    if (!grammar) {
      fmt::print(stderr, "{}\n", grammar.error().message);
      return 2;
    }
    walk(*grammar, **vocabulary, tokens, static_cast<uint64_t>(number), 400, mask_us, accept_us);
    for (uint64_t seed = 1; seed < 4; ++seed) {
      walk(*grammar, **vocabulary, tokens, seed * 1000 + static_cast<uint64_t>(number), 400,
           again_us, accept_us);
    }
  }
  report("compile", compile_us);
  report("mask, first answer of a schema", mask_us);
  report("mask, next answers", again_us);
  report("accept", accept_us);
  fmt::print("cache: {} KB for {} grammars\n", compiler.stats().cached_bytes / 1024,
             compiler.stats().cached_grammars);
  bench_attacks(*vocabulary);
  return 0;
}

}  // namespace
}  // namespace hachi::grammar

int main(int argc, char** argv) { return hachi::grammar::bench(argc, argv); }
