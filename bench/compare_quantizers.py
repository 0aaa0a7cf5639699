#!/usr/bin/env python3
"""Hachi's quantizer beside llama.cpp's: both make a file of each type from the same model, and
llama.cpp reads both.

    compare_quantizers.py HACHI MODEL.gguf TEXT [--types Q4_0,Q4_K_M,...] [--imatrix FILE]
                          [--tokens N] [--json OUT]

A line for each type: the perplexities of both files as llama.cpp finds them (windows of 512 tokens,
all but each first token scored), their ratio, the mean KL divergences from the model, and the share of the quantized tensors' bytes that are
the same in both files. Needs the PyPI packages llama-cpp-python, gguf and numpy.
"""
import argparse
import ctypes
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import gguf
import llama_cpp
import numpy as np

WINDOW = 512
FILE_TYPES = {
    "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "IQ4_NL": 25,
    "IQ4_XS": 30, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15,
    "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ2_S": 28, "IQ2_M": 29,
    "IQ3_XXS": 23, "IQ3_XS": 22, "IQ3_S": 26, "IQ3_M": 27}
NEEDS_IMPORTANCE = {"IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS"}


@llama_cpp.llama_log_callback
def drop_log(_level, _text, _data):
    pass


def read_importance(path):
    """{matrix: means} of a GGUF importance matrix."""
    tensors = {t.name: t.data for t in gguf.GGUFReader(path).tensors}
    return {name[:-8]: np.ascontiguousarray(data.reshape(-1) / tensors[name[:-8] + ".counts"].item())
            for name, data in tensors.items() if name.endswith(".in_sum2")}


def llama_quantize(source, out, number, importance):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = number
    params.allow_requantize = True
    entries = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for entry, (name, means) in zip(entries, importance.items()):
        entry.name = name.encode()
        entry.data = means.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = means.size
    if importance:
        params.imatrix = entries
    if llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(out), ctypes.byref(params)):
        sys.exit(f"llama.cpp could not quantize to {number}")


def hachi_quantize(hachi, source, out, kind, imatrix):
    command = [hachi, "quantize", source, "--to", kind, "-o", out, "--force", "--quiet", "--json"]
    if imatrix:
        command += ["--imatrix", imatrix]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def log_probabilities(path, windows):
    """[tokens, vocabulary] natural logarithms, after each token of each window but its last."""
    llama = llama_cpp.Llama(path, n_ctx=WINDOW, n_batch=WINDOW, logits_all=True, verbose=False)
    rows = []
    for window in windows:
        llama.reset()
        llama.eval(window)
        logits = np.array(llama.scores[:len(window) - 1], np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        rows.append(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    llama.close()
    return np.concatenate(rows)


def text_windows(path, text, max_tokens):
    """The text as `hachi score --context 512` cuts it."""
    llama = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    begin = llama.tokenize(b"", add_bos=True)
    tokens = llama.tokenize(text, add_bos=False, special=False)[:max_tokens]
    llama.close()
    room = WINDOW - len(begin)
    windows = [begin + tokens[at:at + room] for at in range(0, len(tokens), room)]
    return [window for window in windows if len(window) > 1]


class Source:
    """What the model that both quantize says of the text."""

    def __init__(self, path, text, max_tokens):
        self.windows = text_windows(path, text, max_tokens)
        self.next = np.concatenate([window[1:] for window in self.windows])
        self.log_p = log_probabilities(path, self.windows)

    def perplexity(self, log_p):
        return math.exp(-float(log_p[np.arange(len(self.next)), self.next].mean(dtype=np.float64)))

    def figures(self, path):
        """(perplexity of the model, its mean KL divergence from the source)"""
        log_q = log_probabilities(path, self.windows)
        divergence = (np.exp(self.log_p) * (self.log_p - log_q)).sum(axis=1, dtype=np.float64)
        return self.perplexity(log_q), float(divergence.mean())


def same_bytes(ours, theirs):
    """(share of the bytes of quantized tensors that are equal, names of tensors of another type)"""
    a = {t.name: t for t in gguf.GGUFReader(ours).tensors}
    b = {t.name: t for t in gguf.GGUFReader(theirs).tensors}
    other = [n for n in b if n not in a or a[n].tensor_type != b[n].tensor_type]
    equal = total = 0
    for name, tensor in b.items():
        if name in other or len(tensor.shape) < 2:
            continue
        mine, yours = a[name].data.view(np.uint8), tensor.data.view(np.uint8)
        equal += int((mine == yours).sum())
        total += yours.size
    return (equal / total if total else 1.0), other


def compare(arguments, kind, source, importance, folder):
    ours, theirs = os.path.join(folder, "ours.gguf"), os.path.join(folder, "theirs.gguf")
    started = time.monotonic()
    hachi_quantize(arguments.hachi, arguments.model, ours, kind, arguments.imatrix)
    our_seconds = time.monotonic() - started
    started = time.monotonic()
    llama_quantize(arguments.model, theirs, FILE_TYPES[kind], importance)
    their_seconds = time.monotonic() - started
    share, other = same_bytes(ours, theirs)
    mine, our_kl = source.figures(ours)
    identical = share == 1 and not other
    yours, their_kl = (mine, our_kl) if identical else source.figures(theirs)
    row = {"type": kind, "bytes": os.path.getsize(ours), "llama_bytes": os.path.getsize(theirs),
           "perplexity": mine, "llama_perplexity": yours, "ratio": mine / yours,
           "kl_divergence": our_kl, "llama_kl_divergence": their_kl, "tokens": len(source.next),
           "same_bytes": share, "tensors_of_another_type": other, "seconds": our_seconds,
           "llama_seconds": their_seconds}
    print(f"{kind:8} {row['bytes'] / 1e6:9.1f} MB {mine:10.4f} {yours:10.4f} {mine / yours:9.5f} "
          f"{our_kl:10.5f} {their_kl:10.5f} {100 * share:7.2f} % {our_seconds:7.1f} s "
          f"{their_seconds:7.1f} s" + (f"  types differ: {other}" if other else ""), flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hachi")
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--types", default=",".join(FILE_TYPES))
    parser.add_argument("--imatrix")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    llama_cpp.llama_log_set(drop_log, ctypes.c_void_p(0))
    text = pathlib.Path(arguments.text).read_bytes()[:16 * arguments.tokens]
    text = text.decode(errors="ignore").encode()
    importance = read_importance(arguments.imatrix) if arguments.imatrix else {}
    source = Source(arguments.model, text, arguments.tokens)
    print(f"source: perplexity {source.perplexity(source.log_p):.4f} over {len(source.next)} tokens")
    print(f"{'':21} {'PERPLEXITY':>21} {'':9} {'KL DIVERGENCE':>21} {'BYTES':>9} {'TIME':>19}")
    print(f"{'TYPE':8} {'SIZE':>12} {'HACHI':>10} {'LLAMA.CPP':>10} {'RATIO':>9} {'HACHI':>10} "
          f"{'LLAMA.CPP':>10} {'SAME':>9} {'HACHI':>9} {'LLAMA.CPP':>9}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in arguments.types.split(","):
            if kind in NEEDS_IMPORTANCE and not importance:
                print(f"{kind:8} needs --imatrix")
                continue
            rows.append(compare(arguments, kind, source, importance, folder))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")


main()
