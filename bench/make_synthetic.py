#!/usr/bin/env python3
"""Writes a GGUF file with the shape of a known model and random weights, for measuring speed.

    bench/make_synthetic.py SHAPE TYPE OUT.gguf

The weights are random blocks with a standard deviation of about 0.02, so that no value overflows
and no fast path for zeros is taken; one block pattern a type repeats through the file. Types of
single tensors follow llama.cpp's quantizer: the output matrix of the 4- and 5-bit types is Q6_K,
q4_k_m and its like are mixtures, and a row that is not whole blocks of 256 falls back to a type
with blocks of 32. The vocabulary is synthetic too: all bytes, and merges of them.

Needs the PyPI packages gguf and numpy.
"""

import argparse
import dataclasses
import itertools
import sys

import gguf
import numpy as np

Q = gguf.GGMLQuantizationType


@dataclasses.dataclass(frozen=True)
class Shape:
    arch: str
    pre: str  # tokenizer.ggml.pre
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int
    rope_base: float
    tied: bool = False
    window: int = 0


SHAPES = {
    "qwen3-8b": Shape("qwen3", "qwen2", 4096, 36, 32, 8, 128, 12288, 151936, 40960, 1e6),
    "qwen3-0.6b": Shape("qwen3", "qwen2", 1024, 28, 16, 8, 128, 3072, 151936, 40960, 1e6, True),
    "llama3-8b": Shape("llama", "llama-bpe", 4096, 32, 32, 8, 128, 14336, 128256, 8192, 5e5),
    "mistral-7b": Shape("llama", "llama-bpe", 4096, 32, 32, 8, 128, 14336, 32768, 32768, 1e6),
    "gemma-7b": Shape("gemma", "gpt-2", 3072, 28, 16, 16, 256, 24576, 256000, 8192, 1e4, True),
    "gemma3-270m": Shape("gemma3", "gpt-2", 640, 18, 4, 1, 256, 2048, 262144, 32768, 1e6, True,
                         512),
    "phi3-mini": Shape("phi3", "gpt-2", 3072, 32, 32, 32, 96, 8192, 32064, 4096, 1e4, False, 2047),
    "smollm2": Shape("llama", "smollm", 576, 30, 9, 3, 64, 1536, 49152, 8192, 1e5, True),
}

PLAIN = {"f32": Q.F32, "f16": Q.F16, "bf16": Q.BF16}
UNIFORM = {"q4_0": Q.Q4_0, "q4_1": Q.Q4_1, "q5_0": Q.Q5_0, "q5_1": Q.Q5_1, "q8_0": Q.Q8_0,
           "q6_k": Q.Q6_K}
MIXED = {"q4_k_s": Q.Q4_K, "q4_k_m": Q.Q4_K, "q5_k_s": Q.Q5_K, "q5_k_m": Q.Q5_K}
FALLBACK = {Q.Q4_K: Q.Q5_0, Q.Q5_K: Q.Q5_1, Q.Q6_K: Q.Q8_0}

# Where the f16 factors of a block lie, and their values for a standard deviation of 0.02.
FACTORS = {
    Q.Q4_0: {0: 4.3e-3},
    Q.Q4_1: {0: 4.3e-3, 2: -3.2e-2},
    Q.Q5_0: {0: 2.2e-3},
    Q.Q5_1: {0: 2.2e-3, 2: -3.4e-2},
    Q.Q8_0: {0: 2.7e-4},
    Q.Q4_K: {0: 7.8e-5, 2: 5.8e-4},
    Q.Q5_K: {0: 3.8e-5, 2: 5.8e-4},
    Q.Q6_K: {208: 1.46e-5},
}
PATTERN_BYTES = 1 << 24


def more_bits(layer, layers):
    """The layers to which the "_M" mixtures give a larger type: the ends, and each third."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def layer_type(name, kind, layer, layers):
    base = MIXED[kind]
    if name not in ("attn_v", "ffn_down"):
        return base
    if kind.endswith("_m"):
        return Q.Q6_K if more_bits(layer, layers) else base
    if kind == "q4_k_s" and layer < (4 if name == "attn_v" else layers // 8):
        return Q.Q5_K
    return base


def matrix_type(name, kind, layer, shape):
    if kind in PLAIN:
        return PLAIN[kind]
    is_output = name == "output" or (name == "token_embd" and shape.tied)
    if is_output and kind != "q8_0":
        return Q.Q6_K
    if kind in UNIFORM:
        return UNIFORM[kind]
    return MIXED[kind] if layer is None else layer_type(name, kind, layer, shape.layers)


def that_fits(dtype, columns):
    block = gguf.GGML_QUANT_SIZES[dtype][0]
    return dtype if columns % block == 0 else FALLBACK[dtype]


def tensors(shape, kind):
    """(name, rows or None for a vector, columns, type), in the order of the file."""
    def matrix(name, rows, columns, layer=None):
        dtype = that_fits(matrix_type(name, kind, layer, shape), columns)
        prefix = "" if layer is None else f"blk.{layer}."
        return f"{prefix}{name}.weight", rows, columns, dtype

    yield matrix("token_embd", shape.vocab, shape.hidden)
    for i in range(shape.layers):
        width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        yield f"blk.{i}.attn_norm.weight", None, shape.hidden, Q.F32
        fused = shape.arch == "phi3"
        if fused:
            yield matrix("attn_qkv", width + 2 * kv_width, shape.hidden, i)
        else:
            yield matrix("attn_q", width, shape.hidden, i)
            yield matrix("attn_k", kv_width, shape.hidden, i)
            yield matrix("attn_v", kv_width, shape.hidden, i)
        if shape.arch in ("qwen3", "gemma3"):
            yield f"blk.{i}.attn_q_norm.weight", None, shape.head_dim, Q.F32
            yield f"blk.{i}.attn_k_norm.weight", None, shape.head_dim, Q.F32
        yield matrix("attn_output", shape.hidden, width, i)
        yield f"blk.{i}.ffn_norm.weight", None, shape.hidden, Q.F32
        if shape.arch == "gemma3":
            yield f"blk.{i}.post_attention_norm.weight", None, shape.hidden, Q.F32
            yield f"blk.{i}.post_ffw_norm.weight", None, shape.hidden, Q.F32
        if not fused:
            yield matrix("ffn_gate", shape.ffn, shape.hidden, i)
        yield matrix("ffn_up", shape.ffn * (2 if fused else 1), shape.hidden, i)
        yield matrix("ffn_down", shape.hidden, shape.ffn, i)
    yield "output_norm.weight", None, shape.hidden, Q.F32
    if not shape.tied:
        yield matrix("output", shape.vocab, shape.hidden)


def pattern(dtype, random):
    """Random bytes of whole blocks."""
    if dtype in (Q.F32, Q.F16, Q.BF16):
        values = (0.02 * random.standard_normal(PATTERN_BYTES // 4)).astype(np.float32)
        if dtype == Q.BF16:
            return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
        return values.astype(np.float16 if dtype == Q.F16 else np.float32).view(np.uint8)
    size = gguf.GGML_QUANT_SIZES[dtype][1]
    blocks = random.integers(0, 256, (PATTERN_BYTES // size, size), dtype=np.uint8)
    for offset, factor in FACTORS[dtype].items():
        varied = (factor * random.uniform(0.8, 1.2, len(blocks))).astype(np.float16)
        blocks[:, offset:offset + 2] = varied.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(-1)


def vocabulary(size):
    """`size` tokens of a byte-level BPE, and the merges that make them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in printable] + [
        chr(256 + i) for i in range(256 - len(printable))]
    ascii_letters = [chr(b) for b in range(ord("a"), ord("z") + 1)]
    pairs = [(a, b) for a in letters for b in letters]
    triples = ((a + b, c) for a, b, c in itertools.product(ascii_letters, letters, letters))
    merges = list(itertools.islice(itertools.chain(pairs, triples), size - len(letters) - 1))
    return letters + [a + b for a, b in merges] + ["<|endoftext|>"], [f"{a} {b}" for a, b in merges]


def write_metadata(writer, shape, name):
    writer.add_name(name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    if shape.window:
        writer.add_sliding_window(shape.window)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(shape.vocab)
    tokens, merges = vocabulary(shape.vocab)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(shape.pre)
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (shape.vocab - 1) + [3])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(shape.vocab - 1)
    writer.add_bos_token_id(shape.vocab - 1)
    writer.add_add_bos_token(False)


def write_tensor(writer, file, data, offset, count):
    """`count` bytes of the pattern `data`, repeated, from the block-aligned `offset` on."""
    writer.write_padding(file, file.tell())
    while count > 0:
        chunk = data[offset:offset + count]
        chunk.tofile(file)
        count -= len(chunk)
        offset = 0
    writer.write_padding(file, file.tell())


def write_model(shape, kind, path):
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, shape.arch)
    write_metadata(writer, shape, f"synthetic {kind}")
    infos = []
    for name, rows, columns, dtype in tensors(shape, kind):
        block, block_bytes = gguf.GGML_QUANT_SIZES[dtype]
        dims = [columns] if rows is None else [rows, columns]
        count = int(np.prod(dims)) // block * block_bytes
        writer.add_tensor_info(name, dims, np.float32, count, raw_dtype=dtype)
        infos.append((rows, block_bytes, dtype, count))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file = writer.fout[0]
    patterns = {}
    for rows, block_bytes, dtype, count in infos:
        if rows is None:
            write_tensor(writer, file, np.ones(count // 4, np.float32).view(np.uint8), 0, count)
            continue
        if dtype not in patterns:
            patterns[dtype] = pattern(dtype, random)
        data = patterns[dtype]
        offset = int(random.integers(0, len(data) // block_bytes)) * block_bytes
        write_tensor(writer, file, data, offset, count)
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("type", choices=[*PLAIN, *UNIFORM, *MIXED])
    parser.add_argument("out")
    arguments = parser.parse_args()
    write_model(SHAPES[arguments.shape], arguments.type, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
