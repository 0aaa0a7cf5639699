// The fields that say how tokens are drawn and when an answer ends. Chat, completions and responses
// share them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/fields.h"

namespace hachi::api {

inline constexpr size_t kMaxStopTexts = 16;  // OpenAI allows 4, vLLM any number
inline constexpr size_t kMaxStopBytes = 1024;
inline constexpr size_t kMaxStopTokens = 256;
inline constexpr size_t kMaxLogitBias = 1024;
inline constexpr int64_t kMaxTopLogprobs = 20;
inline constexpr int64_t kMaxChoices = 128;  // n

// What is not set is up to the model's own defaults.
struct SamplingFields {
  std::optional<double> temperature;         // 0 to 2; 0: always the most likely token
  std::optional<double> top_p;               // 0 to 1
  std::optional<int64_t> top_k;              // 0: all (vLLM's -1 is read as 0)
  std::optional<double> min_p;               // 0 to 1
  std::optional<double> repetition_penalty;  // 0.01 to 100, 1: none
  double presence_penalty = 0;               // -2 to 2
  double frequency_penalty = 0;              // -2 to 2
  // Token ids and what is added to their logits, -100 to 100; ids ascend.
  std::vector<std::pair<int32_t, float>> logit_bias;
  std::optional<int64_t> seed;  // any 64 bits; not set: a new one for each request

  std::vector<std::string> stop;        // up to kMaxStopTexts, none empty
  std::vector<int32_t> stop_token_ids;  // beside the model's own
  bool ignore_eos = false;              // go on past the model's own end tokens
  int64_t min_tokens = 0;               // no end before so many
  bool skip_special_tokens = true;      // false: write them into the text
  int64_t n = 1;                        // answers for each prompt, 1 to kMaxChoices
};

// Reads all of the fields above.
SamplingFields read_sampling(FieldReader& fields);

// temperature and top_p alone, for the APIs that have no more.
void read_temperature_and_top_p(FieldReader& fields, double max_temperature, SamplingFields& out);

// top_k, with -1 (vLLM's older word for all tokens) as 0.
std::optional<int64_t> read_top_k(FieldReader& fields);

// `name` as a text or a list of up to kMaxStopTexts of them.
std::vector<std::string> read_stop(FieldReader& fields, std::string_view name);

// `name` as a list of token ids, 0 to 2^31 - 1.
std::vector<int32_t> read_token_ids(FieldReader& fields, std::string_view name, size_t max_length);

// What else chat and completions share.
struct StreamFields {
  bool stream = false;
  bool include_usage = false;  // a last chunk with the usage
};
StreamFields read_stream(FieldReader& fields);

struct ScheduleFields {
  int64_t priority = 0;    // of 32 bits; as in vLLM, lower goes first
  std::string cache_salt;  // prefixes are shared only among requests with the same one
};
ScheduleFields read_schedule(FieldReader& fields);

// Takes the fields of OpenAI's that say who asks and how it is billed: user, metadata, store, …
// They have no effect; values that would promise something are refused.
void read_bookkeeping(FieldReader& fields);

// metadata: up to 16 texts under keys of up to 64 bytes, 512 bytes each. Null if it is not there.
const json::object* read_metadata(FieldReader& fields);

}  // namespace hachi::api
