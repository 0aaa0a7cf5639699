#!/usr/bin/env python3
"""Writes dequantize_goldens.txt: random blocks of each type, and their values by the gguf package.

A line a type: its name, the blocks in hex, and the f32 values in hex (little endian). The blocks
are random bytes, but for the f16 scales, which are drawn so that no value is infinite or NaN.

Run: python make_dequantize_goldens.py   (needs: pip install gguf)
"""

import pathlib

import numpy
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize

# Byte offsets of the f16 fields of a block.
SCALES = {
    Type.Q4_0: (18, [0]),
    Type.Q4_1: (20, [0, 2]),
    Type.Q5_0: (22, [0]),
    Type.Q5_1: (24, [0, 2]),
    Type.Q8_0: (34, [0]),
    Type.Q2_K: (84, [80, 82]),
    Type.Q3_K: (110, [108]),
    Type.Q4_K: (144, [0, 2]),
    Type.Q5_K: (176, [0, 2]),
    Type.Q6_K: (210, [208]),
    Type.IQ4_NL: (18, [0]),
    Type.IQ4_XS: (136, [0]),
    Type.IQ3_S: (110, [0]),
    Type.IQ3_XXS: (98, [0]),
    Type.IQ2_S: (82, [0]),
    Type.IQ2_XS: (74, [0]),
    Type.IQ2_XXS: (66, [0]),
}


def main() -> None:
    random = numpy.random.default_rng(20240607)
    lines = []
    for kind, (size, fields) in SCALES.items():
        count = 6 if size < 40 else 3
        blocks = random.integers(0, 256, (count, size), dtype=numpy.uint8)
        for field in fields:
            scales = random.normal(0, 0.05, count).astype(numpy.float16)
            scales[-1] = numpy.float16(-3e-6)  # a subnormal
            blocks[:, field : field + 2] = scales.view(numpy.uint8).reshape(count, 2)
        values = dequantize(blocks.reshape(1, -1), kind).astype("<f4")
        lines.append(f"{kind.name} {blocks.tobytes().hex()} {values.tobytes().hex()}")
    for kind in (Type.F16, Type.BF16):
        bits = numpy.array([0, 1, 0x8001, 0x3C00, 0xBFFF, 0x7BFF, 0x0400, 0x03FF], "<u2")
        data = numpy.concatenate([bits, random.integers(0, 0x7000, 24).astype("<u2")])
        if kind == Type.F16:
            values = data.view("<f2").astype("<f4")
        else:
            values = dequantize(data.view(numpy.uint8).reshape(1, -1), kind).astype("<f4")
        lines.append(f"{kind.name} {data.tobytes().hex()} {values.tobytes().hex()}")
    path = pathlib.Path(__file__).with_name("dequantize_goldens.txt")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
