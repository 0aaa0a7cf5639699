#!/usr/bin/env python3
"""Hachi's quantizer beside llama.cpp's: both make a file of each type from the same model, and
llama.cpp reads both.

    compare_quantizers.py HACHI TEXT MODEL.gguf... [--types Q4_0,Q4_K_M,...] [--imatrix FILE]
                          [--inputs FILE] [--tokens N] [--json OUT]

A line for each type and model, over windows of 512 tokens of which all but the first are scored:

  PERPLEXITY     of llama.cpp's file
  RATIO          of the perplexity of Hachi's file to it, in per cent above 1. Both are of the same
                 tokens, so its standard error is that of the mean difference, token by token.
  KL DIVERGENCE  mean, from the model to llama.cpp's file; then by how much Hachi's is larger, in
                 per cent, with the standard error of the paired differences
  ERROR          by how much Hachi's sum of squared errors of weights is larger, in per cent: of the
                 tensors that differ, each weight's by the mean square of its input if --inputs has
                 them, each tensor's relative to its weights
  BYTES SAME     the share of the quantized tensors' bytes that are equal in both files

The standard errors are of the text alone. How the roundings of a file happen to fall moves its
perplexity too, by more than that in a small model: with several models (make_quantizer_source.py,
a seed each) the lines after all others have the means over them, with the standard error that
their spread leaves.

Each model's log probabilities are kept while it is at work: 4 GB for 20,000 tokens of a vocabulary
of 49,152. Needs the PyPI packages llama-cpp-python, gguf and numpy.
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
THREADS = 1  # more wait for each other where the machine has other work to do
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
    """For each window, [tokens, vocabulary] natural logarithms after each token but its last."""
    llama = llama_cpp.Llama(path, n_ctx=WINDOW, n_batch=WINDOW, logits_all=True, verbose=False,
                            n_threads_batch=THREADS)
    for window in windows:
        llama.reset()
        llama.eval(window)
        logits = np.array(llama.scores[:len(window) - 1], np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        yield logits
    llama.close()


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
        self.path = path
        self.windows = text_windows(path, text, max_tokens)
        self.log_p = list(log_probabilities(path, self.windows))

    def losses(self, logs):
        """-log p of each token that comes, of all windows."""
        return np.concatenate([-log[np.arange(len(log)), window[1:]]
                               for log, window in zip(logs, self.windows)]).astype(np.float64)

    def figures(self, path):
        """(losses, divergences) of the model, each an array with a figure a token"""
        losses, divergences = [], []
        for window, log_p, log_q in zip(self.windows, self.log_p,
                                        log_probabilities(path, self.windows)):
            losses.append(-log_q[np.arange(len(log_q)), window[1:]])
            log_q -= log_p
            divergences.append(-np.einsum("ij,ij->i", np.exp(log_p), log_q))
        return (np.concatenate(losses).astype(np.float64),
                np.concatenate(divergences).astype(np.float64))


def mean_and_error(values):
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def same_bytes(ours, theirs):
    """(share of the bytes of matrices that are equal, names of tensors of another type)"""
    other = [n for n in theirs if n not in ours or
             ours[n].tensor_type != theirs[n].tensor_type]
    equal = total = 0
    for name, tensor in theirs.items():
        if name in other or len(tensor.shape) < 2:
            continue
        mine, yours = ours[name].data.view(np.uint8), tensor.data.view(np.uint8)
        equal += int((mine == yours).sum())
        total += yours.size
    return (equal / total if total else 1.0), other


def decoded(tensor):
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def error_of_weights(model, ours, theirs, inputs):
    """Hachi's error over llama.cpp's, where they differ."""
    sums = np.zeros(2)
    for name, tensor in theirs.items():
        if len(tensor.shape) < 2 or np.array_equal(tensor.data, ours[name].data):
            continue
        weights, costs = decoded(model[name]), inputs.get(name, np.float32(1))
        size = (weights * weights * costs).sum(dtype=np.float64)
        for i, files in enumerate((ours, theirs)):
            error = decoded(files[name]) - weights
            sums[i] += (error * error * costs).sum(dtype=np.float64) / size
    return float(sums[0] / sums[1]) if sums[1] else 1.0


def tensors_of(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def compare(arguments, kind, source, folder):
    ours, theirs = os.path.join(folder, "ours.gguf"), os.path.join(folder, "theirs.gguf")
    started = time.monotonic()
    hachi_quantize(arguments.hachi, source.path, ours, kind, arguments.imatrix)
    our_seconds = time.monotonic() - started
    started = time.monotonic()
    llama_quantize(source.path, theirs, FILE_TYPES[kind], arguments.importance)
    their_seconds = time.monotonic() - started
    our_tensors, their_tensors = tensors_of(ours), tensors_of(theirs)
    share, other = same_bytes(our_tensors, their_tensors)
    error = error_of_weights(tensors_of(source.path), our_tensors, their_tensors,
                             arguments.input_squares)
    losses, divergences = source.figures(theirs)
    identical = share == 1 and not other
    our_losses, our_divergences = (losses, divergences) if identical else source.figures(ours)
    ratio, ratio_error = mean_and_error(our_losses - losses)
    divergence = float(divergences.mean())
    change, change_error = mean_and_error(our_divergences / divergence - divergences / divergence)
    return {"model": source.path, "type": kind, "tokens": len(losses),
            "bytes": os.path.getsize(ours), "llama_bytes": os.path.getsize(theirs),
            "perplexity": math.exp(our_losses.mean()), "llama_perplexity": math.exp(losses.mean()),
            "ratio": math.expm1(ratio), "ratio_error": math.exp(ratio) * ratio_error,
            "llama_kl_divergence": divergence, "kl_change": change,
            "kl_change_error": change_error, "error_change": error - 1, "same_bytes": share,
            "tensors_of_another_type": other, "seconds": our_seconds,
            "llama_seconds": their_seconds}


def summary(rows):
    """The means over the rows of a type, and the standard errors that their spread leaves."""
    mean = dict(rows[0], model="mean")
    for key in ("llama_perplexity", "ratio", "llama_kl_divergence", "kl_change", "error_change",
                "same_bytes", "seconds", "llama_seconds"):
        values = np.array([row[key] for row in rows])
        mean[key], error = mean_and_error(values)
        if f"{key}_error" in mean:
            mean[f"{key}_error"] = error
    return mean


def print_row(row):
    other = row["tensors_of_another_type"]
    print(f"{row['type']:8} {row['bytes'] / 1e6:9.1f} {row['llama_perplexity']:10.4f} "
          f"{100 * row['ratio']:+8.2f} +- {100 * row['ratio_error']:4.2f} "
          f"{row['llama_kl_divergence']:10.5f} {100 * row['kl_change']:+7.2f} +- "
          f"{100 * row['kl_change_error']:4.2f} {100 * row['error_change']:+7.2f} "
          f"{100 * row['same_bytes']:7.2f} {row['seconds']:7.1f} {row['llama_seconds']:9.1f}" +
          (f"  types differ: {other}" if other else ""), flush=True)


def print_head(title):
    print(f"{title}\n{'TYPE':8} {'MEGABYTES':>9} {'PERPLEXITY':>10} {'RATIO, %':>16} "
          f"{'KL DIV.':>10} {'ITS CHANGE, %':>15} {'ERROR, %':>7} {'SAME, %':>7} {'HACHI, s':>7} "
          f"{'LLAMA, s':>9}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hachi")
    parser.add_argument("text")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--types", default=",".join(FILE_TYPES))
    parser.add_argument("--imatrix", help="importance that both quantizers get")
    parser.add_argument("--inputs", help="importance that errors are measured by alone")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    llama_cpp.llama_log_set(drop_log, ctypes.c_void_p(0))
    text = pathlib.Path(arguments.text).read_bytes()[:16 * arguments.tokens]
    text = text.decode(errors="ignore").encode()
    arguments.importance = read_importance(arguments.imatrix) if arguments.imatrix else {}
    arguments.input_squares = read_importance(arguments.inputs) if arguments.inputs else {}
    kinds = [kind for kind in arguments.types.split(",")
             if arguments.imatrix or kind not in NEEDS_IMPORTANCE]
    rows = {kind: [] for kind in kinds}
    for path in arguments.models:
        source = Source(path, text, arguments.tokens)
        losses = source.losses(source.log_p)
        print_head(f"{path}: perplexity {math.exp(losses.mean()):.4f} over {len(losses)} tokens")
        with tempfile.TemporaryDirectory() as folder:
            for kind in kinds:
                rows[kind].append(compare(arguments, kind, source, folder))
                print_row(rows[kind][-1])
    if len(arguments.models) > 1:
        print_head(f"mean of {len(arguments.models)} models, +- the standard error over them")
        for kind in kinds:
            print_row(summary(rows[kind]))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(
            json.dumps([row for kind in kinds for row in rows[kind]], indent=1) + "\n")


main()
