"""Asks llama.cpp which type it gives to each tensor, for mixture_goldens.json.

    make_mixture_goldens.py mixture_goldens.json [NAME=MODEL.gguf ...]

Needs the PyPI packages llama-cpp-python and gguf. llama.cpp's quantizer runs dry, on models of zeros
that have the shapes that its choices depend on, and on the models that are given (their shapes are
kept in the golden file, not their weights); what it would do is read from its log.
"""
import collections
import ctypes
import json
import os
import re
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

FILE_TYPES = {
    "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "IQ4_NL": 25,
    "IQ4_XS": 30, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15,
    "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ2_S": 28, "IQ2_M": 29,
    "IQ3_XXS": 23, "IQ3_XS": 22, "IQ3_S": 26, "IQ3_M": 27}
LOG_LINE = re.compile(r"\]\s+(\S+)\s+- \[.*?\], type =\s+(\S+),.*?(?:\((\w+)\))?\s*$")

# name: (architecture, layers, width, feed-forward width, heads, key/value heads, tied)
SHAPES = {
    "qwen3, 4 heads a key, own head": ("qwen3", 36, 256, 512, 8, 2, False),
    "qwen3, 2 heads a key, tied": ("qwen3", 28, 512, 256, 4, 2, True),
    "llama, 4 heads a key, odd layers": ("llama", 13, 256, 768, 8, 2, False),
    "llama, own keys, rows of 96": ("llama", 17, 96, 256, 3, 3, False),
}


def tensor_shapes(arch, layers, width, ffn, heads, kv_heads, tied):
    """GGUF name -> sizes, outermost first."""
    head = 64 if width % 64 == 0 else 32
    shapes = {"token_embd.weight": [64, width], "output_norm.weight": [width]}
    if not tied:
        shapes["output.weight"] = [64, width]
    for i in range(layers):
        block = f"blk.{i}."
        shapes |= {block + "attn_norm.weight": [width], block + "ffn_norm.weight": [width],
                   block + "attn_q.weight": [heads * head, width],
                   block + "attn_k.weight": [kv_heads * head, width],
                   block + "attn_v.weight": [kv_heads * head, width],
                   block + "attn_output.weight": [width, heads * head],
                   block + "ffn_gate.weight": [ffn, width], block + "ffn_up.weight": [ffn, width],
                   block + "ffn_down.weight": [width, ffn]}
        if arch == "qwen3":
            shapes |= {block + "attn_q_norm.weight": [head], block + "attn_k_norm.weight": [head]}
    return shapes


def write_model(path, shape):
    arch, layers, width, ffn, heads, kv_heads, _ = shape
    head = 64 if width % 64 == 0 else 32
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(layers)
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_vocab_size(64)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-6)
    for name, sizes in tensor_shapes(*shape).items():
        dtype = np.float32 if len(sizes) == 1 else np.float16
        writer.add_tensor(name, np.zeros(sizes, dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


LOG = []


@llama_cpp.llama_log_callback
def keep_log(_level, text, _data):
    LOG.append(text.decode(errors="replace"))


def chosen_types(path, number, importance):
    """{tensor: type} as llama.cpp's quantizer chooses."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = number
    params.allow_requantize = True
    params.dry_run = True
    params.nthread = 1
    if importance:  # one entry: that there is an importance matrix is all that choices depend on
        entries = (llama_cpp.llama_model_imatrix_data * 2)()
        data = (ctypes.c_float * 1)(1.0)
        entries[0].name = b"none.weight"
        entries[0].data = ctypes.cast(data, ctypes.POINTER(ctypes.c_float))
        entries[0].size = 1
        params.imatrix = entries
    LOG.clear()
    failed = llama_cpp.llama_model_quantize(os.fsencode(path), b"/dev/null", ctypes.byref(params))
    text = "".join(LOG)
    if failed:
        sys.exit(f"llama.cpp refused type {number}:\n{text}")
    types = {}
    for line in text.splitlines():
        if found := LOG_LINE.search(line):
            types[found[1]] = (found[3] or found[2]).upper()
    return types


def run_lengths(values):
    runs = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    return runs


def compact(types):
    """{tensor without its layer: [[type, number of layers], ...]}"""
    kinds = collections.defaultdict(dict)
    for name, kind in types.items():
        if name.endswith("_norm.weight"):
            continue  # stay as they are in all files
        found = re.match(r"blk\.(\d+)\.(.*)", name)
        kinds[found[2] if found else name][int(found[1]) if found else 0] = kind
    return {kind: run_lengths([layers[i] for i in sorted(layers)])
            for kind, layers in sorted(kinds.items())}


def golden(path, model):
    model["types"] = {}
    for name, number in FILE_TYPES.items():
        for importance in (False, True):
            key = name + (" with importance" if importance else "")
            model["types"][key] = compact(chosen_types(path, number, importance))
    return model


def described(shape):
    arch, layers, _, _, heads, kv_heads, tied = shape
    rows = {re.sub(r"^blk\.\d+\.", "", n): s[-1] for n, s in tensor_shapes(*shape).items()
            if len(s) > 1}
    return {"layers": layers, "heads_per_kv": heads // kv_heads, "tied": tied, "rows": rows}


def described_file(path):
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    number = {k: reader.fields[f"{arch}.{k}"].contents()
              for k in ("block_count", "attention.head_count", "attention.head_count_kv")}
    rows = {re.sub(r"^blk\.\d+\.", "", t.name): int(t.shape[0]) for t in reader.tensors
            if len(t.shape) > 1}
    return {"layers": number["block_count"],
            "heads_per_kv": number["attention.head_count"] // number["attention.head_count_kv"],
            "tied": "output.weight" not in rows, "rows": rows}


def main():
    llama_cpp.llama_log_set(keep_log, ctypes.c_void_p(0))
    models = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in SHAPES.items():
            path = os.path.join(folder, "model.gguf")
            write_model(path, shape)
            models[name] = golden(path, described(shape))
    for argument in sys.argv[2:]:
        name, path = argument.split("=", 1)
        models[name] = golden(path, described_file(path))
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write("{\n")
        for i, (name, model) in enumerate(models.items()):
            types = model.pop("types")
            file.write(f'{json.dumps(name)}: {json.dumps(model)[:-1]}, "types": {{\n')
            file.write(",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in types.items()))
            file.write("}}" + ("" if i + 1 == len(models) else ",") + "\n")
        file.write("}\n")


main()
