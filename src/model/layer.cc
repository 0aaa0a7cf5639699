// One decoder layer, forward: pre-norm, grouped-query attention with rotary positions, a gated
// feed-forward. No biases anywhere. x is the residual stream. What only some families have is
// marked; docs/models.md has the table.
//
// Shapes: T tokens (all sequences packed), C model width, H query heads, G key/value heads,
//         D head width, F feed-forward width. Weights are [out, in]: y = x W^T.
//
//   (1) a     = RMSNorm(x; w_attention)               RMSNorm  arXiv 1910.07467
//   (2) q,k,v = a Wq, a Wk, a Wv                      GQA      arXiv 2305.13245
//   (3) q,k   = RMSNorm over each head                QK-norm  arXiv 2505.09388 (Qwen3, Gemma 3)
//   (4) q,k   = RoPE(q, position), RoPE(k, position)  RoPE     arXiv 2104.09864
//   (5) cache[position(t)] = k_t, v_t
//   (6) o_t   = softmax(q_t K^T / sqrt(D)) V          over positions 0..position(t), or the last
//                                                     of them (Mistral v0.1, Gemma 3, Phi-3)
//   (7) x     = x + o Wo                              x + RMSNorm(o Wo) in Gemma 3
//   (8) b     = RMSNorm(x; w_ffn)
//   (9) x     = x + (act(b Wgate) * (b Wup)) Wdown    SwiGLU, GeGLU (Gemma) arXiv 2002.05202;
//                                                     x + RMSNorm(...) in Gemma 3
#include "model/layer.h"

#include "kernels/add.h"
#include "kernels/attention.h"
#include "kernels/geglu.h"
#include "kernels/kv_store.h"
#include "kernels/matmul.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"

namespace hachi::model {
namespace {

// x += y W, normed first if the family does so. The input of the block, a.normed, is not needed
// any more.
void add_to_stream(ops::Context& ctx, const ModelConfig& config, const Activations& a,
                   ConstTensor y, const ops::Weight& w, ConstTensor post_norm) {
  if (!config.post_norms) return ops::matmul_add(ctx, a.x, y, w);
  ops::matmul(ctx, a.normed, y, w);
  ops::rms_norm(ctx, a.normed, a.normed, post_norm, config.norm_eps);
  ops::add(ctx, a.x, a.normed);
}

}  // namespace

void layer_forward(ops::Context& ctx, const ModelConfig& config, size_t index,
                   const LayerWeights& w, const ops::BatchView& batch, const ops::KvLayer& kv,
                   const Activations& a, LayerObserver* observer) {
  const auto show = [&](LayerInput which, ConstTensor x) {
    if (observer != nullptr) observer->see(which, x);
  };
  const int64_t q_width = config.num_heads * config.head_dim;
  const int64_t kv_width = config.num_kv_heads * config.head_dim;
  const int64_t window = config.windows[index];
  const Tensor& cos_sin = window > 0 && config.local_rope ? a.local_cos_sin : a.cos_sin;
  const Tensor q = a.qkv.columns(0, q_width);
  const Tensor k = a.qkv.columns(q_width, kv_width);
  const Tensor v = a.qkv.columns(q_width + kv_width, kv_width);
  const Tensor gate = a.gate_up.columns(0, config.ffn_size);
  const Tensor up = a.gate_up.columns(config.ffn_size, config.ffn_size);

  // Attention block: x += Wo . Attend(RoPE(QKNorm(Wqkv . RMSNorm(x))))
  ops::rms_norm(ctx, a.normed, a.x, w.attention_norm, config.norm_eps);  // (1) [T,C]
  show(LayerInput::kAttention, a.normed);
  ops::matmul(ctx, {{q, &w.query}, {k, &w.key}, {v, &w.value}}, a.normed);  // (2) [T,(H+2G)*D]
  if (config.qk_norm) {
    ops::rms_norm_heads(ctx, q, w.query_norm, config.norm_eps);  // (3) over D
    ops::rms_norm_heads(ctx, k, w.key_norm, config.norm_eps);
  }
  ops::rope(ctx, q, cos_sin, config.rope.layout);  // (4)
  ops::rope(ctx, k, cos_sin, config.rope.layout);
  ops::kv_store(ctx, kv, k, v, batch);                                        // (5) before (6)
  ops::attention(ctx, a.attended, q, kv, batch, config.score_scale, window);  // (6) [T,H*D]
  show(LayerInput::kOut, a.attended);
  add_to_stream(ctx, config, a, a.attended, w.out, w.attention_post_norm);  // (7) [T,C]

  // Feed-forward block: x += Wdown . Gated(Wgate_up . RMSNorm(x))
  ops::rms_norm(ctx, a.normed, a.x, w.ffn_norm, config.norm_eps);  // (8) [T,C]
  show(LayerInput::kFfn, a.normed);
  ops::matmul(ctx, {{gate, &w.gate}, {up, &w.up}}, a.normed);  // (9) [T,2F]
  if (config.activation == Activation::kGelu) {
    ops::geglu(ctx, a.hidden, a.gate_up);  //     [T,F]
  } else {
    ops::swiglu(ctx, a.hidden, a.gate_up);
  }
  show(LayerInput::kDown, a.hidden);
  add_to_stream(ctx, config, a, a.hidden, w.down, w.ffn_post_norm);  //     [T,C]
}

}  // namespace hachi::model
