#!/usr/bin/env python3
"""Makes the tiny random models of tests/golden/models and their logits by Hugging Face Transformers.

    pip install torch transformers safetensors
    tests/golden/make_model_goldens.py [NAME...]
    tests/golden/make_model_goldens.py --wide FOLDER     models of real widths, 400 MB, into FOLDER

Each folder is a Hugging Face model folder and holds besides:
  prompt.json    {"prompt": [ids], "greedy": [64 ids that follow], "bf16_error": x, "e4m3_error": x}
  logits.f32     [len(prompt), vocab] float32, little endian: Transformers' logits in float32

bf16_error is how far Transformers' own logits in bfloat16 are from those, and e4m3_error the same
of FP8 models whose projections meet x in e4m3, a scale a row: |difference| / |logits|.
"""
import copy
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent / "models"
PROMPT_TOKENS = 40
GREEDY_TOKENS = 64

COMMON = {
    "vocab_size": 160,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "hidden_act": "silu",
    "attention_bias": False,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.15,
}
QWEN3 = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "rms_norm_eps": 1e-6}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rms_norm_eps": 1e-5}
PHI3 = {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "rms_norm_eps": 1e-5,
        "pad_token_id": 0, "num_attention_heads": 4, "num_key_value_heads": 4,
        "rope_theta": 10000.0, "tie_word_embeddings": False}
# One divisor a pair of a head of 16, growing as those of Phi-3 do.
LONGROPE = {"type": "longrope",
            "short_factor": [1.0, 1.05, 1.1, 1.2, 1.4, 1.7, 2.0, 2.5],
            "long_factor": [1.05, 1.3, 2.0, 4.0, 8.0, 15.0, 26.0, 32.0]}

# Every switch of the decoder is on in one of them and off in another.
MODELS = {
    # Heads wider than hidden / heads, grouped 4 to 2, own output matrix.
    "qwen3-f32": (torch.float32, 1, QWEN3 | {
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
        "rope_theta": 1000000.0, "rope_scaling": None, "tie_word_embeddings": False,
    }),
    # Tied, YaRN with DeepSeek's extra key, two shards, BF16.
    "qwen3-yarn-bf16": (torch.bfloat16, 2, QWEN3 | {
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16,
        "rope_theta": 10000.0, "tie_word_embeddings": True,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
                         "original_max_position_embeddings": 32,
                         "attn_factor": 0.8782488562869419},
    }),
    # Llama 3.1's scaling, in the layout of Transformers 5, own output matrix.
    "llama3-f32": (torch.float32, 1, LLAMA | {
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16,
        "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
                            "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                            "original_max_position_embeddings": 32},
    }),
    # Llama 2: a key/value head for each query head, no head_dim in the config, tied, BF16.
    "llama-bf16": (torch.bfloat16, 1, LLAMA | {
        "num_attention_heads": 4, "num_key_value_heads": 4, "rope_theta": 10000.0,
        "rope_scaling": None, "tie_word_embeddings": True,
    }),
    # FP8 projections, a scale for each 32 x 32 of them, as DeepSeek and Qwen3 publish theirs.
    "qwen3-fp8-blocks": (torch.float8_e4m3fn, 1, QWEN3 | {
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "rope_theta": 1000000.0, "rope_scaling": None, "tie_word_embeddings": False,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [32, 32]},
    }),
    # FP8 projections, one scale for each.
    "llama-fp8": (torch.float8_e4m3fn, 1, LLAMA | {
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 10000.0,
        "rope_scaling": None, "tie_word_embeddings": True,
    }),
    # Mistral 7B v0.1: all layers look back 12 positions.
    "mistral-window-bf16": (torch.bfloat16, 1, LLAMA | {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral",
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 10000.0,
        "sliding_window": 12, "tie_word_embeddings": False,
    }),
    # Gemma 1, with the activation as its first revisions call it.
    "gemma-bf16": (torch.bfloat16, 1, {
        "architectures": ["GemmaForCausalLM"], "model_type": "gemma", "rms_norm_eps": 1e-6,
        "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 24,
        "hidden_act": "gelu", "hidden_activation": None, "rope_theta": 10000.0, "pad_token_id": 0,
    }),
    # Gemma 3: five layers that look back 12 positions to one that sees all, with their own theta.
    "gemma3-bf16": (torch.bfloat16, 1, {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "rms_norm_eps": 1e-6,
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 7,
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16,
        "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 16,
        "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": None,
        "sliding_window": 12, "sliding_window_pattern": 6, "pad_token_id": 0,
    }),
    # Phi-3 Mini 4k: a window, fused projections.
    "phi3-window-bf16": (torch.bfloat16, 1, PHI3 | {"sliding_window": 12, "rope_scaling": None}),
    # Phi-3 Mini 128k beyond the context that it was first made for, and within.
    "phi3-long-bf16": (torch.bfloat16, 1, PHI3 | {
        "sliding_window": 262144, "rope_scaling": LONGROPE,
        "original_max_position_embeddings": 32,
    }),
    "phi3-short-bf16": (torch.bfloat16, 1, PHI3 | {
        "sliding_window": 262144, "rope_scaling": LONGROPE, "max_position_embeddings": 4096,
        "original_max_position_embeddings": 128,
    }),
}

# For a GPU: random models of width 64 magnify what bf16 rounds away.
WIDE = {
    "qwen3-wide-bf16": (torch.bfloat16, 1, QWEN3 | {
        "vocab_size": 4096, "hidden_size": 1024, "intermediate_size": 3072,
        "num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 128, "rope_theta": 1000000.0, "rope_scaling": None,
        "initializer_range": 0.02, "tie_word_embeddings": False,
    }),
    "llama-wide-bf16": (torch.bfloat16, 1, LLAMA | {
        "vocab_size": 4096, "hidden_size": 2048, "intermediate_size": 5632,
        "num_hidden_layers": 4, "num_attention_heads": 32, "num_key_value_heads": 4,
        "rope_theta": 500000.0, "rope_scaling": None, "initializer_range": 0.02,
        "tie_word_embeddings": False,
    }),
}


def fp8(weight, block):
    """(e4m3 values, scales, the scale of each value): a scale for each block x block, 0 for one."""
    rows, columns = weight.shape
    if block == 0:
        scales = weight.abs().max().reshape(1) / 448
        spread = scales.reshape(1, 1)
    else:
        tiles = weight.reshape(rows // block, block, columns // block, block)
        scales = tiles.abs().amax(dim=(1, 3)) / 448
        spread = scales.repeat_interleave(block, 0).repeat_interleave(block, 1)
    return (weight / spread).to(torch.float8_e4m3fn), scales, spread


def quantized(name, tensor, dtype, block):
    """The tensors of the file for one of the model, and the value that they stand for."""
    if dtype != torch.float8_e4m3fn:
        return {name: tensor.to(dtype)}, tensor.to(dtype).float()
    if not name.endswith("_proj.weight"):
        return {name: tensor.to(torch.bfloat16)}, tensor.to(torch.bfloat16).float()
    values, scales, spread = fp8(tensor, block)
    suffix = "_scale" if block == 0 else "_scale_inv"
    return {name: values, name + suffix: scales}, values.float() * spread


def write_weights(folder, state, shards):
    if shards == 1:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(state)
    index = {"metadata": {}, "weight_map": {}}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: state[name] for name in names[shard::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        index["weight_map"] |= {name: file for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def make(folder, dtype, shards, config):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(COMMON | config, indent=1) + "\n")
    torch.manual_seed(len(folder.name))
    plain = AutoConfig.from_pretrained(folder)
    if hasattr(plain, "quantization_config"):
        del plain.quantization_config
    model = AutoModelForCausalLM.from_config(plain, attn_implementation="eager").float().eval()
    state = {}
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name:  # ones would hide a norm that is left out
                # Gemma's are w - 1; sharp attention would magnify roundings.
                less = parameter_name.endswith(("q_norm.weight", "k_norm.weight")) and (
                    config["model_type"] == "gemma3_text")
                parameter.uniform_(0.5 - less, 1.5 - less)
            block = config.get("quantization_config", {}).get("weight_block_size", [0])[0]
            tensors, value = quantized(parameter_name, parameter.clone(), dtype, block)
            state |= {key: tensor.contiguous() for key, tensor in tensors.items()}
            parameter.copy_(value)
    write_weights(folder, state, shards)
    write_answers(folder, model, dtype)


def e4m3_rows(_, inputs):
    """For the input of a projection: as a GPU multiplies FP8 weights."""
    scale = inputs[0].abs().amax(-1, keepdim=True) / 448
    return ((inputs[0] / scale).to(torch.float8_e4m3fn).float() * scale,)


def rounding_errors(model, prompt, logits, dtype):
    """How far other roundings than float32's bring the logits."""
    models = {"bf16_error": copy.deepcopy(model).bfloat16()}
    if dtype == torch.float8_e4m3fn:
        models["e4m3_error"] = rounded = copy.deepcopy(model)
        for name, module in rounded.named_modules():
            if name.endswith("_proj"):
                module.register_forward_pre_hook(e4m3_rows)
    errors = {}
    for name, other in models.items():
        with torch.no_grad():
            difference = other(prompt).logits[0].float() - logits
        errors[name] = float(f"{float(difference.norm() / logits.norm()):.3g}")
    return errors


def write_answers(folder, model, dtype):
    """prompt.json and logits.f32 of a model of float32 weights."""
    prompt = torch.randint(3, model.config.vocab_size, (1, PROMPT_TOKENS))
    ids = prompt
    with torch.no_grad():
        logits = model(prompt).logits[0]
        for _ in range(GREEDY_TOKENS):
            # The whole sequence again for each token: no cache that could differ.
            ids = torch.cat([ids, model(ids).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    (folder / "logits.f32").write_bytes(logits.float().numpy().astype("<f4").tobytes())
    greedy = ids[0, PROMPT_TOKENS:].tolist()
    errors = rounding_errors(model, prompt, logits, dtype)
    (folder / "prompt.json").write_text(
        json.dumps({"prompt": prompt[0].tolist(), "greedy": greedy} | errors) + "\n")
    print(folder.name, "logits", float(logits.abs().max()), "greedy", len(set(greedy)), "distinct")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--wide"]:
        for model_name, parts in WIDE.items():
            make(pathlib.Path(sys.argv[2]) / model_name, *parts)
    else:
        for model_name in sys.argv[1:] or MODELS:
            make(HERE / model_name, *MODELS[model_name])
