#!/usr/bin/env python3
"""Makes the tiny random models of tests/golden/models and their logits by Hugging Face Transformers.

    pip install torch transformers safetensors
    tests/golden/make_model_goldens.py

Each folder is a Hugging Face model folder and holds besides:
  prompt.json    {"prompt": [ids], "greedy": [64 ids that follow]}
  logits.f32     [len(prompt), vocab] float32, little endian: Transformers' logits in float32
"""
import json
import pathlib
import shutil

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
}


def write_weights(folder, model, dtype, shards):
    state = {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()
             if not (name == "lm_head.weight" and model.config.tie_word_embeddings)}
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


def make(name, dtype, shards, config):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(COMMON | config, indent=1) + "\n")
    torch.manual_seed(len(name))
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder),
                                             attn_implementation="eager").float().eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name:  # ones would hide a norm that is left out
                parameter.uniform_(0.5, 1.5)
            parameter.copy_(parameter.to(dtype).float())
    write_weights(folder, model, dtype, shards)

    prompt = torch.randint(3, COMMON["vocab_size"], (1, PROMPT_TOKENS))
    ids = prompt
    with torch.no_grad():
        logits = model(prompt).logits[0]
        for _ in range(GREEDY_TOKENS):
            # The whole sequence again for each token: no cache that could differ.
            ids = torch.cat([ids, model(ids).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    (folder / "logits.f32").write_bytes(logits.float().numpy().astype("<f4").tobytes())
    greedy = ids[0, PROMPT_TOKENS:].tolist()
    (folder / "prompt.json").write_text(
        json.dumps({"prompt": prompt[0].tolist(), "greedy": greedy}) + "\n")
    print(name, "logits", float(logits.abs().max()), "greedy", len(set(greedy)), "distinct")


for model_name, (model_dtype, model_shards, model_config) in MODELS.items():
    make(model_name, model_dtype, model_shards, model_config)
