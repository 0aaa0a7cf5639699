#!/usr/bin/env python3
"""Checks and measures the GPU backend on a machine that has CUDA and Python, and none of our libraries.

    measure.py [--only tests|bench] [--filter GTEST_FILTER] [--sanitize memcheck] [--out FOLDER]
               [--shape qwen3-8b] [--types bf16,f8_e4m3,q4_0]

Runs in the folder that pack.sh made: the tests (with --sanitize below that tool of
compute-sanitizer), then `hachi bench` for each type of weights, and prints one table. What each run
printed is kept in --out. If this Python has torch, Transformers and safetensors, the tests get
models of real widths with their logits too.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = dict(os.environ)
ENVIRONMENT["HACHI_TEST_DIR"] = str(HERE / "tests")
ENVIRONMENT["LD_LIBRARY_PATH"] = f"{HERE / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"


def run(out, name, *command, timeout=500):
    """Runs one program of the folder; its output goes to a file, its end to the screen if it failed."""
    log = out / f"{name}.log"
    with log.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=ENVIRONMENT, cwd=HERE,
                              timeout=timeout, check=False)
    text = log.read_text(errors="replace")
    if done.returncode != 0:
        print(f"{name} ended with {done.returncode}:\n{text[-3000:]}")
    return done.returncode, text


def make_wide_goldens(out):
    """Two models of some 100 million weights, and what Transformers says of them."""
    missing = [name for name in ("torch", "transformers", "safetensors") if not importlib.util.find_spec(name)]
    if missing:
        return print(f"no models of real widths: this Python has no {', '.join(missing)}")
    folder = out / "wide"
    code, _ = run(out, "wide", sys.executable, "tests/golden/make_model_goldens.py", "--wide", str(folder))
    if code == 0:
        ENVIRONMENT["HACHI_WIDE_GOLDENS"] = str(folder)


def bench(out, shape, kind, arguments):
    model = f"synthetic:{shape}:{kind}"
    code, text = run(out, f"bench-{kind}-{arguments[0]}", "./hachi", "bench", model, "--device", "cuda", "--json",
                     "--quiet", *arguments[1:])
    if code != 0:
        return None
    return json.loads(text[text.index("{"):])


def print_report(kind, report):
    group = report["groups"][0]
    limits = group["limits"]
    print(f"{kind}: {report['bytes_per_token'] / 1e9:.2f} GB a token, ready in {report['load_seconds']:.1f} s; "
          f"read {limits.get('read', 0) / 1e9:.0f} GB/s, bf16 {limits.get('bf16', 0) / 1e12:.0f} TFLOP/s, "
          f"fp8 {limits.get('fp8', 0) / 1e12:.0f} TFLOP/s")
    for row in group["rows"]:
        print(f"  {row['do']:8} {row['tokens']:6} x {row['sequences']:<3} at {row['depth']:6}: "
              f"{row['tokens_per_second']:10.1f} tokens/s ({row['low']:.1f} - {row['high']:.1f}), "
              f"{100 * row['share_of_read']:3.0f} % of read, {100 * row['share_of_arithmetic']:3.0f} % of peak")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["tests", "bench"], default="")
    parser.add_argument("--sanitize", choices=["memcheck", "racecheck", "initcheck", "synccheck"])
    parser.add_argument("--shape", default="qwen3-8b")
    parser.add_argument("--types", default="bf16,f8_e4m3,q4_0")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out")
    parser.add_argument("--filter", default="*", help="of the tests")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    failed = False
    if options.only != "bench":
        if not options.sanitize:
            make_wide_goldens(options.out)
        tool = ["compute-sanitizer", "--tool", options.sanitize, "--error-exitcode", "1"]
        code, text = run(options.out, "tests", *(tool if options.sanitize else []), "./gpu_test",
                         f"--gtest_filter={options.filter}")
        failed = code != 0
        lines = text.splitlines()
        print("\n".join(line for line in lines if line.startswith("  ") or "FAILED" in line))
        print("\n".join(lines[-3:]))
    if options.only != "tests":
        for kind in options.types.split(","):
            report = bench(options.out, options.shape, kind,
                           ["main", "-p", "4096", "-n", "64", "-d", "0,512", "--batch", "1,64", "-r", "5"])
            failed = failed or report is None
            if report:
                print_report(kind, report)
    sys.exit(failed)


if __name__ == "__main__":
    main()
