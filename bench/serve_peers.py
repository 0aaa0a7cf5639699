#!/usr/bin/env python3
"""Loads Hachi's server and its peers on the same GGUF file with the same requests, in turn.

    bench/serve_peers.py MODEL.gguf [--engines hachi,llama-server,llama-cpp-python] [--users 1,4,16]
                         [--rounds 5] [--threads 2] [--json OUT.json]
    bench/serve_peers.py MODEL.gguf --prefix [--engines hachi,llama-server]

The peers are llama.cpp's server (--llama-server names the program) and that of the PyPI package
llama-cpp-python (--llama-python names the interpreter that has it with its "server" extra), which
answers one request at a time. All run through all rounds; a round offers each load to one after the
other with `hachi bench serve`. The order turns with each round, and prompts with its seed, so that
no cache knows them; a load that does not count comes first. All have the same number of threads, an
f16 cache, the same context for each user, and write --max-tokens at temperature 0.

A ratio is the median of the rounds' ratios, so that a slow phase of the machine hits both sides of
it. "others" is the processor time that processes beside the server and the load generator took
meanwhile, in processors; "CPU ms" is the server's own processor time for each token of the answers,
which other processes disturb least. With --max-others each load waits up to a minute for a quiet
moment, and one that was disturbed more than that is offered again, twice at most; the quietest
counts. With --prefix the prompts share their first 480 of 512 tokens, which one request before each load makes
known, and each server runs with its prefix cache and without.
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from busy_processors import TICKS, busy_ticks, process_ticks, wait_until_quiet

HERE = pathlib.Path(__file__).resolve().parent
START_SECONDS = 120
TRIES = 3
CACHED = {"hachi": ["--no-prefix-cache"], "llama-server": ["--no-cache-prompt"]}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def command(engine, port, users, arguments):
    name = engine.removesuffix("-uncached")
    extra = CACHED[name] if name != engine else []
    context = arguments.prompt_tokens + arguments.max_tokens + 128
    threads = str(arguments.threads)
    if name == "hachi":
        return [arguments.hachi, "serve", f"model={arguments.model}", "--port", str(port),
                "--threads", threads, "--context", str(context), "--max-batch", str(users),
                "--access-log", "off", *extra, *arguments.hachi_options.split()]
    if name == "llama-server":
        return [arguments.llama_server, "--model", arguments.model, "--port", str(port),
                "--threads", threads, "--threads-batch", threads, "--parallel", str(users),
                "--ctx-size", str(context * users), "--no-webui", "--log-disable", *extra,
                *arguments.llama_options.split()]
    return [arguments.llama_python, "-m", "llama_cpp.server", "--model", arguments.model,
            "--port", str(port), "--n_threads", threads, "--n_threads_batch", threads,
            "--n_ctx", str(context), "--interrupt_requests", "false", "--verbose", "false"]


class Server:
    def __init__(self, engine, users, arguments):
        self.engine = engine
        self.url = f"http://127.0.0.1:{(port := free_port())}/v1"
        self.log = open(pathlib.Path(arguments.logs) / f"{engine}.log", "ab")
        self.process = subprocess.Popen(command(engine, port, users, arguments),
                                        stdout=self.log, stderr=self.log)
        self.wait()

    def wait(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.engine} ended with {self.process.returncode}: "
                                 f"see {self.log.name}")
            try:
                with urllib.request.urlopen(f"{self.url}/models", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{self.engine} does not answer: see {self.log.name}")

    def close(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def offer(server, users, seed, arguments):
    """One load; its figures as `hachi bench serve` tells them, and "others"."""
    requests = max(arguments.requests, arguments.requests_per_user * users)
    load = [arguments.hachi, "bench", "serve", "--url", server.url, "--endpoint", "completions",
            "--concurrency", str(users), "--requests", str(requests), "--seed", str(seed),
            "--prompt-tokens", str(arguments.prompt_tokens),
            "--shared-prefix", str(arguments.shared_prefix),
            "--max-tokens", str(arguments.max_tokens), "--ignore-eos", "--quiet", "--json", "-",
            "--warmup", "1" if arguments.shared_prefix > 0 else "0"]
    if server.engine == "llama-cpp-python" and arguments.eos:
        bias = {token: -100 for token in arguments.eos.split(",")}
        load += ["--extra-body", json.dumps({"logit_bias": bias})]
    busy, own, since = busy_ticks(), process_ticks(server.process.pid), time.monotonic()
    done = subprocess.run(load, stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the load on {server.engine} ended with {done.returncode}")
    level = json.loads(done.stdout)["levels"][0]
    seconds = time.monotonic() - since
    own = process_ticks(server.process.pid) - own
    others = (busy_ticks() - busy - own) / TICKS - level["client_cpu_seconds"]
    tokens = max(1, level["total_output_tokens"])
    return {**level, "others": max(0, others) / seconds,
            "server_cpu_ms_per_token": 1000 * own / TICKS / tokens}


def offer_in_quiet(server, users, seed, arguments):
    levels = []
    while len(levels) < TRIES and (not levels or levels[-1]["others"] > arguments.max_others):
        wait_until_quiet(arguments.max_others)
        levels.append(offer(server, users, seed + 100 * len(levels), arguments))
    return min(levels, key=lambda level: level["others"])


def run_round(number, servers, results, arguments):
    turn = number % len(servers)
    for users in arguments.users:
        for server in servers[turn:] + servers[:turn]:
            level = offer_in_quiet(server, users, 1000 * (number + 1) + users, arguments)
            print(f"round {number + 1}: {server.engine}, {users} users: "
                  f"{level['output_throughput']:.1f} tokens/s, "
                  f"TTFT {level['median_ttft_ms']:.0f} ms, {level['failed']} failed, "
                  f"{level['total_output_tokens']} tokens, others {level['others']:.2f}",
                  file=sys.stderr, flush=True)
            results.setdefault((server.engine, users), []).append(level)


def median(levels, key):
    return statistics.median(level[key] for level in levels)


def ratio(ours, theirs, key):
    """The median and the range of the rounds' ratios."""
    ratios = [a[key] / b[key] for a, b in zip(ours, theirs) if b[key] > 0]
    return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else (0, 0, 0)


def print_table(engines, results, arguments):
    print(f"{'users':>5}  {'engine':<20}{'tokens/s':>9}{'low - high':>16}{'TTFT ms':>9}{'p95':>9}"
          f"{'TPOT ms':>9}{'ITL p99':>9}{'CPU ms':>8}{'others':>8}  {engines[0]} over it")
    for users in arguments.users:
        ours = results[(engines[0], users)]
        for engine in engines:
            levels = results[(engine, users)]
            rates = [level["output_throughput"] for level in levels]
            spread = f"{min(rates):.1f} - {max(rates):.1f}"
            line = (f"{users:>5}  {engine:<20}{statistics.median(rates):>9.1f}{spread:>16}"
                    f"{median(levels, 'median_ttft_ms'):>9.0f}{median(levels, 'p95_ttft_ms'):>9.0f}"
                    f"{median(levels, 'median_tpot_ms'):>9.1f}{median(levels, 'p99_itl_ms'):>9.1f}"
                    f"{median(levels, 'server_cpu_ms_per_token'):>8.2f}"
                    f"{median(levels, 'others'):>8.2f}")
            if engine != engines[0]:
                middle, low, high = ratio(ours, levels, "output_throughput")
                first, _, _ = ratio(levels, ours, "median_ttft_ms")
                work, _, _ = ratio(levels, ours, "server_cpu_ms_per_token")
                line += (f"  {middle:.2f} ({low:.2f} - {high:.2f}), TTFT {first:.2f}, "
                         f"CPU {work:.2f}")
            print(line)
    if len(arguments.users) > 1:
        few, many = min(arguments.users), max(arguments.users)
        for engine in engines:
            middle, low, high = ratio(results[(engine, many)], results[(engine, few)],
                                      "output_throughput")
            print(f"{engine}: {many} users over {few}: {middle:.2f} ({low:.2f} - {high:.2f})")


def numbers(text):
    return [int(number) for number in text.split(",") if number]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL.gguf")
    parser.add_argument("--engines", default="hachi,llama-server,llama-cpp-python")
    parser.add_argument("--users", type=numbers, default=[1, 4, 16], metavar="N,...")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--shared-prefix", type=int, default=0)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--requests", type=int, default=2, help="of a load at least")
    parser.add_argument("--requests-per-user", type=int, default=1)
    parser.add_argument("--max-others", type=float, default=float("inf"), metavar="PROCESSORS")
    parser.add_argument("--prefix", action="store_true",
                        help="16 users, 512 tokens of which 480 are shared, cached and not")
    parser.add_argument("--eos", default="", metavar="ID,...",
                        help="end tokens, which llama-cpp-python needs to be told to avoid")
    parser.add_argument("--json", metavar="OUT.json", help="write all figures there too")
    parser.add_argument("--logs", default="/tmp", metavar="FOLDER", help="for what servers print")
    parser.add_argument("--hachi", default=str(HERE.parent / "build/release/hachi"))
    parser.add_argument("--hachi-options", default="", help="more, for hachi serve")
    parser.add_argument("--llama-server", default="llama-server", metavar="PROGRAM")
    parser.add_argument("--llama-options", default="", help="more, for llama-server")
    parser.add_argument("--llama-python", default=sys.executable, metavar="PYTHON")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    engines = arguments.engines.split(",")
    if arguments.prefix:
        arguments.prompt_tokens, arguments.shared_prefix = 512, 480
        arguments.users = [16]
        engines = [variant for engine in engines if engine in CACHED
                   for variant in (engine, f"{engine}-uncached")]
    results = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    servers = []
    try:
        for engine in engines:
            servers.append(Server(engine, max(arguments.users), arguments))
            offer(servers[-1], 1, 0, arguments)
        for number in range(arguments.rounds):
            run_round(number, servers, results, arguments)
    finally:
        for server in servers:
            server.close()
    if arguments.json:
        report = [{"engine": engine, "users": users, "rounds": levels}
                  for (engine, users), levels in results.items()]
        pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n",
                                                encoding="utf-8")
    print_table(engines, results, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
