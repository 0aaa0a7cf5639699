#!/usr/bin/env python3
"""Makes the tiny random models of 4 and 8 bits in tests/golden/models, packed as GPTQ, AWQ and
compressed-tensors publish them, and their logits by Hugging Face Transformers.

    pip install torch transformers safetensors
    tests/golden/make_quantized_goldens.py [NAME...]

The numbers are random and packed here, by none of the libraries. The logits are those of float32
weights with the values that Hachi's block types have: (q - zero) * scale exactly, but for zero
points besides the middle, where -zero * scale is rounded to float16 first.
"""
import json
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from make_model_goldens import COMMON, HERE, QWEN3, write_answers

BASE = COMMON | QWEN3 | {
    "num_hidden_layers": 1, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "rope_theta": 1000000.0, "rope_scaling": None,
    "tie_word_embeddings": True,
}
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def gptq(bits, group, **fields):
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, **fields}


def compressed(bits, strategy, symmetric, group=None):
    weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": strategy,
               "group_size": group}
    return {"quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
            "ignore": ["lm_head"]}


FP8 = {"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
       "config_groups": {"group_0": {"targets": ["Linear"], "weights": {
           "num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}}}}

# name: (packing, bits, columns a group or 0 for all, zero points, type of the scales, config)
MODELS = {
    # As most are published: the first format, symmetric, with biases of zeros.
    "qwen3-gptq": ("gptq", 4, 32, False, np.float16, gptq(4, 32, sym=True)),
    # Zero points from 0 to 15 less one, with borrows, and a packed output matrix.
    "qwen3-gptq-zeros": ("gptq", 4, 64, True, np.float16,
                         gptq(4, 64, sym=False, checkpoint_format="gptq", lm_head=True)),
    "qwen3-gptq-8": ("gptq", 8, 0, False, np.float16,
                     gptq(8, -1, sym=True, checkpoint_format="gptq_v2")),
    "qwen3-awq": ("awq", 4, 32, True, np.float16,
                  {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm",
                   "zero_point": True, "modules_to_not_convert": ["lm_head"]}),
    "qwen3-packed": ("compressed", 4, 32, False, "bf16", compressed(4, "group", True, 32)),
    "qwen3-packed-zeros": ("compressed", 4, 0, True, np.float16, compressed(4, "channel", False)),
    "qwen3-packed-8": ("compressed", 8, 0, False, "bf16", compressed(8, "channel", True)),
    "qwen3-float-quantized": ("fp8", 8, 0, False, "bf16", FP8),
}


def pack(numbers, bits, order=None):
    """Words of 32 / bits neighbours of the last dimension, the first in the lowest bits; with
    `order`, place p holds number order[p]."""
    each = 32 // bits
    parts = numbers.reshape(*numbers.shape[:-1], -1, each).astype(np.uint32)
    if order is not None:
        parts = parts[..., order]
    words = np.zeros(parts.shape[:-1], np.uint32)
    for place in range(each):
        words |= parts[..., place] << np.uint32(place * bits)
    return words


def tensor_of(words):
    return torch.from_numpy(np.ascontiguousarray(words).view(np.int32))


def random_scales(random, shape, kind, spread):
    scales = torch.from_numpy(random.uniform(0.5, 1.5, shape) * spread)
    return scales.to(torch.bfloat16 if kind == "bf16" else torch.float16)


def packed_tensors(packing, bits, q, zeros, scales, first_format):
    """The tensors of one matrix. q [O, I], zeros [O, N] or None, scales [O, N]."""
    if packing == "compressed":
        tensors = {"weight_packed": tensor_of(pack(q, bits)), "weight_scale": scales,
                   "weight_shape": torch.tensor(q.shape)}
        if zeros is not None:
            tensors["weight_zero_point"] = tensor_of(pack(zeros.T, bits).T)
        return tensors
    middle = np.full(scales.shape, 1 << (bits - 1))
    zeros = (middle if zeros is None else zeros).T
    tensors = {"scales": scales.T.contiguous()}
    if packing == "awq":
        return tensors | {"qweight": tensor_of(pack(q.T, bits, AWQ_ORDER)),
                          "qzeros": tensor_of(pack(zeros, bits, AWQ_ORDER))}
    words = pack(zeros, bits)
    if first_format:
        words -= np.uint32(0x11111111 if bits == 4 else 0x01010101)
    group = q.shape[1] // scales.shape[1]
    return tensors | {"qweight": tensor_of(pack(q, bits).T),
                      "qzeros": tensor_of(words),
                      "g_idx": torch.arange(q.shape[1], dtype=torch.int32) // group,
                      "bias": torch.zeros(q.shape[0], dtype=torch.float16)}


def quantized(random, shape, packing, bits, group, has_zeros, kind, first_format):
    """(the tensors of a random matrix, its values in float32)"""
    rows, columns = shape
    groups = columns // group if group else 1
    if packing == "fp8":
        values = torch.from_numpy(random.normal(0, 100, shape)).clamp(-448, 448)
        values = values.to(torch.float8_e4m3fn)
        scales = random_scales(random, (rows, 1), kind, 0.0015)
        return {"weight": values, "weight_scale": scales}, values.float() * scales.float()
    q = random.integers(0, 1 << bits, shape)
    zeros = random.integers(0, 1 << bits, (rows, groups)) if has_zeros else None
    scales = random_scales(random, (rows, groups), kind, 0.45 / (1 << bits))
    tensors = packed_tensors(packing, bits, q, zeros, scales, first_format)
    spread = scales.float().repeat_interleave(columns // groups, 1)
    if zeros is None:
        return tensors, torch.from_numpy(q - (1 << (bits - 1))).float() * spread
    least = (-torch.from_numpy(zeros).float() * scales.float()).half().float()
    return tensors, torch.from_numpy(q).float() * spread + least.repeat_interleave(
        columns // groups, 1)


def make(name, packing, bits, group, has_zeros, kind, config):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    head = config.get("lm_head", False)
    whole = BASE | {"tie_word_embeddings": not head, "quantization_config": config}
    (folder / "config.json").write_text(json.dumps(whole, indent=1) + "\n")
    plain = AutoConfig.from_pretrained(folder)
    del plain.quantization_config
    torch.manual_seed(len(name))
    random = np.random.default_rng(len(name))
    model = AutoModelForCausalLM.from_config(plain, attn_implementation="eager").float().eval()
    first_format = config.get("checkpoint_format", "gptq") == "gptq"
    state = {}
    with torch.no_grad():
        for full, parameter in model.named_parameters():
            stem = full.removesuffix(".weight")
            if stem.endswith("_proj") or stem == "lm_head":
                tensors, value = quantized(random, parameter.shape, packing, bits, group, has_zeros,
                                           kind, first_format)
                state |= {f"{stem}.{suffix}": tensor for suffix, tensor in tensors.items()}
            else:
                if "norm" in full:
                    parameter.uniform_(0.5, 1.5)
                state[full] = parameter.to(torch.float16)
                value = state[full].float()
            parameter.copy_(value)
    save_file({key: tensor.contiguous() for key, tensor in state.items()},
              folder / "model.safetensors", metadata={"format": "pt"})
    write_answers(folder, model, torch.float32)


if __name__ == "__main__":
    for model_name in sys.argv[1:] or MODELS:
        make(model_name, *MODELS[model_name])
