// `hachi info`: what a model is, what its tensors take, and what memory it would need.
#include <map>
#include <set>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command.h"
#include "cli/cpu_info.h"
#include "cli/gpu_info.h"
#include "cli/loaded_model.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "model/layer.h"
#include "model/weights.h"

namespace hachi::cli {
namespace {

struct TypeUse {
  int64_t tensors = 0;
  int64_t elements = 0;
  uint64_t bytes = 0;
  int64_t in_panels = 0;  // of the tensors
};

struct MemoryPlan {
  int64_t context;
  uint64_t weights;
  uint64_t kv_cache;
  uint64_t activations;

  uint64_t total() const { return weights + kv_cache + activations; }
};

using Packed = std::vector<model::UnpackedMatrix>;

// Packed matrices count as what they become, and nothing else is of whole numbers there.
std::map<DType, TypeUse> uses_by_type(const formats::Checkpoint& checkpoint, const Packed& packed) {
  std::map<DType, TypeUse> uses;
  std::set<const std::byte*> scales;
  for (const model::UnpackedMatrix& matrix : packed) {
    const model::PackedMatrix& source = matrix.source;
    TypeUse& use = uses[source.type];
    ++use.tensors;
    use.elements += source.rows * source.columns;
    use.bytes += static_cast<uint64_t>(source.rows * row_bytes(source.type, source.columns));
    scales.insert(source.scales.data());
  }
  for (const formats::TensorEntry& tensor : checkpoint.tensors()) {
    const DType type = tensor.data.dtype();
    if (!packed.empty() && (type == DType::kI32 || scales.contains(tensor.data.data()))) continue;
    TypeUse& use = uses[type];
    ++use.tensors;
    use.in_panels += tensor.panels != nullptr ? 1 : 0;
    use.elements += tensor.num_elements();
    use.bytes += tensor.bytes();
  }
  return uses;
}

TypeUse total(const std::map<DType, TypeUse>& uses) {
  TypeUse sum;
  for (const auto& [type, use] : uses) {
    sum.tensors += use.tensors;
    sum.elements += use.elements;
    sum.bytes += use.bytes;
  }
  return sum;
}

MemoryPlan plan(const model::ModelConfig& config, const ModelOptions& options, uint64_t weights) {
  const int64_t context = options.context > 0
                              ? options.context
                              : std::min(config.context_length, engine::kDefaultContext);
  const DType kv_type = *dtype_from_name(options.kv_type);
  return {context, weights, static_cast<uint64_t>(config.kv_bytes_per_token(kv_type) * context),
          model::Activations::bytes(config, engine::kChunk)};
}

// "GPTQ, 4 bits in groups of 128, with zero points": what all packed matrices share.
std::string packed_text(const Packed& packed) {
  std::set<int> bits;
  std::set<int64_t> groups;
  bool rows = true;
  bool zeros = false;
  for (const model::UnpackedMatrix& matrix : packed) {
    const model::PackedMatrix& source = matrix.source;
    bits.insert(source.bits);
    groups.insert(source.group);
    rows = rows && source.group == source.columns;
    zeros = zeros || source.type == DType::kQ4_1;
  }
  return fmt::format(
      "{}, {} bits {}{}", name(packed.front().source.packing), fmt::join(bits, " and "),
      rows ? "with a scale a row" : fmt::format("in groups of {}", fmt::join(groups, " and ")),
      zeros ? ", with zero points" : "");
}

std::string rope_text(const model::RopeConfig& rope) {
  std::string text = fmt::format("theta {}", rope.theta);
  switch (rope.scaling) {
    case model::RopeScaling::kNone:
      if (!rope.divisors.empty()) text += ", one divisor a pair (Llama 3.1)";
      break;
    case model::RopeScaling::kLongRope:
      text += fmt::format(", longrope x{} from {}, magnitude {:.4f}", rope.factor,
                          rope.original_context, rope.magnitude);
      break;
    case model::RopeScaling::kLinear:
      text += fmt::format(", linear x{}", rope.factor);
      break;
    case model::RopeScaling::kLlama3:
      text += fmt::format(", llama3 x{} from {}", rope.factor, rope.original_context);
      break;
    case model::RopeScaling::kYarn:
      text += fmt::format(", yarn x{} from {}, magnitude {:.4f}", rope.factor,
                          rope.original_context, rope.magnitude);
      break;
  }
  return text;
}

// The layers that look back a number of positions only, of how many; 0 if none does.
struct WindowUse {
  int64_t window = 0;
  int64_t layers = 0;

  explicit WindowUse(const model::ModelConfig& config) {
    for (const int64_t of_layer : config.windows) {
      window = std::max(window, of_layer);
      layers += of_layer > 0 ? 1 : 0;
    }
  }
};

void print_text(const formats::Checkpoint& checkpoint, const model::ModelConfig& config,
                const Packed& packed, const ModelOptions& options) {
  const auto uses = uses_by_type(checkpoint, packed);
  const TypeUse all = total(uses);
  const bool gguf = checkpoint.kind() == formats::Kind::kGguf;
  fmt::print("{}\n", printable(checkpoint.path().string()));
  fmt::print("  format          {}\n", gguf ? "GGUF" : "Hugging Face folder");
  if (!packed.empty()) fmt::print("  packed          {}\n", packed_text(packed));
  if (!config.name.empty()) fmt::print("  name            {}\n", printable(config.name));
  fmt::print("  architecture    {}, {} layers, width {}, feed-forward {}\n", config.family,
             config.num_layers, config.hidden_size, config.ffn_size);
  fmt::print("  attention       {} query heads, {} key/value heads of {}{}\n", config.num_heads,
             config.num_kv_heads, config.head_dim, config.qk_norm ? ", QK-norm" : "");
  if (const WindowUse use(config); use.layers > 0) {
    fmt::print("                  within {} positions in {} of {} layers\n", use.window, use.layers,
               config.num_layers);
  }
  fmt::print("  positions       {}, {}\n", config.context_length, rope_text(config.rope));
  fmt::print("  vocabulary      {}{}\n", config.vocab_size,
             config.tied_head ? ", embedding used as output matrix" : "");
  fmt::print("  parameters      {:.2f} million in {} tensors, {}\n",
             static_cast<double>(all.elements) / 1e6, all.tensors, human_bytes(all.bytes));
  for (const auto& [type, use] : uses) {
    fmt::print("    {:<12}  {} tensors, {}", name(type), use.tensors, human_bytes(use.bytes));
    if (use.in_panels > 0) fmt::print(", {} in panels", use.in_panels);
    fmt::print("\n");
  }
  const MemoryPlan memory = plan(config, options, all.bytes);
  fmt::print("  memory for a context of {} ({} cache)\n", memory.context, options.kv_type);
  fmt::print("    weights       {} ({})\n", human_bytes(memory.weights),
             packed.empty() ? "mapped from the file" : "packed ones as blocks of their own");
  fmt::print("    KV cache      {} when full\n", human_bytes(memory.kv_cache));
  fmt::print("    activations   {}\n", human_bytes(memory.activations));
  fmt::print("    total         {}\n", human_bytes(memory.total()));
}

void print_json(const formats::Checkpoint& checkpoint, const model::ModelConfig& config,
                const Packed& packed, const ModelOptions& options) {
  const auto uses = uses_by_type(checkpoint, packed);
  const TypeUse all = total(uses);
  boost::json::object types;
  for (const auto& [type, use] : uses) {
    types[name(type)] = {{"tensors", use.tensors},
                         {"elements", use.elements},
                         {"bytes", use.bytes},
                         {"panels", use.in_panels}};
  }
  const MemoryPlan memory = plan(config, options, all.bytes);
  const boost::json::object json = {
      {"path", checkpoint.path().string()},
      {"format", checkpoint.kind() == formats::Kind::kGguf ? "gguf" : "huggingface"},
      {"packed", boost::json::value_from(packed.empty() ? std::string() : packed_text(packed))},
      {"name", config.name},
      {"architecture", config.family},
      {"layers", config.num_layers},
      {"hidden_size", config.hidden_size},
      {"ffn_size", config.ffn_size},
      {"heads", config.num_heads},
      {"kv_heads", config.num_kv_heads},
      {"head_dim", config.head_dim},
      {"qk_norm", config.qk_norm},
      {"window", WindowUse(config).window},
      {"windowed_layers", WindowUse(config).layers},
      {"tied_head", config.tied_head},
      {"vocab_size", config.vocab_size},
      {"context_length", config.context_length},
      {"rope", rope_text(config.rope)},
      {"parameters", all.elements},
      {"bytes", all.bytes},
      {"types", std::move(types)},
      {"memory",
       {{"context", memory.context},
        {"weights", memory.weights},
        {"kv_cache", memory.kv_cache},
        {"activations", memory.activations},
        {"total", memory.total()}}}};
  fmt::print("{}\n", boost::json::serialize(json));
}

struct InfoOptions {
  ModelOptions model;
  bool cpu = false;
  bool gpu = false;
  bool measure = false;
  bool json = false;
};

Result<int> run_info(const InfoOptions& info) {
  const ModelOptions& options = info.model;
  if ((info.cpu || info.gpu) != options.model.empty() || (info.cpu && info.gpu)) {
    return fail(Code::kInvalidArgument, "info needs one of a model, --cpu and --gpu");
  }
  if (info.measure && !info.cpu && !info.gpu) {
    return fail(Code::kInvalidArgument, "--measure needs --cpu or --gpu");
  }
  if (info.gpu) return run_gpu_info({info.measure, info.json});
  if (info.cpu) return run_cpu_info({info.measure, options.threads, info.json});
  TRY(const auto checkpoint, open_checkpoint(options.model));
  TRY(const auto config, model::read_config(*checkpoint, config_options(options)));
  TRY(const auto weights, model::find_weights(*checkpoint, config));
  info.json ? print_json(*checkpoint, config, weights.unpacked, options)
            : print_text(*checkpoint, config, weights.unpacked, options);
  return 0;
}

}  // namespace

Command add_info(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "info", "Show what a model is and what memory it needs, or what the machine can do");
  auto options = std::make_shared<InfoOptions>();
  add_model_argument(*app, options->model, false);
  add_engine_options(*app, options->model);
  auto* cpu = app->add_flag("--cpu", options->cpu, "The processor and the kernels chosen for it");
  auto* gpu = app->add_flag("--gpu", options->gpu, "The GPUs that can be used");
  cpu->excludes(gpu);
  app->add_flag("--measure", options->measure, "With --cpu and --gpu: measure the limits too");
  app->add_flag("--json", options->json, "As one JSON object");
  app->footer(R"(
Examples:
  hachi info smollm2
  hachi info ~/models/Qwen3-8B --context 65536
  hachi info --cpu --measure
  hachi info --gpu)");
  return {app, [options] { return run_info(*options); }};
}

}  // namespace hachi::cli
