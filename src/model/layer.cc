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
#include "kernels/collective.h"
#include "kernels/fused.h"
#include "kernels/matmul.h"
#include "kernels/rms_norm.h"
#include "kernels/stages.h"

namespace hachi::model {
namespace {

// x += y W, normed first if the family does so. The input of the block, a.normed, is not needed
// any more. Ranks that share the model (shard.h) each have a part of y and of W: the first adds its
// part to x, the others put theirs in the place of x, and the sum of all is the new x.
void add_to_stream(ops::Context& ctx, const ModelConfig& config, const Activations& a,
                   ConstTensor y, const ops::Weight& w, ConstTensor post_norm,
                   const ops::Reader& next) {
  if (!config.post_norms) {
    const bool is_alone = ctx.collective == nullptr;
    if (ops::is_first_rank(ctx)) {
      ops::matmul_add(ctx, a.x, y, w, is_alone ? next : ops::Reader{});
    } else {
      ops::matmul(ctx, a.x, y, w);
    }
    return ops::all_reduce_sum(ctx, a.x);
  }
  ops::matmul(ctx, a.normed, y, w);
  ops::all_reduce_sum(ctx, a.normed);
  ops::rms_norm(ctx, a.normed, a.normed, post_norm, config.norm_eps);
  ops::add(ctx, a.x, a.normed);
}

}  // namespace

void layer_forward(ops::Context& ctx, const ModelConfig& config, size_t index,
                   const LayerWeights& w, const ops::BatchView& batch, const ops::KvLayer& kv,
                   const Activations& a, const ops::Reader& next, LayerObserver* observer) {
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

  // Attention block: x += Wo . Attend(RoPE(QKNorm(Wqkv . RMSNorm(x))))
  ops::norm_matmul(ctx, {{q, &w.query}, {k, &w.key}, {v, &w.value}}, a.x, w.attention_norm,
                   config.norm_eps, a.normed);  // (1) (2) [T,(H+2G)*D]
  ops::mark(ctx, ops::Stage::kQkv);
  show(LayerInput::kAttention, a.normed);
  ops::attend(ctx,  // (3) over D, (4), (5) before (6) [T,H*D]
              {.y = a.attended,
               .q = q,
               .k = k,
               .v = v,
               .query_norm = w.query_norm,
               .key_norm = w.key_norm,
               .eps = config.norm_eps,
               .cos_sin = cos_sin,
               .layout = config.rope.layout,
               .kv = kv,
               .score_scale = config.score_scale,
               .window = window,
               .next = {.w = &w.out}},
              batch);
  ops::mark(ctx, ops::Stage::kAttention);
  show(LayerInput::kOut, a.attended);
  add_to_stream(ctx, config, a, a.attended, w.out, w.attention_post_norm,
                {w.ffn_norm, &w.gate});  // (7) [T,C]
  ops::mark(ctx, ops::Stage::kOut);

  // Feed-forward block: x += Wdown . Gated(Wgate_up . RMSNorm(x))
  ops::norm_gated_matmul(
      ctx,
      {.y = a.hidden,  // (8) (9) [T,F]
       .gate_up = a.gate_up,
       .normed = a.normed,
       .x = a.x,
       .norm = w.ffn_norm,
       .eps = config.norm_eps,
       .gate = &w.gate,
       .up = &w.up,
       .activation = config.activation == Activation::kGelu ? ops::Gate::kGelu : ops::Gate::kSilu,
       .next = {.w = &w.down}});
  ops::mark(ctx, ops::Stage::kGateUp);
  show(LayerInput::kFfn, a.normed);
  show(LayerInput::kDown, a.hidden);
  add_to_stream(ctx, config, a, a.hidden, w.down, w.ffn_post_norm, next);  //     [T,C]
  ops::mark(ctx, ops::Stage::kDown);
}

}  // namespace hachi::model
