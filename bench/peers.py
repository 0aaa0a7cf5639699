#!/usr/bin/env python3
"""Times Hachi beside llama.cpp and ik_llama.cpp on the same GGUF file, in turn.

    bench/peers.py MODEL.gguf ... [--threads 1,2] [--prefill 128,512] [--decode 32] [--depth 0,4096]
                   [--engines hachi,llama.cpp,ik] [--rounds 5] [--json OUT.json]

The peers are the PyPI packages llama-cpp-python and ik-llama-cpp-python; --llama-python and
--ik-python name the interpreters that have them. ik-repack is ik with its weights repacked at load,
hachi:PATH another build of bench_peer_worker under the name of its path.

All engines do the same work (peer_worker.py says which): chunks of 512 tokens, an f16 cache, logits
of the last token only, attention and threads by each one's own defaults. Each has a process of its
own, which lives through all rounds, or with --fresh through one measurement only (for models that
do not fit into memory three times). A round runs them one after another, and the order turns with
each round; the first round is not counted. A ratio is the median of the rounds' ratios, so a slow
phase of the machine hits both sides of it. "others" is the processor time that all other processes
took meanwhile, in processors. With --max-others each measurement waits up to a minute for a quiet
moment; one that was disturbed more than that is taken again, twice at most, and the quietest counts.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys

from busy_processors import TICKS, busy_ticks, process_ticks, wait_until_quiet

HERE = pathlib.Path(__file__).resolve().parent
TRIES = 3


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclasses.dataclass
class Sample:
    seconds: float
    others: float  # processors that other processes kept busy meanwhile


class Worker:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **environment})
        self.hello = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, task):
        pid = self.process.pid
        busy, own = busy_ticks(), process_ticks(pid)
        print(json.dumps(task), file=self.process.stdin, flush=True)
        seconds = self.read()["seconds"]
        busy, own = busy_ticks() - busy, process_ticks(pid) - own
        return Sample(seconds, max(0, busy - own) / TICKS / seconds)

    def close(self):
        peak = peak_bytes(self.process.pid)
        self.process.stdin.close()
        self.process.wait()
        return peak


def command(engine, model, threads, context, arguments):
    limits = [model, "--threads", str(threads), "--context", str(context)]
    if engine.startswith("hachi"):
        return [engine.partition(":")[2] or arguments.hachi, *limits]
    python = arguments.llama_python if engine == "llama.cpp" else arguments.ik_python
    return [python, str(HERE / "peer_worker.py"), engine, *limits]


class Field:
    """The engines on one model with one number of threads."""

    def __init__(self, model, threads, context, arguments):
        self.start = lambda engine: Worker(command(engine, model, threads, context, arguments),
                                           {"IK_LLAMA_CPP_LIB_PATH": arguments.ik_library}
                                           if arguments.ik_library else {})
        self.fresh = arguments.fresh
        self.max_others = arguments.max_others
        self.workers = {}
        self.hellos = {}
        self.peaks = {}

    def measure(self, engine, task):
        worker = self.workers.pop(engine, None) or self.start(engine)
        self.hellos.setdefault(engine, worker.hello)
        if self.fresh:
            worker.ask({**task, "seed": 0})  # warms it up
        samples = []
        while len(samples) < TRIES and (not samples or samples[-1].others > self.max_others):
            wait_until_quiet(self.max_others)
            samples.append(worker.ask(task))
        sample = min(samples, key=lambda taken: taken.others)
        if self.fresh:
            self.peaks[engine] = worker.close()
        else:
            self.workers[engine] = worker
        return sample

    def close(self):
        for engine, worker in self.workers.items():
            self.peaks[engine] = worker.close()
        self.workers = {}


def run_task(field, engines, task, rounds):
    """{engine: [Sample of each round]}"""
    samples = {engine: [] for engine in engines}
    for number in range(rounds + 1 - field.fresh):
        turn = number % len(engines)
        for engine in engines[turn:] + engines[:turn]:
            sample = field.measure(engine, {**task, "seed": number + 1})
            if number > 0 or field.fresh:
                samples[engine].append(sample)
    return samples


def summarize(task, samples, against):
    rows = []
    for engine, taken in samples.items():
        rates = [task["tokens"] / sample.seconds for sample in taken]
        row = {
            "engine": engine, **task,
            "tokens_per_second": statistics.median(rates),
            "low": min(rates), "high": max(rates), "rates": rates,
            "others": statistics.median(sample.others for sample in taken),
        }
        for peer in against:
            if peer in samples and peer != engine:
                ratios = [theirs.seconds / ours.seconds
                          for ours, theirs in zip(taken, samples[peer])]
                row[f"over_{peer}"] = statistics.median(ratios)
                row[f"over_{peer}_range"] = [min(ratios), max(ratios)]
        rows.append(row)
    return rows


def print_rows(rows, against):
    for row in rows:
        what = f"{row['do']} {row['tokens']}" + (f" at {row['depth']}" if "depth" in row else "")
        ratios = "".join(
            "{:>9.2f}{:>14}".format(row[f"over_{peer}"], "{:.2f}-{:.2f}".format(
                *row[f"over_{peer}_range"]))
            if f"over_{peer}" in row else f"{'':23}" for peer in against)
        print(f"{what:<18}{row['engine'][-24:]:<25}{row['tokens_per_second']:>9.2f}"
              f"{row['low']:>9.2f}{row['high']:>9.2f}{ratios}{row['others']:>8.2f}", flush=True)


def print_head(model, threads, against):
    print(f"\n{pathlib.Path(model).name}, {threads} thread{'s' if threads > 1 else ''}")
    ratios = "".join(f"{'/ ' + peer:>9}{'range':>14}" for peer in against)
    print(f"{'':<18}{'engine':<25}{'tokens/s':>9}{'low':>9}{'high':>9}{ratios}{'others':>8}",
          flush=True)


def numbers(text):
    return [int(number) for number in text.split(",") if number]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--engines", default="hachi,llama.cpp,ik")
    parser.add_argument("--threads", type=numbers, default=[os.cpu_count()])
    parser.add_argument("--prefill", type=numbers, default=[128, 512], metavar="TOKENS,...")
    parser.add_argument("--decode", type=numbers, default=[32], metavar="TOKENS,...")
    parser.add_argument("--depth", type=numbers, default=[0], metavar="TOKENS,...",
                        help="tokens that stand before those decoded")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fresh", action="store_true", help="a new process for each measurement")
    parser.add_argument("--max-others", type=float, default=float("inf"), metavar="PROCESSORS")
    parser.add_argument("--json", metavar="OUT.json", help="write all figures there too")
    parser.add_argument("--hachi", default=str(HERE.parent / "build/release/bench/bench_peer_worker"))
    parser.add_argument("--llama-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--ik-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--ik-library", metavar="LIBLLAMA.so", help="another build of ik's library")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    engines = arguments.engines.split(",")
    against = [engine for engine in engines if not engine.startswith("hachi")]
    tasks = [{"do": "prefill", "tokens": tokens} for tokens in arguments.prefill]
    tasks += [{"do": "decode", "tokens": tokens, "depth": depth}
              for depth in arguments.depth for tokens in arguments.decode]
    context = max([*arguments.prefill, *[task["tokens"] + task.get("depth", 0) for task in tasks]])
    context = (context + 256) // 256 * 256
    report = []
    for model in arguments.models:
        for threads in arguments.threads:
            print_head(model, threads, against)
            field = Field(model, threads, context, arguments)
            for task in tasks:
                rows = summarize(task, run_task(field, engines, task, arguments.rounds), against)
                print_rows(rows, against)
                report += [{"model": pathlib.Path(model).name, "threads": threads, **row}
                           for row in rows]
            field.close()
            for engine in engines:
                print(f"{engine}: loaded in {field.hellos[engine]['load_seconds']:.2f} s, "
                      f"at most {field.peaks[engine] / 1e9:.2f} GB; "
                      f"{field.hellos[engine]['info']}")
            if arguments.json:
                pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n",
                                                        encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
