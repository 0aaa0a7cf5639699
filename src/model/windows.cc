#include "model/windows.h"

#include <algorithm>
#include <string>

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::Kind;
using formats::Metadata;

constexpr int64_t kMaxWindow = int64_t{1} << 30;
constexpr int64_t kPeriod = 6;  // of Gemma 3's layers, of which the last sees all

// Phi-3 Mini and Medium 4k: their first GGUF files do not say it.
constexpr int64_t kPhi3Context = 4096;
constexpr int64_t kPhi3Window = 2047;

using Windows = std::vector<int64_t>;

tl::unexpected<Error> wrong(const Checkpoint& checkpoint, std::string_view key,
                            std::string_view what) {
  return fail(Code::kCorrupt, "{}: {} {}", checkpoint.path().string(), key, what);
}

// 0 if there is none; GGUF says so with a 0 too.
Result<int64_t> window_under(const Checkpoint& checkpoint, const std::string& key) {
  TRY(const auto window, checkpoint.metadata().integer(key));
  const int64_t least = checkpoint.kind() == Kind::kGguf ? 0 : 1;
  if (window && (*window < least || *window > kMaxWindow)) {
    return wrong(checkpoint, key, fmt::format("is {}, which is no width of a window", *window));
  }
  return window.value_or(0);
}

// All layers but the last of each `period`.
Windows periodic(int64_t num_layers, int64_t window, int64_t period) {
  Windows windows;
  for (int64_t i = 0; i < num_layers; ++i) {
    windows.push_back((i + 1) % period == 0 ? 0 : window);
  }
  return windows;
}

Result<Windows> from_layer_types(const Checkpoint& checkpoint,
                                 const std::vector<std::string_view>& types, int64_t num_layers,
                                 int64_t window) {
  if (static_cast<int64_t>(types.size()) != num_layers) {
    return wrong(checkpoint, "layer_types",
                 fmt::format("names {} layers of {}", types.size(), num_layers));
  }
  Windows windows;
  for (const std::string_view type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      return fail(Code::kUnsupported, "{}: layers of the type '{}' are not supported",
                  checkpoint.path().string(), type);
    }
    if (type == "sliding_attention" && window == 0) {
      return wrong(checkpoint, "sliding_window", "is missing, and layer_types asks for it");
    }
    windows.push_back(type == "sliding_attention" ? window : 0);
  }
  return windows;
}

Result<Windows> from_config_json(const Checkpoint& checkpoint, const Family& family,
                                 int64_t num_layers) {
  const Metadata& meta = checkpoint.metadata();
  Windows none(static_cast<size_t>(num_layers));
  if (family.windowed == WindowedLayers::kNone) return none;
  TRY(const int64_t window, window_under(checkpoint, "sliding_window"));
  if (const auto* types = meta.strings("layer_types"); types != nullptr) {
    return from_layer_types(checkpoint, *types, num_layers, window);
  }
  switch (family.windowed) {
    case WindowedLayers::kNone:
      return none;
    case WindowedLayers::kAll:
      return Windows(static_cast<size_t>(num_layers), window);
    case WindowedLayers::kWhenSwitched: {
      TRY(const auto on, meta.boolean("use_sliding_window"));
      TRY(const auto first, meta.integer("max_window_layers"));
      if (!on.value_or(false)) return none;
      for (int64_t i = std::max<int64_t>(0, first.value_or(0)); i < num_layers; ++i) {
        none[static_cast<size_t>(i)] = window;
      }
      return none;
    }
    case WindowedLayers::kFiveOfSix:
      break;
  }
  TRY(const auto period, meta.integer("sliding_window_pattern"));
  if (period.value_or(kPeriod) < 1) {
    return wrong(checkpoint, "sliding_window_pattern", "must be at least 1");
  }
  return periodic(num_layers, window, period.value_or(kPeriod));
}

Result<Windows> from_gguf(const Checkpoint& checkpoint, const Family& family, int64_t num_layers) {
  const Metadata& meta = checkpoint.metadata();
  const std::string prefix = std::string(family.gguf) + ".";
  const std::string key = prefix + "attention.sliding_window";
  TRY(int64_t window, window_under(checkpoint, key));
  if (family.gguf == "phi3" && meta.find(key) == nullptr) {
    TRY(const auto context, meta.integer(prefix + "context_length"));
    if (context == kPhi3Context) window = kPhi3Window;
  }
  const std::string pattern_key = prefix + "attention.sliding_window_pattern";
  TRY(const auto pattern, meta.integers(pattern_key));
  if (static_cast<int64_t>(pattern.size()) == num_layers && num_layers > 1) {
    Windows windows;
    for (const int64_t on : pattern) windows.push_back(on != 0 ? window : 0);
    return windows;
  }
  if (pattern.size() > 1 || (pattern.size() == 1 && pattern[0] < 1)) {
    return wrong(checkpoint, pattern_key, "must be a number above 0, or one for each layer");
  }
  if (!pattern.empty()) return periodic(num_layers, window, pattern[0]);
  if (family.windowed == WindowedLayers::kFiveOfSix) {
    return periodic(num_layers, window, kPeriod);
  }
  return Windows(static_cast<size_t>(num_layers), window);
}

}  // namespace

Result<Windows> read_windows(const Checkpoint& checkpoint, const Family& family,
                             int64_t num_layers) {
  return checkpoint.kind() == Kind::kGguf ? from_gguf(checkpoint, family, num_layers)
                                          : from_config_json(checkpoint, family, num_layers);
}

}  // namespace hachi::model
