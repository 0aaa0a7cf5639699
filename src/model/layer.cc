// One decoder layer, forward: pre-norm, grouped-query attention with rotary positions and, in
// Qwen3, QK-norm; SwiGLU feed-forward. No biases anywhere. x is the residual stream.
//
// Shapes: T tokens (all sequences packed), C model width, H query heads, G key/value heads,
//         D head width, F feed-forward width. Weights are [out, in]: y = x W^T.
//
//   (1) a     = RMSNorm(x; w_attention)               RMSNorm  arXiv 1910.07467
//   (2) q,k,v = a Wq, a Wk, a Wv                      GQA      arXiv 2305.13245
//   (3) q,k   = RMSNorm over each head                QK-norm  arXiv 2505.09388 (Qwen3 only)
//   (4) q,k   = RoPE(q, position), RoPE(k, position)  RoPE     arXiv 2104.09864
//   (5) cache[position(t)] = k_t, v_t
//   (6) o_t   = softmax(q_t K^T / sqrt(D)) V          over positions 0..position(t)
//   (7) x     = x + o Wo
//   (8) b     = RMSNorm(x; w_ffn)
//   (9) x     = x + (SiLU(b Wgate) * (b Wup)) Wdown   SwiGLU   arXiv 2002.05202
#include "model/layer.h"

#include "kernels/attention.h"
#include "kernels/kv_store.h"
#include "kernels/matmul.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"

namespace hachi::model {

void layer_forward(ops::Context& ctx, const ModelConfig& config, const LayerWeights& w,
                   const ops::BatchView& batch, const ops::KvLayer& kv, const Activations& a,
                   LayerObserver* observer) {
  const auto show = [&](LayerInput which, ConstTensor x) {
    if (observer != nullptr) observer->see(which, x);
  };
  const int64_t q_width = config.num_heads * config.head_dim;
  const int64_t kv_width = config.num_kv_heads * config.head_dim;
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
  ops::rope(ctx, q, a.cos_sin, config.rope.layout);  // (4)
  ops::rope(ctx, k, a.cos_sin, config.rope.layout);
  ops::kv_store(ctx, kv, k, v, batch);                                  // (5) before (6)
  ops::attention(ctx, a.attended, q, kv, batch, config.score_scale(), 0);  // (6) [T,H*D]
  show(LayerInput::kOut, a.attended);
  ops::matmul_add(ctx, a.x, a.attended, w.out);  // (7) [T,C]

  // Feed-forward block: x += Wdown . SwiGLU(Wgate_up . RMSNorm(x))
  ops::rms_norm(ctx, a.normed, a.x, w.ffn_norm, config.norm_eps);  // (8) [T,C]
  show(LayerInput::kFfn, a.normed);
  ops::matmul(ctx, {{gate, &w.gate}, {up, &w.up}}, a.normed);  // (9) [T,2F]
  ops::swiglu(ctx, a.hidden, a.gate_up);                       //     [T,F]
  show(LayerInput::kDown, a.hidden);
  ops::matmul_add(ctx, a.x, a.hidden, w.down);  //     [T,C]
}

}  // namespace hachi::model
