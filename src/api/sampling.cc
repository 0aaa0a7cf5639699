#include "api/sampling.h"

#include <algorithm>
#include <charconv>

namespace hachi::api {
namespace {

constexpr size_t kMaxMetadata = 16;
constexpr size_t kMaxMetadataKey = 64;
constexpr size_t kMaxMetadataValue = 512;

// "17" as 17; no sign, no leading zero, nothing behind.
std::optional<int32_t> token_of_key(std::string_view key) {
  int32_t token = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
  const bool whole = error == std::errc() && end == key.data() + key.size();
  const bool plain = !key.empty() && key[0] != '-' && (key[0] != '0' || key.size() == 1);
  if (!whole || !plain) return std::nullopt;
  return token;
}

std::vector<std::pair<int32_t, float>> read_logit_bias(FieldReader& fields) {
  std::vector<std::pair<int32_t, float>> out;
  const json::object* biases = fields.object("logit_bias");
  if (!biases) return out;
  if (biases->size() > kMaxLogitBias) {
    fields.fail("logit_bias", "must have at most {} tokens, got {}", kMaxLogitBias, biases->size());
    return out;
  }
  FieldReader reader(*biases, fields.path_of("logit_bias"), fields.error());
  for (const json::key_value_pair& pair : *biases) {
    const std::optional<int32_t> token = token_of_key(pair.key());
    if (!token) {
      fields.fail("logit_bias", "must have token ids as its keys, got {}",
                  shown(json::value(pair.key())));
      break;
    }
    const auto bias = reader.number(pair.key(), {-100, 100});
    if (bias) out.emplace_back(*token, static_cast<float>(*bias));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

void read_temperature_and_top_p(FieldReader& fields, double max_temperature, SamplingFields& out) {
  out.temperature = fields.number("temperature", {0, max_temperature});
  out.top_p = fields.number("top_p", {0, 1});
}

std::optional<int64_t> read_top_k(FieldReader& fields) {
  const auto top_k = fields.integer("top_k", {-1, 1'000'000'000});
  return top_k == -1 ? 0 : top_k;
}

SamplingFields read_sampling(FieldReader& fields) {
  SamplingFields out;
  read_temperature_and_top_p(fields, 2, out);
  out.top_k = read_top_k(fields);
  out.min_p = fields.number("min_p", {0, 1});
  out.repetition_penalty = fields.number("repetition_penalty", {0.01, 100});
  out.presence_penalty = fields.number("presence_penalty", {-2, 2}).value_or(0);
  out.frequency_penalty = fields.number("frequency_penalty", {-2, 2}).value_or(0);
  out.logit_bias = read_logit_bias(fields);
  out.seed = fields.integer("seed", kAnyInt64);
  out.stop = read_stop(fields, "stop");
  out.stop_token_ids = read_token_ids(fields, "stop_token_ids", kMaxStopTokens);
  out.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  out.min_tokens = fields.integer("min_tokens", {0, kMaxInt32}).value_or(0);
  out.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
  out.n = fields.integer("n", {1, kMaxChoices}).value_or(1);
  return out;
}

std::vector<std::string> read_stop(FieldReader& fields, std::string_view name) {
  std::vector<std::string> out;
  const json::value* value = fields.any(name);
  if (!value) return out;
  if (value->is_string()) {
    if (auto one = fields.text(name, kMaxStopBytes)) out.push_back(std::move(*one));
  } else if (!value->is_array()) {
    fields.fail(name, "must be a string or a list of strings, got {}", shown(*value));
  } else if (const json::array* list = fields.list(name, kMaxStopTexts)) {
    const std::string path = fields.path_of(name);
    for (size_t i = 0; i < list->size(); ++i) {
      auto one = text_element((*list)[i], path, i, kMaxStopBytes, fields.error());
      if (one) out.push_back(std::move(*one));
    }
  }
  if (std::find(out.begin(), out.end(), "") != out.end()) {
    fields.fail(name, "must not have an empty string: every text contains it");
  }
  return out;
}

std::vector<int32_t> read_token_ids(FieldReader& fields, std::string_view name, size_t max_length) {
  const json::array* list = fields.list(name, max_length);
  if (!list) return {};
  return token_elements(*list, fields.path_of(name), fields.error());
}

StreamFields read_stream(FieldReader& fields) {
  StreamFields out;
  out.stream = fields.boolean("stream").value_or(false);
  const json::object* options = fields.object("stream_options");
  if (!options) return out;
  if (!out.stream) fields.fail("stream_options", "needs \"stream\": true");
  FieldReader reader(*options, fields.path_of("stream_options"), fields.error());
  out.include_usage = reader.boolean("include_usage").value_or(false);
  (void)reader.boolean("include_obfuscation");  // padding against traffic analysis: there is none
  reader.finish();
  return out;
}

ScheduleFields read_schedule(FieldReader& fields) {
  ScheduleFields out;
  out.priority = fields.integer("priority", {-kMaxInt32 - 1, kMaxInt32}).value_or(0);
  out.cache_salt = fields.text("cache_salt").value_or("");
  return out;
}

const json::object* read_metadata(FieldReader& fields) {
  const json::object* metadata = fields.object("metadata");
  if (!metadata) return nullptr;
  if (metadata->size() > kMaxMetadata) {
    fields.fail("metadata", "must have at most {} keys, got {}", kMaxMetadata, metadata->size());
  }
  FieldReader reader(*metadata, fields.path_of("metadata"), fields.error());
  for (const json::key_value_pair& pair : *metadata) {
    if (pair.key().size() > kMaxMetadataKey) {
      fields.fail("metadata", "must have keys of at most {} bytes, got {}", kMaxMetadataKey,
                  shown(json::value(pair.key())));
    }
    (void)reader.text(pair.key(), kMaxMetadataValue);
  }
  return fields.failed() ? nullptr : metadata;
}

void read_bookkeeping(FieldReader& fields) {
  (void)fields.text("user");
  (void)read_metadata(fields);
  (void)fields.text("safety_identifier");
  (void)fields.text("prompt_cache_key");  // prefixes are found by what they hold
  (void)fields.word("prompt_cache_retention", {"in_memory", "24h"});
  (void)fields.word("service_tier", {"auto", "default"});
  (void)fields.word("verbosity", {"medium"});
}

}  // namespace hachi::api
