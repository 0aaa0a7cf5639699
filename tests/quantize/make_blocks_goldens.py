#!/usr/bin/env python3
"""Writes blocks_goldens.txt: rows, their reference blocks, and the errors of ggml's own quantizers.

Lines:
  row NAME HEX              2048 f16 (little endian) that are quantized
  importance NAME HEX       2048 f16: weights of their squared errors
  blocks TYPE ROW HEX       the first 512 elements in the reference rounding, without importance
  error TYPE ROW WEIGHTS E  the weighted squared error that ggml leaves, WEIGHTS being "none" or the
                            name of the importance; src/quantize/blocks.h has the formula

The reference blocks are asked of both ggml and the package gguf, and must be the same.

Run: python make_blocks_goldens.py   (needs: pip install gguf llama-cpp-python)
"""

import ctypes
import importlib.util
import pathlib

import numpy
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

COUNT = 2048
REFERENCE_COUNT = 512
REFERENCE_TYPES = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
SEARCHED_TYPES = [
    Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.IQ4_NL, Type.IQ4_XS,
    Type.IQ3_S, Type.IQ3_XXS, Type.IQ2_S, Type.IQ2_XS, Type.IQ2_XXS,
]  # fmt: skip
NEED_IMPORTANCE = [Type.IQ2_XS, Type.IQ2_XXS]


def load_ggml() -> ctypes.CDLL:
    folder = pathlib.Path(importlib.util.find_spec("llama_cpp").origin).parent / "lib"
    library = ctypes.CDLL(str(folder / "libggml-base.so"))
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, size, size, size, pointer]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library


def ggml_quantize(library, kind, x, importance):
    block, size = GGML_QUANT_SIZES[kind]
    out = numpy.zeros(len(x) // block * size, numpy.uint8)
    weights = None if importance is None else importance.ctypes.data
    library.ggml_quantize_init(int(kind))
    library.ggml_quantize_chunk(int(kind), x.ctypes.data, out.ctypes.data, 0, 1, len(x), weights)
    return out


def error(kind, x, importance, blocks) -> float:
    block = GGML_QUANT_SIZES[kind][0]
    squares = x.astype(numpy.float64).reshape(-1, block) ** 2
    weights = numpy.sqrt(squares.mean(axis=1, keepdims=True) + squares).ravel()
    if importance is not None:
        weights *= importance
    y = dequantize(blocks.reshape(1, -1), kind).ravel()
    return float((weights * (x - y.astype(numpy.float64)) ** 2).sum())


def main() -> None:
    random = numpy.random.default_rng(20261122)
    outliers = random.normal(0, 0.02, COUNT) * numpy.where(random.random(COUNT) < 0.005, 15, 1)
    rows = {
        "normal": random.normal(0, 0.02, COUNT),
        "heavy": random.standard_t(3, COUNT) * 0.02,
        "outliers": outliers,
    }
    rows = {name: row.astype("<f2") for name, row in rows.items()}
    importance = (random.gamma(0.5, size=COUNT) + 1e-3).astype("<f2")
    lines = [f"row {name} {row.tobytes().hex()}" for name, row in rows.items()]
    lines.append(f"importance gamma {importance.tobytes().hex()}")
    library = load_ggml()
    wide = numpy.ascontiguousarray(importance.astype(numpy.float32))
    for name, row in rows.items():
        x = numpy.ascontiguousarray(row.astype(numpy.float32))
        for kind in REFERENCE_TYPES:
            head = numpy.ascontiguousarray(x[:REFERENCE_COUNT])
            blocks = ggml_quantize(library, kind, head, None)
            assert (blocks == quantize(head, kind)).all(), kind
            lines.append(f"blocks {kind.name} {name} {blocks.tobytes().hex()}")
        for kind in SEARCHED_TYPES + REFERENCE_TYPES[:4]:
            for weights in (None, wide):
                if weights is None and kind in NEED_IMPORTANCE + REFERENCE_TYPES:
                    continue
                blocks = ggml_quantize(library, kind, x, weights)
                label = "none" if weights is None else "gamma"
                value = error(kind, x, weights, blocks)
                lines.append(f"error {kind.name} {name} {label} {value:.6g}")
    path = pathlib.Path(__file__).with_name("blocks_goldens.txt")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
