#include "model/synthetic.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/thread_pool.h"
#include "model/mixture.h"
#include "model/synthetic_blocks.h"

namespace hachi::model {
namespace {

struct Shape {
  std::string_view name;
  std::string_view family;
  int64_t hidden;
  int64_t layers;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t ffn;
  int64_t vocab;
  int64_t context;
  double rope_base;
  bool tied;
  int64_t window = 0;
  double yarn_factor = 0;  // 0: none; the context is that of the positions it was trained with,
                           // times this

  bool norms_heads() const { return family == "qwen3" || family == "gemma3"; }
};

// Sources: the config.json of Qwen3-8B, DeepSeek-R1-0528-Qwen3-8B, Qwen3-32B and -0.6B,
// Meta-Llama-3-8B, Mistral-7B-v0.3, Gemma 7B, Gemma 3 270M, Phi-3-mini-4k and SmolLM2-135M. The
// last two are models for the tests.
constexpr Shape kShapes[] = {
    {"qwen3-8b", "qwen3", 4096, 36, 32, 8, 128, 12288, 151936, 40960, 1e6, false},
    {"r1-qwen3-8b", "qwen3", 4096, 36, 32, 8, 128, 12288, 151936, 131072, 1e6, false, 0, 4},
    {"qwen3-0.6b", "qwen3", 1024, 28, 16, 8, 128, 3072, 151936, 40960, 1e6, true},
    {"qwen3-32b", "qwen3", 5120, 64, 64, 8, 128, 25600, 151936, 40960, 1e6, false},
    {"llama3-8b", "llama", 4096, 32, 32, 8, 128, 14336, 128256, 8192, 5e5, false},
    {"mistral-7b", "llama", 4096, 32, 32, 8, 128, 14336, 32768, 32768, 1e6, false},
    {"gemma-7b", "gemma", 3072, 28, 16, 16, 256, 24576, 256000, 8192, 1e4, true},
    {"gemma3-270m", "gemma3", 640, 18, 4, 1, 256, 2048, 262144, 32768, 1e6, true, 512},
    {"phi3-mini", "phi3", 3072, 32, 32, 32, 96, 8192, 32064, 4096, 1e4, false, 2047},
    {"smollm2", "llama", 576, 30, 9, 3, 64, 1536, 49152, 8192, 1e5, true},
    {"tiny", "qwen3", 512, 8, 4, 2, 64, 768, 1024, 512, 1e4, false},
    {"tiny-64k", "qwen3", 256, 2, 2, 1, 64, 512, 1024, 65536, 1e6, false},
};

// One tensor to be: its name, its type and its sizes.
struct Planned {
  std::string name;
  DType dtype;
  int64_t rows;  // 0: a vector
  int64_t columns;

  uint64_t bytes() const {
    return static_cast<uint64_t>(std::max<int64_t>(rows, 1) * row_bytes(dtype, columns));
  }
};

// Kinds that no file has: all matrices alike, as with the plain types; the head too, which in files
// of 4 bits has more.
constexpr FileType kF8File = {Mixture::kBF16, "F8_E4M3", 0, DType::kF8E4M3};
constexpr FileType kFourBits = {Mixture::kQ4_0, "W4", 0, DType::kQ4_0};

const FileType* find_type(std::string_view name) {
  if (dtype_from_name(name) == DType::kF8E4M3) return &kF8File;
  return name == "w4" || name == "W4" ? &kFourBits : find_file_type(name);
}

class Plan {
 public:
  Plan(const Shape& shape, const FileType& file)
      : shape_(shape),
        file_(file),
        mixture_{.num_layers = shape.layers,
                 .heads_per_kv = shape.heads / shape.kv_heads,
                 .tied_head = shape.tied} {}

  std::vector<Planned> tensors() {
    const Shape& s = shape_;
    matrix("token_embd", s.vocab, s.hidden);
    for (int64_t i = 0; i < s.layers; ++i) layer(i);
    vector("output_norm", s.hidden);
    if (!s.tied) matrix("output", s.vocab, s.hidden);
    return std::move(planned_);
  }

 private:
  void layer(int64_t i) {
    const Shape& s = shape_;
    const int64_t width = s.heads * s.head_dim;
    const int64_t kv_width = s.kv_heads * s.head_dim;
    const auto name = [&](std::string_view part) { return fmt::format("blk.{}.{}", i, part); };
    vector(name("attn_norm"), s.hidden);
    const bool fused = s.family == "phi3";
    if (fused) {
      matrix(name("attn_qkv"), width + 2 * kv_width, s.hidden);
    } else {
      matrix(name("attn_q"), width, s.hidden);
      matrix(name("attn_k"), kv_width, s.hidden);
      matrix(name("attn_v"), kv_width, s.hidden);
    }
    if (s.norms_heads()) {
      vector(name("attn_q_norm"), s.head_dim);
      vector(name("attn_k_norm"), s.head_dim);
    }
    matrix(name("attn_output"), s.hidden, width);
    vector(name("ffn_norm"), s.hidden);
    if (s.family == "gemma3") {
      vector(name("post_attention_norm"), s.hidden);
      vector(name("post_ffw_norm"), s.hidden);
    }
    if (!fused) matrix(name("ffn_gate"), s.ffn, s.hidden);
    matrix(name("ffn_up"), fused ? 2 * s.ffn : s.ffn, s.hidden);
    matrix(name("ffn_down"), s.hidden, s.ffn);
  }

  void matrix(const std::string& part, int64_t rows, int64_t columns) {
    const std::string name = part + ".weight";
    const bool alike = &file_ == &kF8File || &file_ == &kFourBits;
    const DType wanted = alike ? file_.base : mixture_type(file_, mixture_, name, columns);
    const DType type = type_that_fits(wanted, columns);
    planned_.push_back({name, type, rows, columns});
    if (type == DType::kF8E4M3) planned_.push_back({name + "_scale", DType::kF32, 0, 1});
  }

  void vector(const std::string& name, int64_t columns) {
    planned_.push_back({name + ".weight", DType::kF32, 0, columns});
  }

  const Shape& shape_;
  const FileType& file_;
  MixtureModel mixture_;
  std::vector<Planned> planned_;
};

formats::Metadata metadata_of(const Shape& shape) {
  formats::Metadata metadata;
  metadata.add("general.architecture", shape.family);
  metadata.add("general.name", shape.name);
  const auto add = [&](std::string_view key, formats::Value value) {
    metadata.add(fmt::format("{}.{}", shape.family, key), std::move(value));
  };
  add("embedding_length", shape.hidden);
  add("block_count", shape.layers);
  add("feed_forward_length", shape.ffn);
  add("context_length", shape.context);
  add("attention.head_count", shape.heads);
  add("attention.head_count_kv", shape.kv_heads);
  add("attention.key_length", shape.head_dim);
  add("attention.value_length", shape.head_dim);
  add("rope.dimension_count", shape.head_dim);
  add("attention.layer_norm_rms_epsilon", 1e-6);
  add("rope.freq_base", shape.rope_base);
  if (shape.window > 0) add("attention.sliding_window", shape.window);
  if (shape.yarn_factor > 0) {
    add("rope.scaling.type", "yarn");
    add("rope.scaling.factor", shape.yarn_factor);
    add("rope.scaling.original_context_length",
        static_cast<int64_t>(static_cast<double>(shape.context) / shape.yarn_factor));
  }
  return metadata;
}

uint64_t aligned(uint64_t bytes) {
  return (bytes + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment;
}

void fill(const Planned& tensor, std::span<const std::byte> pattern, size_t offset,
          std::byte* data) {
  if (tensor.rows == 0) {  // a norm, or the scale of an F8 matrix
    const bool scale = tensor.columns == 1;
    std::fill_n(reinterpret_cast<float*>(data), tensor.columns, scale ? kSyntheticF8Scale : 1.0f);
    return;
  }
  for (uint64_t left = tensor.bytes(); left > 0;) {
    const size_t count = std::min<uint64_t>(left, pattern.size() - offset);
    std::memcpy(data, &pattern[offset], count);
    data += count;
    left -= count;
    offset = 0;
  }
}

Result<formats::Checkpoint> make(std::string title, const Shape& shape, const FileType& file) {
  const std::vector<Planned> planned = Plan(shape, file).tensors();
  uint64_t bytes = 0;
  for (const Planned& tensor : planned) bytes += aligned(tensor.bytes());
  formats::InMemoryModel model{std::move(title), metadata_of(shape), {}, {}};
  TRY(model.memory, Buffer::allocate(bytes));
  std::map<DType, std::vector<std::byte>> patterns;
  std::byte* at = model.memory.data();
  for (const Planned& tensor : planned) {
    model.tensors.push_back(
        {tensor.name, tensor.rows == 0
                          ? ConstTensor(at, tensor.dtype, {tensor.columns})
                          : ConstTensor(at, tensor.dtype, {tensor.rows, tensor.columns})});
    at += aligned(tensor.bytes());
    auto& pattern = patterns[tensor.dtype];
    if (tensor.rows != 0 && pattern.empty()) pattern = random_blocks(tensor.dtype);
  }
  ThreadPool pool(usable_cpus());
  pool.parallel_for(static_cast<int64_t>(planned.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const Planned& tensor = planned[i];
      const auto& pattern = patterns.at(tensor.dtype);
      const auto block = static_cast<size_t>(traits(tensor.dtype).block_bytes);
      const size_t blocks = std::max<size_t>(pattern.size() / block, 1);
      // Each tensor begins elsewhere in the pattern.
      const size_t offset = i * 7919 % blocks * block;
      // The plan's tensors lie in `memory`, which is ours to write.
      fill(tensor, pattern, offset, const_cast<std::byte*>(model.tensors[i].data.data()));
    }
  });
  return formats::Checkpoint::in_memory(std::move(model));
}

}  // namespace

std::string synthetic_shapes() {
  std::string text;
  for (const Shape& shape : kShapes) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", shape.name);
  }
  return text;
}

Result<formats::Checkpoint> synthetic_checkpoint(std::string_view name) {
  const std::string_view rest = name.substr(std::min(name.size(), kSyntheticPrefix.size()));
  const size_t colon = rest.find(':');
  if (name.rfind(kSyntheticPrefix, 0) != 0 || colon == std::string_view::npos) {
    return fail(Code::kInvalidArgument, "{}: a synthetic model is named synthetic:SHAPE:TYPE",
                name);
  }
  const std::string_view type = rest.substr(colon + 1);
  const auto shape = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& known) {
    return known.name == rest.substr(0, colon);
  });
  if (shape == std::end(kShapes)) {
    return fail(Code::kNotFound, "{}: there is no shape '{}', only {}", name, rest.substr(0, colon),
                synthetic_shapes());
  }
  const FileType* file = find_type(type);
  if (file == nullptr) {
    return fail(Code::kNotFound, "{}: there is no type '{}' (such as w4, q4_0, q4_k_m, q8_0, bf16)",
                name, type);
  }
  return make(std::string(name), *shape, *file);
}

}  // namespace hachi::model
