#include "cli/sampling_options.h"

#include <charconv>

#include "engine/sampling_defaults.h"

namespace hachi::cli {
namespace {

template <class T>
Result<T> parse_number(std::string_view name, std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(Code::kInvalidArgument, "{}: '{}' is not a number that fits", name, text);
  }
  return value;
}

Result<std::pair<int32_t, float>> parse_bias(std::string_view text) {
  const size_t at = text.find('=');
  if (at == std::string_view::npos) {
    return fail(Code::kInvalidArgument, "logit-bias: '{}' is not of the form TOKEN=BIAS", text);
  }
  TRY(const auto token, parse_number<int32_t>("logit-bias", text.substr(0, at)));
  TRY(const auto bias, parse_number<float>("logit-bias", text.substr(at + 1)));
  return std::pair(token, bias);
}

}  // namespace

void add_sampling_options(CLI::App& app, SamplingOptions& options) {
  app.add_option("-n,--max-tokens", options.max_tokens,
                 "Tokens to answer with at most; -1: until the context is full")
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 30).description(""))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--temperature,-t", options.temperature,
                 "0 takes the most likely token; higher is more varied (default: the model's)")
      ->type_name("X");
  app.add_option("--top-p", options.top_p, "Draw from the fewest tokens that reach this share")
      ->type_name("P");
  app.add_option("--top-k", options.top_k, "Draw from the K most likely tokens; 0: all")
      ->type_name("K");
  app.add_option("--min-p", options.min_p, "Draw from tokens with this share of the best one's")
      ->type_name("P");
  app.add_option("--repetition-penalty", options.repetition_penalty,
                 "Divide the logits of tokens that were there already")
      ->type_name("X");
  app.add_option("--presence-penalty", options.presence_penalty,
                 "Take this from the logits of tokens in the answer")
      ->type_name("X");
  app.add_option("--frequency-penalty", options.frequency_penalty,
                 "Take this from them for each time")
      ->type_name("X");
  app.add_option("--logit-bias", options.logit_bias,
                 "Add this to a token's logit; can be given again")
      ->type_name("TOKEN=BIAS");
  app.add_option("--seed", options.seed, "The same seed gives the same answer (default: random)")
      ->type_name("N");
  app.add_option("--stop", options.stop, "End the answer before this text; can be given again");
}

Result<void> set_sampling_option(SamplingOptions& options, std::string_view name,
                                 std::string_view value) {
  if (name == "temperature") {
    TRY(options.temperature, parse_number<double>(name, value));
  } else if (name == "top-p") {
    TRY(options.top_p, parse_number<double>(name, value));
  } else if (name == "min-p") {
    TRY(options.min_p, parse_number<double>(name, value));
  } else if (name == "top-k") {
    TRY(options.top_k, parse_number<int64_t>(name, value));
  } else if (name == "repetition-penalty") {
    TRY(options.repetition_penalty, parse_number<double>(name, value));
  } else if (name == "presence-penalty") {
    TRY(options.presence_penalty, parse_number<double>(name, value));
  } else if (name == "frequency-penalty") {
    TRY(options.frequency_penalty, parse_number<double>(name, value));
  } else if (name == "seed") {
    TRY(options.seed, parse_number<uint64_t>(name, value));
  } else if (name == "max-tokens") {
    TRY(options.max_tokens, parse_number<int64_t>(name, value));
  } else {
    return fail(Code::kInvalidArgument,
                "'{}' cannot be set: temperature, top-p, top-k, min-p, repetition-penalty, "
                "presence-penalty, frequency-penalty, seed, max-tokens and thinking can",
                name);
  }
  return {};
}

Result<engine::SamplingParams> sampling_params(const SamplingOptions& options,
                                               const model::SamplingDefaults& defaults) {
  engine::SamplingParams params = engine::default_sampling(defaults);
  params.temperature = options.temperature.value_or(params.temperature);
  params.top_p = options.top_p.value_or(params.top_p);
  params.top_k = options.top_k.value_or(params.top_k);
  params.min_p = options.min_p.value_or(params.min_p);
  params.repetition_penalty = options.repetition_penalty.value_or(params.repetition_penalty);
  params.presence_penalty = options.presence_penalty.value_or(0);
  params.frequency_penalty = options.frequency_penalty.value_or(0);
  for (const std::string& text : options.logit_bias) {
    TRY(const auto bias, parse_bias(text));
    params.logit_bias.push_back(bias);
  }
  params.seed = options.seed ? *options.seed : engine::fresh_seed();
  return params;
}

}  // namespace hachi::cli
