#include "model/rope_config.h"

#include <cmath>
#include <cstring>
#include <string>

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::Kind;
using formats::Metadata;

// DeepSeek-R1-0528-Qwen3-8B scales its logits back by this key; GGUF files of it lack the key, so
// there the model is known by its first special token, which stock Qwen3 does not have.
constexpr size_t kQwen3FirstSpecialToken = 151643;
constexpr std::string_view kDeepSeekBos = "<｜begin▁of▁sentence｜>";

bool is_deepseek_distill(const Metadata& metadata) {
  const auto* tokens = metadata.strings("tokenizer.ggml.tokens");
  return tokens != nullptr && tokens->size() > kQwen3FirstSpecialToken &&
         (*tokens)[kQwen3FirstSpecialToken] == kDeepSeekBos;
}

class Reader {
 public:
  // `prefix`: "rope_scaling.", "rope_parameters." or "FAMILY.rope.scaling.".
  Reader(const Checkpoint& checkpoint, std::string prefix)
      : checkpoint_(checkpoint), prefix_(std::move(prefix)) {}

  Result<double> positive(std::string_view key, std::optional<double> fallback = {}) const {
    TRY(const auto value, checkpoint_.metadata().number(prefix_ + std::string(key)));
    if (!value && fallback) return *fallback;
    if (!value) return error(key, "is missing");
    if (!(*value > 0) || !std::isfinite(*value)) return error(key, "must be above 0");
    return *value;
  }

  Result<std::optional<double>> find(std::string_view key) const {
    TRY(const auto value, checkpoint_.metadata().number(prefix_ + std::string(key)));
    if (value && (!(*value > 0) || !std::isfinite(*value))) return error(key, "must be above 0");
    return value;
  }

  Result<int64_t> length(std::string_view key, std::optional<int64_t> fallback = {}) const {
    TRY(const auto value, checkpoint_.metadata().integer(prefix_ + std::string(key)));
    if (!value && fallback) return *fallback;
    if (!value) return error(key, "is missing");
    if (*value < 1) return error(key, "must be above 0");
    return *value;
  }

  Result<bool> flag(std::string_view key, bool fallback) const {
    TRY(const auto value, checkpoint_.metadata().boolean(prefix_ + std::string(key)));
    return value.value_or(fallback);
  }

  Result<std::string_view> type() const {
    for (const std::string_view key : {"rope_type", "type"}) {
      TRY(const auto value, checkpoint_.metadata().string(prefix_ + std::string(key)));
      if (value) return *value;
    }
    return std::string_view("default");
  }

  tl::unexpected<Error> error(std::string_view key, std::string_view what) const {
    return fail(Code::kCorrupt, "{}: {}{} {}", checkpoint_.path().string(), prefix_, key, what);
  }

 private:
  const Checkpoint& checkpoint_;
  std::string prefix_;
};

Result<float> hugging_face_magnitude(const Reader& reader, double factor, YarnMagnitude magnitude) {
  TRY(const auto attention_factor, reader.find("attention_factor"));
  if (attention_factor) return static_cast<float>(*attention_factor);
  TRY(const auto mscale, reader.find("mscale"));
  TRY(const auto mscale_all_dim, reader.find("mscale_all_dim"));
  if (mscale && mscale_all_dim) {
    return static_cast<float>(yarn_magnitude(factor, *mscale) /
                              yarn_magnitude(factor, *mscale_all_dim));
  }
  TRY(const auto attn_factor, reader.find("attn_factor"));
  const double author = magnitude == YarnMagnitude::kAuthor ? attn_factor.value_or(1) : 1;
  return static_cast<float>(yarn_magnitude(factor) * author);
}

Result<RopeScaling> scaling_of(const Checkpoint& checkpoint, std::string_view type) {
  if (type == "default" || type == "none") return RopeScaling::kNone;
  if (type == "linear") return RopeScaling::kLinear;
  if (type == "llama3") return RopeScaling::kLlama3;
  if (type == "yarn") return RopeScaling::kYarn;
  return fail(Code::kUnsupported,
              "{}: rotary positions scaled as '{}' are not supported (linear, llama3 and yarn are)",
              checkpoint.path().string(), type);
}

Result<void> read_yarn_ramp(const Reader& reader, RopeConfig& rope) {
  TRY(rope.beta_fast, reader.positive("beta_fast", 32));
  TRY(rope.beta_slow, reader.positive("beta_slow", 1));
  TRY(rope.truncate, reader.flag("truncate", true));
  if (!(rope.theta > 1)) return reader.error("rope_theta", "must be above 1 for yarn");
  return {};
}

Result<void> read_hugging_face_scaling(const Checkpoint& checkpoint, const Reader& reader,
                                       YarnMagnitude magnitude, RopeConfig& rope) {
  TRY(const std::string_view type, reader.type());
  TRY(rope.scaling, scaling_of(checkpoint, type));
  if (rope.scaling == RopeScaling::kNone) return {};
  TRY(rope.factor, reader.positive("factor"));
  if (rope.scaling == RopeScaling::kLlama3) {
    TRY(rope.original_context, reader.length("original_max_position_embeddings"));
    TRY(rope.low_freq_factor, reader.positive("low_freq_factor"));
    TRY(rope.high_freq_factor, reader.positive("high_freq_factor"));
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      return reader.error("high_freq_factor", "must be above low_freq_factor");
    }
  } else if (rope.scaling == RopeScaling::kYarn) {
    TRY(const auto context, checkpoint.metadata().integer("max_position_embeddings"));
    TRY(rope.original_context, reader.length("original_max_position_embeddings", context));
    TRY(rope.magnitude, hugging_face_magnitude(reader, rope.factor, magnitude));
    TRY(read_yarn_ramp(reader, rope));
  }
  return {};
}

// llama.cpp writes Llama 3.1's scaling out as one divisor a pair.
Result<void> read_divisors(const Checkpoint& checkpoint, int64_t head_dim, RopeConfig& rope) {
  const formats::TensorEntry* tensor = checkpoint.find("rope_freqs.weight");
  if (tensor == nullptr) return {};
  const ConstTensor& data = tensor->data;
  if (data.dtype() != DType::kF32 || data.rank() != 1 || data.size(0) != head_dim / 2) {
    return fail(Code::kCorrupt, "{}: rope_freqs.weight must hold {} F32 numbers",
                checkpoint.path().string(), head_dim / 2);
  }
  rope.divisors.resize(static_cast<size_t>(head_dim / 2));
  std::memcpy(rope.divisors.data(), data.data(), rope.divisors.size() * sizeof(float));
  for (const float divisor : rope.divisors) {
    if (!(divisor > 0) || !std::isfinite(divisor)) {
      return fail(Code::kCorrupt, "{}: rope_freqs.weight holds {}, and must hold numbers above 0",
                  checkpoint.path().string(), divisor);
    }
  }
  return {};
}

Result<void> read_gguf_scaling(const Checkpoint& checkpoint, std::string_view family,
                               int64_t head_dim, YarnMagnitude magnitude, RopeConfig& rope) {
  const Reader reader(checkpoint, std::string(family) + ".rope.scaling.");
  TRY(const std::string_view type, reader.type());
  TRY(rope.scaling, scaling_of(checkpoint, type));
  if (rope.scaling != RopeScaling::kNone) {
    TRY(rope.factor, reader.positive("factor"));
  }
  if (rope.scaling == RopeScaling::kYarn) {
    TRY(rope.original_context, reader.length("original_context_length"));
    TRY(const auto attn_factor, reader.find("attn_factor"));
    double author = attn_factor.value_or(1);
    if (!attn_factor && magnitude == YarnMagnitude::kAuthor &&
        is_deepseek_distill(checkpoint.metadata())) {
      author = 1 / yarn_magnitude(rope.factor);
    }
    rope.magnitude = static_cast<float>(yarn_magnitude(rope.factor) * author);
    TRY(read_yarn_ramp(reader, rope));
  }
  return read_divisors(checkpoint, head_dim, rope);
}

Result<void> refuse_partial_rotation(const Checkpoint& checkpoint, std::string_view family,
                                     int64_t head_dim) {
  TRY(const auto gguf,
      checkpoint.metadata().integer(std::string(family) + ".rope.dimension_count"));
  TRY(const auto hugging_face, checkpoint.metadata().number("partial_rotary_factor"));
  if (gguf.value_or(head_dim) == head_dim && hugging_face.value_or(1) == 1) return {};
  return fail(Code::kUnsupported,
              "{}: rotary positions over a part of the head only are not supported",
              checkpoint.path().string());
}

}  // namespace

Result<RopeConfig> read_rope_config(const Checkpoint& checkpoint, std::string_view family,
                                    int64_t head_dim, YarnMagnitude magnitude) {
  TRY(refuse_partial_rotation(checkpoint, family, head_dim));
  RopeConfig rope;
  if (checkpoint.kind() == Kind::kGguf) {
    const Reader base(checkpoint, std::string(family) + ".rope.");
    TRY(rope.theta, base.positive("freq_base", rope.theta));
    TRY(read_gguf_scaling(checkpoint, family, head_dim, magnitude, rope));
    return rope;
  }
  // Transformers 5 keeps theta and the scaling together in rope_parameters.
  const bool together = checkpoint.metadata().find("rope_parameters.rope_theta") != nullptr;
  const Reader scaling(checkpoint, together ? "rope_parameters." : "rope_scaling.");
  TRY(rope.theta,
      Reader(checkpoint, together ? "rope_parameters." : "").positive("rope_theta", rope.theta));
  TRY(read_hugging_face_scaling(checkpoint, scaling, magnitude, rope));
  return rope;
}

}  // namespace hachi::model
