#!/usr/bin/env python3
"""A model to compare quantizers on, made from a small Llama whose weights were decoded from four bits.

    make_quantizer_source.py MODEL.gguf OUT.gguf [--seed 1] [--no-dither]

Two things keep such a file from saying how quantizers do on a large model, and both are mended:

- Its weights lie on a grid of sixteen levels a block of 32, so that types resonate with it. Each
  weight is moved at random by up to half of a step.
- Its rows are not whole blocks of 256, so that quantizers give its matrices other types than those
  asked for. Zeros are added until they are: to the residual stream, and as key/value heads whose
  values are zero. The norms' weights and epsilon make up for the wider mean, so that but for the
  first change the model computes what it did.

Needs the PyPI packages gguf and numpy.
"""
import argparse
import math

import gguf
import numpy as np

WHOLE = 256
DITHERED = 32  # elements of a block of the grid
STEPS = 15


def dithered(weights, random):
    blocks = weights.reshape(-1, DITHERED)
    step = (blocks.max(axis=1, keepdims=True) - blocks.min(axis=1, keepdims=True)) / STEPS
    return (blocks + step * random.uniform(-0.5, 0.5, blocks.shape)).reshape(weights.shape)


class Sizes:
    """The widths of the model as it is, and as it will be."""

    def __init__(self, field):
        self.hidden = field("embedding_length")
        self.heads = field("attention.head_count")
        self.kv_heads = field("attention.head_count_kv")
        self.head_dim = self.hidden // self.heads
        group = self.heads // self.kv_heads
        self.new_hidden = -(-self.hidden // WHOLE) * WHOLE
        self.new_kv_heads = self.kv_heads
        while self.new_kv_heads * group * self.head_dim % WHOLE:
            self.new_kv_heads += 1
        self.new_heads = self.new_kv_heads * group

    def widened(self, name, weights):
        hidden = self.new_hidden - self.hidden
        heads = (self.new_heads - self.heads) * self.head_dim
        kv = (self.new_kv_heads - self.kv_heads) * self.head_dim
        if weights.ndim == 1:
            return np.pad(weights * math.sqrt(self.hidden / self.new_hidden), (0, hidden))
        part = name.split(".")[-2]
        rows = {"attn_q": heads, "attn_k": kv, "attn_v": kv, "attn_output": hidden,
                "ffn_down": hidden}
        columns = {"attn_output": heads, "ffn_down": 0}
        return np.pad(weights, ((0, rows.get(part, 0)), (0, columns.get(part, hidden))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-dither", action="store_true")
    arguments = parser.parse_args()
    reader = gguf.GGUFReader(arguments.model)
    family = reader.fields["general.architecture"].contents()
    sizes = Sizes(lambda key: reader.fields[f"{family}.{key}"].contents())
    epsilon = reader.fields[f"{family}.attention.layer_norm_rms_epsilon"].contents()
    changed = {"embedding_length": sizes.new_hidden, "attention.head_count": sizes.new_heads,
               "attention.head_count_kv": sizes.new_kv_heads,
               "attention.layer_norm_rms_epsilon": epsilon * sizes.hidden / sizes.new_hidden,
               "attention.key_length": sizes.head_dim, "attention.value_length": sizes.head_dim}
    changed = {f"{family}.{key}": value for key, value in changed.items()}
    writer = gguf.GGUFWriter(arguments.out, family)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, changed.pop(field.name, field.contents()), kind, inner)
    for key, value in changed.items():
        writer.add_uint32(key, value)
    random = np.random.default_rng(arguments.seed)
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        matrix = weights.ndim > 1
        if matrix and not arguments.no_dither:
            weights = dithered(weights, random)
        weights = sizes.widened(tensor.name, weights)
        writer.add_tensor(tensor.name, weights.astype(np.float16 if matrix else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
