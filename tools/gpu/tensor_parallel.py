#!/usr/bin/env python3
"""Checks and measures a model that is divided among GPUs, on a machine with several of them.

    tensor_parallel.py [--only tests|bench|loss] [--ranks 1,2] [--out FOLDER]

Runs in the folder that pack.sh made. First gpu_test's ranks: logits and tokens of two GPUs against
those of one. Then `hachi bench` of synthetic models with each number of ranks, one line each; those
that one GPU is too small for, or need not hold, run with the most ranks alone. Last one of
two ranks is killed: the other must end by itself.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = dict(os.environ)
ENVIRONMENT["HACHI_TEST_DIR"] = str(HERE / "tests")
ENVIRONMENT["LD_LIBRARY_PATH"] = f"{HERE / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"

# With each number of ranks, and with the most alone.
MODELS = [("synthetic:qwen3-8b:bf16", True), ("synthetic:qwen3-32b:bf16", False)]
BATCHES = "1,64"
SOON = 30  # seconds until a server that has lost a rank has ended


def test(out):
    log = out / "ranks.log"
    with log.open("w") as file:
        done = subprocess.run([HERE / "gpu_test", "--gtest_filter=GpuRanks.TwoAreAsOne"], stdout=file,
                              stderr=subprocess.STDOUT, env=ENVIRONMENT, timeout=550, check=False)
    print(log.read_text(errors="replace")[-5000:])
    return done.returncode == 0


def bench(out, model, ranks):
    command = [HERE / "hachi", "bench", model, "--device", "cuda", "-p", "512,4096", "-n", "64", "-d", "512",
               "--batch", BATCHES, "-r", "3", "-q", "--json", "--tensor-parallel", str(ranks)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=580, check=False)
    name = f"{model.replace(':', '-')}-{ranks}"
    (out / f"{name}.json").write_text(done.stdout)
    (out / f"{name}.log").write_text(done.stderr)
    if done.returncode != 0:
        print(f"{model}, {ranks} ranks, ended with {done.returncode}: {done.stderr[-2000:]}")
        return False
    for group in json.loads(done.stdout)["groups"]:
        for row in group["rows"]:
            what = f"{row['do']} {row['tokens']} x {row['sequences']} at {row['depth']}"
            print(f"{model}  ranks {ranks}  {what:28} {row['tokens_per_second']:10.1f} tokens/s", flush=True)
    return True


def children_of(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True,
                            check=False)
    return [int(one) for one in listed.stdout.split()]


def lose_a_rank():
    """Kills rank 1 of a bench that runs; the whole must end with a message and a status."""
    process = subprocess.Popen(
        [HERE / "hachi", "bench", "synthetic:qwen3-0.6b:bf16", "--device", "cuda", "-p", "0", "-n", "4000",
         "-r", "1000", "-q", "--tensor-parallel", "2"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, env=ENVIRONMENT)
    time.sleep(SOON)
    for child in children_of(process.pid):
        os.kill(child, signal.SIGKILL)
    started = time.monotonic()
    try:
        process.wait(SOON)
    except subprocess.TimeoutExpired:
        process.kill()
        print(f"a rank was killed, and after {SOON} s the other still ran")
        return False
    print(f"ended {time.monotonic() - started:.1f} s after a rank was killed, with {process.returncode}: "
          f"{process.stderr.read().strip()}")
    return process.returncode == 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["tests", "bench", "loss"])
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    ranks = [int(number) for number in options.ranks.split(",")]
    good = True
    if options.only in (None, "tests"):
        good &= test(options.out)
    if options.only in (None, "bench"):
        for model, with_each in MODELS:
            for number in ranks if with_each else [max(ranks)]:
                good &= bench(options.out, model, number)
    if options.only in (None, "loss"):
        good &= lose_a_rank()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
