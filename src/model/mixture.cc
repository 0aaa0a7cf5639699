#include "model/mixture.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string>

namespace hachi::model {
namespace {

constexpr FileType kFileTypes[] = {
    {Mixture::kF32, "F32", 0, DType::kF32},
    {Mixture::kF16, "F16", 1, DType::kF16},
    {Mixture::kBF16, "BF16", 32, DType::kBF16},
    {Mixture::kQ8_0, "Q8_0", 7, DType::kQ8_0},
    {Mixture::kQ4_0, "Q4_0", 2, DType::kQ4_0},
    {Mixture::kQ4_1, "Q4_1", 3, DType::kQ4_1},
    {Mixture::kQ5_0, "Q5_0", 8, DType::kQ5_0},
    {Mixture::kQ5_1, "Q5_1", 9, DType::kQ5_1},
    {Mixture::kIQ4_NL, "IQ4_NL", 25, DType::kIQ4_NL},
    {Mixture::kIQ4_XS, "IQ4_XS", 30, DType::kIQ4_XS},
    {Mixture::kQ2_K, "Q2_K", 10, DType::kQ2_K},
    {Mixture::kQ3_K_S, "Q3_K_S", 11, DType::kQ3_K},
    {Mixture::kQ3_K_M, "Q3_K_M", 12, DType::kQ3_K},
    {Mixture::kQ3_K_L, "Q3_K_L", 13, DType::kQ3_K},
    {Mixture::kQ4_K_S, "Q4_K_S", 14, DType::kQ4_K},
    {Mixture::kQ4_K_M, "Q4_K_M", 15, DType::kQ4_K},
    {Mixture::kQ5_K_S, "Q5_K_S", 16, DType::kQ5_K},
    {Mixture::kQ5_K_M, "Q5_K_M", 17, DType::kQ5_K},
    {Mixture::kQ6_K, "Q6_K", 18, DType::kQ6_K},
    {Mixture::kIQ2_XXS, "IQ2_XXS", 19, DType::kIQ2_XXS},
    {Mixture::kIQ2_XS, "IQ2_XS", 20, DType::kIQ2_XS},
    {Mixture::kIQ2_S, "IQ2_S", 28, DType::kIQ2_XS},
    {Mixture::kIQ2_M, "IQ2_M", 29, DType::kIQ2_S},
    {Mixture::kIQ3_XXS, "IQ3_XXS", 23, DType::kIQ3_XXS},
    {Mixture::kIQ3_XS, "IQ3_XS", 22, DType::kIQ3_S},
    {Mixture::kIQ3_S, "IQ3_S", 26, DType::kIQ3_S},
    {Mixture::kIQ3_M, "IQ3_M", 27, DType::kIQ3_S},
};

enum class Role { kHead, kEmbedding, kQueryKey, kValue, kFused, kOut, kGateUp, kDown, kOther };

Role role_of(std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != name.npos; };
  if (name == "output.weight") return Role::kHead;
  if (name == "token_embd.weight") return Role::kEmbedding;
  if (has("attn_qkv.weight")) return Role::kFused;
  if (has("attn_v.weight")) return Role::kValue;
  if (has("attn_k.weight") || has("attn_q.weight")) return Role::kQueryKey;
  if (has("attn_output.weight")) return Role::kOut;
  if (has("ffn_up") || has("ffn_gate")) return Role::kGateUp;
  if (has("ffn_down")) return Role::kDown;
  return Role::kOther;
}

// A tensor's place among those of its kind.
struct Place {
  int64_t layer;
  int64_t num_layers;

  bool in_first(int64_t parts) const { return layer < num_layers / parts; }
  bool in_last_eighth() const { return layer >= 7 * num_layers / 8; }
  // The first and the last eighth, and every third between: where errors were found to cost most.
  bool gets_more_bits() const {
    return in_first(8) || in_last_eighth() || (layer - num_layers / 8) % 3 == 2;
  }
};

bool is_2_bit(Mixture m) {
  return m == Mixture::kIQ2_XXS || m == Mixture::kIQ2_XS || m == Mixture::kIQ2_S ||
         m == Mixture::kIQ2_M;
}

// The larger two of the 2-bit mixtures, in which what matters has 3 bits.
bool is_2_bit_with_3(Mixture m) { return m == Mixture::kIQ2_S || m == Mixture::kIQ2_M; }

DType head_type(const FileType& file, int64_t row) {
  if (row % traits(file.base).block_size != 0) return DType::kQ8_0;
  if (is_2_bit(file.mixture) || file.mixture == Mixture::kIQ3_XXS) return DType::kQ5_K;
  return file.base == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
}

DType embedding_type(const FileType& file) {
  if (file.mixture == Mixture::kIQ2_XXS || file.mixture == Mixture::kIQ2_XS) return DType::kQ2_K;
  if (is_2_bit_with_3(file.mixture) || file.mixture == Mixture::kIQ3_XXS) return DType::kIQ3_S;
  return file.base;
}

DType value_type(const FileType& file, const MixtureModel& model, const Place& place) {
  const bool shared = model.heads_per_kv >= 4;  // small, so that more bits cost little
  switch (file.mixture) {
    case Mixture::kQ2_K:
      return shared ? DType::kQ4_K : DType::kQ3_K;
    case Mixture::kIQ3_XXS:
      if (shared) return DType::kQ4_K;
      return model.has_importance ? DType::kIQ3_XXS : DType::kIQ3_S;
    case Mixture::kIQ3_XS:
    case Mixture::kIQ3_S:
      return shared ? DType::kQ4_K : file.base;
    case Mixture::kIQ3_M:
      return DType::kQ4_K;
    case Mixture::kQ3_K_M:
      return place.layer < 2 ? DType::kQ5_K : DType::kQ4_K;
    case Mixture::kQ3_K_L:
      return DType::kQ5_K;
    case Mixture::kIQ4_NL:
    case Mixture::kIQ4_XS:
      return shared ? DType::kQ5_K : file.base;
    case Mixture::kQ4_K_M:
    case Mixture::kQ5_K_M:
      return place.gets_more_bits() ? DType::kQ6_K : file.base;
    case Mixture::kQ4_K_S:
      return place.layer < 4 ? DType::kQ5_K : file.base;
    default:
      return file.base;
  }
}

DType query_key_type(const FileType& file) {
  if (file.mixture == Mixture::kIQ3_XS) return DType::kIQ3_XXS;
  if (file.mixture == Mixture::kIQ3_XXS) return DType::kIQ2_S;
  return file.base;
}

DType out_type(const FileType& file) {
  switch (file.mixture) {
    case Mixture::kQ2_K:
      return DType::kQ3_K;
    case Mixture::kIQ3_XXS:
      return DType::kIQ3_S;
    case Mixture::kQ3_K_M:
    case Mixture::kIQ3_M:
      return DType::kQ4_K;
    case Mixture::kQ3_K_L:
      return DType::kQ5_K;
    default:
      return file.base;
  }
}

DType gate_up_type(const FileType& file, const Place& place) {
  const bool middle = !place.in_first(8) && !place.in_last_eighth();
  return file.mixture == Mixture::kIQ3_XS && middle ? DType::kIQ3_XXS : file.base;
}

DType down_type(const FileType& file, const MixtureModel& model, const Place& place) {
  const bool first = place.in_first(8);
  switch (file.mixture) {
    case Mixture::kQ2_K:
      return DType::kQ3_K;
    case Mixture::kIQ3_XXS:
      if (model.has_importance) return file.base;
      return first ? DType::kQ4_K : DType::kQ3_K;
    case Mixture::kQ3_K_M:
      return place.in_first(16) ? DType::kQ5_K : DType::kQ4_K;
    case Mixture::kQ3_K_L:
      return DType::kQ5_K;
    case Mixture::kIQ3_M:
      return first ? DType::kQ4_K : file.base;
    case Mixture::kQ4_K_M:
    case Mixture::kQ5_K_M:
      return place.gets_more_bits() ? DType::kQ6_K : file.base;
    case Mixture::kQ4_K_S:
      return first ? DType::kQ5_K : file.base;
    case Mixture::kIQ4_NL:
    case Mixture::kIQ4_XS:
      return first && !model.has_importance ? DType::kQ5_K : file.base;
    // Scales chosen by importance can go astray in the first down projections; a minimum holds
    // them.
    case Mixture::kQ4_0:
      return first && model.has_importance ? DType::kQ4_1 : file.base;
    case Mixture::kQ5_0:
      return first && model.has_importance ? DType::kQ5_1 : file.base;
    default:
      return file.base;
  }
}

DType type_in_2_bits(const FileType& file, const MixtureModel& model, Role role,
                     const Place& place) {
  const DType more = is_2_bit_with_3(file.mixture) ? DType::kIQ3_S : DType::kQ2_K;
  switch (role) {
    case Role::kValue:
    case Role::kFused:
      return model.heads_per_kv >= 4 ? DType::kQ4_K : more;
    case Role::kDown:
      return place.in_first(8) ? more : file.base;
    case Role::kOut:
      return is_2_bit_with_3(file.mixture) ? DType::kIQ3_S : file.base;
    default:
      return file.base;
  }
}

}  // namespace

std::span<const FileType> file_types() { return kFileTypes; }

const FileType* find_file_type(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (upper == "Q3_K" || upper == "Q4_K" || upper == "Q5_K") upper += "_M";
  const auto found = std::find_if(std::begin(kFileTypes), std::end(kFileTypes),
                                  [&](const FileType& type) { return type.name == upper; });
  return found == std::end(kFileTypes) ? nullptr : found;
}

bool is_quantized_tensor(std::string_view name, int rank) {
  return rank >= 2 && name.ends_with("weight") && name.find("_norm.weight") == name.npos &&
         name.find("ffn_gate_inp.weight") == name.npos;
}

DType mixture_type(const FileType& file, const MixtureModel& model, std::string_view name,
                   int64_t row) {
  if (traits(file.base).block_size == 1) return file.base;
  const Role role = role_of(name);
  const Place place{layer_of(name).value_or(0), model.num_layers};
  if (role == Role::kHead || (role == Role::kEmbedding && model.tied_head))
    return head_type(file, row);
  if (role == Role::kEmbedding) return embedding_type(file);
  if (is_2_bit(file.mixture)) return type_in_2_bits(file, model, role, place);
  switch (role) {
    case Role::kValue:
    case Role::kFused: {
      const DType type = value_type(file, model, place);
      const bool raised = model.has_70b_values && (type == DType::kQ3_K || type == DType::kQ4_K);
      return raised ? DType::kQ5_K : type;
    }
    case Role::kQueryKey:
      return query_key_type(file);
    case Role::kOut:
      return out_type(file);
    case Role::kGateUp:
      return gate_up_type(file, place);
    case Role::kDown:
      return down_type(file, model, place);
    default:
      return file.base;
  }
}

DType type_that_fits(DType wanted, int64_t row) {
  if (row % traits(wanted).block_size == 0) return wanted;
  DType smaller = DType::kF16;
  switch (wanted) {
    case DType::kIQ2_XXS:
    case DType::kIQ2_XS:
    case DType::kIQ2_S:
    case DType::kIQ3_XXS:
    case DType::kIQ3_S:
    case DType::kIQ4_XS:
      smaller = DType::kIQ4_NL;
      break;
    case DType::kQ2_K:
    case DType::kQ3_K:
      smaller = DType::kQ4_0;
      break;
    case DType::kQ4_K:
      smaller = DType::kQ5_0;
      break;
    case DType::kQ5_K:
      smaller = DType::kQ5_1;
      break;
    case DType::kQ6_K:
      smaller = DType::kQ8_0;
      break;
    default:
      break;
  }
  return row % traits(smaller).block_size == 0 ? smaller : DType::kF16;
}

std::optional<int64_t> layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int64_t layer = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (parsed.ec != std::errc() || parsed.ptr == name.data() + name.size() || *parsed.ptr != '.') {
    return std::nullopt;
  }
  return layer;
}

}  // namespace hachi::model
