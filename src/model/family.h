// The families of models that the one decoder runs, and what differs between them.
#pragma once

#include <string_view>

#include "core/result.h"
#include "formats/checkpoint.h"
#include "kernels/rope.h"

namespace hachi::model {

// Which layers look back through a window only, where no file says it layer by layer.
enum class WindowedLayers {
  kNone,          // whatever the config says, as Transformers does
  kAll,           // if the config has a window
  kWhenSwitched,  // those from max_window_layers on, if use_sliding_window is on
  kFiveOfSix,     // all but each sixth; the period can be another
};

struct Family {
  std::string_view gguf;          // general.architecture
  std::string_view hugging_face;  // architectures[0]
  // llama.cpp's converter reorders the rows of Llama's q and k.
  ops::RopeLayout gguf_layout = ops::RopeLayout::kHalves;
  bool qk_norm = false;
  bool post_norms = false;
  bool gelu = false;              // in place of silu
  bool scales_embedding = false;  // by sqrt(hidden_size)
  bool norms_less_one = false;    // Hugging Face's files hold w - 1; GGUF's hold w
  bool fused = false;             // query, key and value are one matrix; so are gate and up
  bool local_theta = false;       // layers with a window have rotations of their own
  WindowedLayers windowed = WindowedLayers::kNone;
};

// Fails with kUnsupported if the checkpoint is of none that Hachi runs.
Result<const Family*> find_family(const formats::Checkpoint& checkpoint);

}  // namespace hachi::model
