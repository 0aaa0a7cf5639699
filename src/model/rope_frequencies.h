// The inverse frequencies of rotary positions (RoPE, arXiv 2104.09864), plain and scaled for longer
// contexts, as Hugging Face Transformers computes them (modeling_rope_utils.py).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/rope.h"

namespace hachi::model {

enum class RopeScaling {
  kNone,
  kLinear,    // position interpolation, arXiv 2306.15595: all frequencies / factor
  kLlama3,    // Llama 3.1: long wavelengths / factor, short ones kept, a blend between
  kYarn,      // arXiv 2309.00071: a ramp over the dimensions
  kLongRope,  // Phi-3 128k, arXiv 2402.13753: one divisor a pair, from a short or a long list
};

// What multiplies cos and sin under YaRN when a config has DeepSeek's own key `attn_factor`.
enum class YarnMagnitude {
  kAuthor,        // (1 + 0.1 ln factor) * attn_factor: 1.0 for DeepSeek-R1-0528-Qwen3-8B
  kTransformers,  // 1 + 0.1 ln factor: Transformers does not know the key
};

struct RopeConfig {
  double theta = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;
  int64_t original_context = 0;  // the context before scaling; not of kLinear
  double low_freq_factor = 1;    // kLlama3
  double high_freq_factor = 4;
  double beta_fast = 32;  // kYarn
  double beta_slow = 1;
  bool truncate = true;         // kYarn: ramp borders rounded to whole dimensions
  float magnitude = 1;          // multiplies cos and sin
  std::vector<float> divisors;  // [head_dim/2]: kLongRope's list, or GGUF's rope_freqs.weight,
                                // which replaces kLlama3's formula; may be empty
  ops::RopeLayout layout = ops::RopeLayout::kHalves;
};

// [head_dim / 2], rounded to float as Transformers holds them.
std::vector<float> inverse_frequencies(const RopeConfig& config, int64_t head_dim);

// sqrt(1 + ln(factor) / ln(original)) above 1, else 1: LongRoPE's, section 3.2 of its paper.
double longrope_magnitude(double factor, double original);

// 1 + 0.1 * scale * ln(factor) above 1, else 1: YaRN's growth of attention logits (section 3.4).
double yarn_magnitude(double factor, double scale = 1);

}  // namespace hachi::model
