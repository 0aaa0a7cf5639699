#include "model/rope_config.h"

#include <algorithm>
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

  Result<std::vector<float>> floats(std::string_view key) const {
    TRY(const auto values, checkpoint_.metadata().numbers(prefix_ + std::string(key)));
    std::vector<float> list;
    list.reserve(values.size());
    for (const double value : values) list.push_back(static_cast<float>(value));
    return list;
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
  if (type == "longrope" || type == "su") return RopeScaling::kLongRope;
  return fail(Code::kUnsupported,
              "{}: rotary positions scaled as '{}' are not supported (linear, llama3, yarn and "
              "longrope are)",
              checkpoint.path().string(), type);
}

Result<void> read_yarn_ramp(const Reader& reader, RopeConfig& rope) {
  TRY(rope.beta_fast, reader.positive("beta_fast", 32));
  TRY(rope.beta_slow, reader.positive("beta_slow", 1));
  TRY(rope.truncate, reader.flag("truncate", true));
  if (!(rope.theta > 1)) return reader.error("rope_theta", "must be above 1 for yarn");
  return {};
}

// Phi-3's two lists, of which the context chooses one.
struct LongRope {
  std::vector<float> short_list, long_list;
  double factor;  // how much longer the context has become
  std::optional<double> magnitude;
};

Result<void> choose_list(const Reader& reader, const LongRope& lists, const ConfigOptions& options,
                         ModelConfig& config) {
  RopeConfig& rope = config.rope;
  if (rope.original_context < 2) {
    return reader.error("original_max_position_embeddings", "must be above 1");
  }
  for (const auto* list : {&lists.short_list, &lists.long_list}) {
    if (static_cast<int64_t>(list->size()) != config.head_dim / 2) {
      return reader.error("long_factor and short_factor",
                          fmt::format("must hold {} numbers each", config.head_dim / 2));
    }
    for (const float divisor : *list) {
      if (divisor > 0 && std::isfinite(divisor)) continue;
      return reader.error("long_factor and short_factor", "must hold numbers above 0");
    }
  }
  rope.scaling = RopeScaling::kLongRope;
  rope.factor = lists.factor;
  rope.magnitude = static_cast<float>(lists.magnitude.value_or(
      longrope_magnitude(lists.factor, static_cast<double>(rope.original_context))));
  const int64_t context = options.context > 0 ? options.context : config.context_length;
  const bool is_long = context > rope.original_context;
  rope.divisors = is_long ? lists.long_list : lists.short_list;
  if (!is_long) config.context_length = std::min(config.context_length, rope.original_context);
  return {};
}

Result<void> read_hugging_face_longrope(const Checkpoint& checkpoint, const Reader& reader,
                                        const ConfigOptions& options, ModelConfig& config) {
  LongRope lists;
  TRY(lists.short_list, reader.floats("short_factor"));
  TRY(lists.long_list, reader.floats("long_factor"));
  // Phi-3's own field comes before that of the scaling, as in Transformers.
  constexpr std::string_view kOriginal = "original_max_position_embeddings";
  TRY(const auto own, checkpoint.metadata().integer(kOriginal));
  TRY(config.rope.original_context, reader.length(kOriginal, own));
  if (own) config.rope.original_context = *own;
  const double ratio = static_cast<double>(config.context_length) /
                       static_cast<double>(std::max<int64_t>(1, config.rope.original_context));
  TRY(lists.factor, reader.positive("factor", ratio));
  TRY(lists.magnitude, reader.find("attention_factor"));
  return choose_list(reader, lists, options, config);
}

Result<void> read_hugging_face_scaling(const Checkpoint& checkpoint, const Reader& reader,
                                       const ConfigOptions& options, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  TRY(const std::string_view type, reader.type());
  TRY(rope.scaling, scaling_of(checkpoint, type));
  if (rope.scaling == RopeScaling::kNone) return {};
  if (rope.scaling == RopeScaling::kLongRope) {
    return read_hugging_face_longrope(checkpoint, reader, options, config);
  }
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
    TRY(rope.magnitude, hugging_face_magnitude(reader, rope.factor, options.yarn_magnitude));
    TRY(read_yarn_ramp(reader, rope));
  }
  return {};
}

// A tensor of one number a pair; empty if there is none.
Result<std::vector<float>> read_divisors(const Checkpoint& checkpoint, std::string_view name,
                                         int64_t head_dim) {
  std::vector<float> divisors;
  const formats::TensorEntry* tensor = checkpoint.find(name);
  if (tensor == nullptr) return divisors;
  const ConstTensor& data = tensor->data;
  if (data.dtype() != DType::kF32 || data.rank() != 1 || data.size(0) != head_dim / 2) {
    return fail(Code::kCorrupt, "{}: {} must hold {} F32 numbers", checkpoint.path().string(), name,
                head_dim / 2);
  }
  divisors.resize(static_cast<size_t>(head_dim / 2));
  std::memcpy(divisors.data(), data.data(), divisors.size() * sizeof(float));
  for (const float divisor : divisors) {
    if (!(divisor > 0) || !std::isfinite(divisor)) {
      return fail(Code::kCorrupt, "{}: {} holds {}, and must hold numbers above 0",
                  checkpoint.path().string(), name, divisor);
    }
  }
  return divisors;
}

// llama.cpp's converter writes Phi-3's lists as tensors, and often no type of scaling.
Result<void> read_gguf_longrope(const Checkpoint& checkpoint, const Reader& reader,
                                const ConfigOptions& options, ModelConfig& config) {
  LongRope lists;
  TRY(lists.short_list, read_divisors(checkpoint, "rope_factors_short.weight", config.head_dim));
  TRY(lists.long_list, read_divisors(checkpoint, "rope_factors_long.weight", config.head_dim));
  TRY(config.rope.original_context, reader.length("original_context_length"));
  lists.factor = static_cast<double>(config.context_length) /
                 static_cast<double>(config.rope.original_context);
  TRY(lists.magnitude, reader.find("attn_factor"));
  return choose_list(reader, lists, options, config);
}

Result<void> read_gguf_scaling(const Checkpoint& checkpoint, const ConfigOptions& options,
                               ModelConfig& config) {
  RopeConfig& rope = config.rope;
  const Reader reader(checkpoint, config.family + ".rope.scaling.");
  TRY(const std::string_view type, reader.type());
  TRY(rope.scaling, scaling_of(checkpoint, type));
  // llama.cpp writes Llama 3.1's scaling out as one divisor a pair.
  TRY(rope.divisors, read_divisors(checkpoint, "rope_freqs.weight", config.head_dim));
  if (rope.scaling == RopeScaling::kLongRope ||
      checkpoint.find("rope_factors_long.weight") != nullptr) {
    return read_gguf_longrope(checkpoint, reader, options, config);
  }
  if (rope.scaling != RopeScaling::kNone) {
    TRY(rope.factor, reader.positive("factor"));
  }
  if (rope.scaling == RopeScaling::kYarn) {
    TRY(rope.original_context, reader.length("original_context_length"));
    TRY(const auto attn_factor, reader.find("attn_factor"));
    double author = attn_factor.value_or(1);
    if (!attn_factor && options.yarn_magnitude == YarnMagnitude::kAuthor &&
        is_deepseek_distill(checkpoint.metadata())) {
      author = 1 / yarn_magnitude(rope.factor);
    }
    rope.magnitude = static_cast<float>(yarn_magnitude(rope.factor) * author);
    TRY(read_yarn_ramp(reader, rope));
  }
  return {};
}

Result<void> refuse_partial_rotation(const Checkpoint& checkpoint, const ModelConfig& config) {
  const Metadata& meta = checkpoint.metadata();
  TRY(const auto gguf, meta.integer(config.family + ".rope.dimension_count"));
  TRY(const auto hugging_face, meta.number("partial_rotary_factor"));
  TRY(const auto newer, meta.number("rope_parameters.partial_rotary_factor"));
  if (gguf.value_or(config.head_dim) == config.head_dim && hugging_face.value_or(1) == 1 &&
      newer.value_or(1) == 1) {
    return {};
  }
  return fail(Code::kUnsupported,
              "{}: rotary positions over a part of the head only are not supported",
              checkpoint.path().string());
}

// Of layers with a window, which are never scaled. Gemma 3's first GGUF files do not say it.
Result<void> read_local_rope(const Checkpoint& checkpoint, const std::string& prefix,
                             std::string_view key, ModelConfig& config) {
  RopeConfig local;
  TRY(local.theta, Reader(checkpoint, prefix).positive(key, local.theta));
  config.local_rope = local;
  return {};
}

Result<void> read_gguf(const Checkpoint& checkpoint, const Family& family,
                       const ConfigOptions& options, ModelConfig& config) {
  const std::string prefix = config.family + ".rope.";
  TRY(config.rope.theta, Reader(checkpoint, prefix).positive("freq_base", config.rope.theta));
  TRY(read_gguf_scaling(checkpoint, options, config));
  config.rope.layout = family.gguf_layout;
  if (!family.local_theta) return {};
  return read_local_rope(checkpoint, prefix, "freq_base_swa", config);
}

Result<void> read_hugging_face(const Checkpoint& checkpoint, const Family& family,
                               const ConfigOptions& options, ModelConfig& config) {
  // Transformers 5 keeps theta and the scaling together in rope_parameters, where layers differ
  // once for each type of them.
  const Metadata& meta = checkpoint.metadata();
  const bool by_type = meta.find("rope_parameters.full_attention.rope_theta") != nullptr;
  const bool together = by_type || meta.find("rope_parameters.rope_theta") != nullptr;
  const std::string prefix = by_type    ? "rope_parameters.full_attention."
                             : together ? "rope_parameters."
                                        : "";
  TRY(config.rope.theta, Reader(checkpoint, prefix).positive("rope_theta", config.rope.theta));
  TRY(read_hugging_face_scaling(checkpoint, Reader(checkpoint, together ? prefix : "rope_scaling."),
                                options, config));
  if (!family.local_theta) return {};
  if (by_type) {
    return read_local_rope(checkpoint, "rope_parameters.sliding_attention.", "rope_theta", config);
  }
  return read_local_rope(checkpoint, "", "rope_local_base_freq", config);
}

}  // namespace

Result<void> read_rope(const Checkpoint& checkpoint, const Family& family,
                       const ConfigOptions& options, ModelConfig& config) {
  TRY(refuse_partial_rotation(checkpoint, config));
  return checkpoint.kind() == Kind::kGguf ? read_gguf(checkpoint, family, options, config)
                                          : read_hugging_face(checkpoint, family, options, config);
}

}  // namespace hachi::model
