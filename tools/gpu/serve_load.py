#!/usr/bin/env python3
"""Measures `hachi serve` under load on a machine that has CUDA and Python, and none of our libraries.

    serve_load.py [--types bf16,f8_e4m3,q4_0] [--users 1,8,32,64,128,256] [--shapes 512/256,2048/256]
    serve_load.py --shared-prefix 2000 --users 64      with the prefix cache and without
    serve_load.py --speculate 8 [--model PATH] [--draft MODEL]     one user, guessing ahead and not

Runs in the folder that pack.sh made, with a tokenizer.json in it for the synthetic models, which
have none. A server is started for each type of weights, and `hachi bench serve` offers it each
shape (tokens of a prompt / of an answer) with each number of users, each time with prompts that no
cache has seen. What the servers print, the figures of each load and a summary of all (summary.json)
lie in --out.

Synthetic models write noise, of which many tokens are no whole character and so no text: --draw word,
the default for them, adds a bias that makes each token the same word, so that the time to the first
text and between texts is that of tokens. --draw greedy and random leave the noise as it is.

"tokens/s" is over a whole load, its beginning and its end included; "full" is over those half
seconds only in which nine tenths of the users were served, which is what more requests would come
to. "idle" is the share that the GPU waited in, of the time in which there were steps; "CPU" the
processors that the server used; "again" the requests that gave their pages up and began again.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = dict(os.environ)
ENVIRONMENT["LD_LIBRARY_PATH"] = f"{HERE / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
START_SECONDS = 300
STOP_SECONDS = 60
SAMPLE_SECONDS = 0.5
HEADER = (f"{'weights':<14}{'what':<16}{'users':>6}{'asked':>7}{'tokens/s':>10}{'full':>9}"
          f"{'TTFT p50':>10}{'p95':>8}{'TPOT p50':>10}{'p95':>8}{'cached':>9}{'again':>7}{'CPU':>6}"
          f"{'idle':>7}{'guessed':>9}{'right':>7}")


class Server:
    """A `hachi serve` on a free port; its log lies in --out."""

    def __init__(self, name, model, more, options):
        self.log = options.out / f"{name}.log"
        tokenizer = ["--tokenizer", options.tokenizer] if options.tokenizer else []
        command = [options.hachi, "serve", f"m={model}", "--port", str(options.port), "--access-log", "off",
                   "--context", str(options.context), "--kv-type", options.kv_type,
                   "--data", str(options.out / "data"), *tokenizer, *more]
        for text in options.serve_option:
            command += shlex.split(text)
        with self.log.open("w") as file:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file,
                                            stderr=subprocess.STDOUT, env=ENVIRONMENT)
        try:
            self.wait()
        except BaseException:
            self.process.kill()
            raise

    def wait(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            text = self.log.read_text(errors="replace")
            if self.process.poll() is not None:
                raise SystemExit(f"hachi serve ended with {self.process.returncode}:\n{text[-3000:]}")
            if "hachi: m is ready\n" in text:  # /health answers before that: requests may wait for the model
                self.url = re.search(r"listening on (http://\S+)", text).group(1)
                self.get("/health")
                return
            time.sleep(0.1)
        raise SystemExit(f"hachi serve is not ready after {START_SECONDS} s: see {self.log}")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def metrics(self):
        """Values by their names, with _ for :, those of several labels added up."""
        values = {}
        for line in self.get("/metrics").splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                name = name.split("{")[0].replace(":", "_")
                values[name] = values.get(name, 0) + float(value)
        return values

    def token_of(self, text):
        body = json.dumps({"model": "m", "prompt": text, "add_special_tokens": False}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + "/tokenize", body), timeout=10) as answer:
            return json.loads(answer.read())["tokens"][-1]

    def stop(self):
        """Whether it ended as it should."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "a kill, for it did not stop"
        if status != 0:
            print(f"hachi serve ended with {status}: see {self.log}")
        return status == 0


class Sampler(threading.Thread):
    """Looks now and then how many tokens there are and how many requests are served."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.samples = server, threading.Event(), []
        self.start()

    def run(self):
        while not self.over.wait(SAMPLE_SECONDS):
            try:
                values = self.server.metrics()
            except OSError:  # a busy moment
                continue
            self.samples.append((time.monotonic(), values["vllm_generation_tokens_total"],
                                 values["vllm_num_requests_running"]))

    def full_rate(self, users):
        """Tokens/s while nine tenths of the users were served, or of those that can be at once."""
        self.over.set()
        self.join()
        most = min(users, max((running for _, _, running in self.samples), default=0))
        tokens = seconds = 0
        for (start, before, first), (end, after, last) in zip(self.samples, self.samples[1:]):
            if min(first, last) >= max(1, 0.9 * most):
                tokens += after - before
                seconds += end - start
        return tokens / seconds if seconds > 0 else None


def offer(server, name, users, arguments, options):
    """One load: what `hachi bench serve` says of it, with what /metrics counted meanwhile."""
    file = options.out / f"{name}.json"
    file.unlink(missing_ok=True)
    before, sampler = server.metrics(), Sampler(server)
    done = subprocess.run([options.hachi, "bench", "serve", "--url", f"{server.url}/v1", "-c", str(users),
                           "--warmup", "0", "--quiet", "--json", str(file),
                           *map(str, [*arguments, *how_drawn(server, options)])],
                          env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    full = sampler.full_rate(users)
    if not file.exists():
        raise SystemExit(f"{name}: hachi bench serve ended with {done.returncode}:\n{done.stdout[-2000:]}")
    level = json.loads(file.read_text())["levels"][0]
    after = server.metrics()
    counted = {key: value - before.get(key, 0) for key, value in after.items() if key.endswith("_total")}
    if done.returncode != 0:
        print(f"{name}: {level['failed']} failed: {level['failures']}")
    return {**level, "full_rate": full, "counted": counted, "status": done.returncode}


def print_row(weights, what, users, row):
    counted = row["counted"]
    idle = counted.get("hachi_device_waiting_seconds_total")
    busy = counted.get("hachi_device_busy_seconds_total")
    share = f"{100 * idle / (idle + busy):.1f} %" if idle is not None and busy and idle + busy > 0 else "-"
    full = "-" if row["full_rate"] is None else f"{row['full_rate']:.1f}"
    processors = counted["process_cpu_seconds_total"] / row["duration"]
    print(f"{weights[:13]:<14}{what:<16}{users:>6}{row['completed']:>7}{row['output_throughput']:>10.1f}{full:>9}"
          f"{row['median_ttft_ms']:>10.1f}{row['p95_ttft_ms']:>8.0f}"
          f"{row['median_tpot_ms']:>10.2f}{row['p95_tpot_ms']:>8.2f}{row['cached_input_tokens']:>9}"
          f"{counted['vllm_num_preemptions_total']:>7.0f}{processors:>6.2f}{share:>7}"
          f"{counted['vllm_spec_decode_num_draft_tokens_total']:>9.0f}"
          f"{counted['vllm_spec_decode_num_accepted_tokens_total']:>7.0f}", flush=True)


class Report:
    """The rows of the table, which are written as they come, so that a stop loses none."""

    def __init__(self, options):
        self.options, self.rows, self.failed, self.seed = options, [], False, options.seed
        print(HEADER, flush=True)

    def next_seed(self):
        self.seed += 1
        return self.seed

    def add(self, weights, what, users, row):
        self.failed = self.failed or row["status"] != 0
        print_row(weights, what, users, row)
        self.rows.append({"weights": weights, "what": what, "users": users, **row})
        settings = {key: str(value) for key, value in vars(self.options).items()}
        (self.options.out / "summary.json").write_text(
            json.dumps({"settings": settings, "rows": self.rows}, indent=1) + "\n")


def how_drawn(server, options):
    """Arguments for `hachi bench serve`: how tokens are drawn."""
    if options.draw == "greedy":
        return ["--temperature", 0]
    if options.draw == "random":
        return ["--temperature", 1, "--extra-body", json.dumps({"top_p": 1, "min_p": 0, "top_k": 0})]
    bias = {str(server.token_of(" the")): 100}
    return ["--temperature", 0, "--extra-body", json.dumps({"logit_bias": bias})]


def file_name(*parts):
    return re.sub(r"[^\w.]+", "-", "-".join(map(str, parts)))


def size_of(prompt, answer, users, options):
    requests = min(max(4, options.waves * users), max(options.requests, users))
    duration = ["--duration", options.duration] if options.duration > 0 else []
    return ["-n", requests, *duration, "--prompt-tokens", prompt, "--max-tokens", answer, "--ignore-eos",
            "--endpoint", "completions"]


def run_with(server, report, work):
    """work(server); the server is stopped in any case."""
    try:
        work(server)
    finally:
        report.failed = not server.stop() or report.failed


def warm_up(server, prompt, users, report):
    """The first steps of a server choose kernels and capture graphs, which no later one does."""
    load = ["-n", 2 * users, "--prompt-tokens", prompt, "--max-tokens", 8, "--ignore-eos",
            "--endpoint", "completions", "--seed", report.next_seed()]
    offer(server, "warm-up", users, load, report.options)


def offer_all(server, weights, report):
    options = report.options
    warm_up(server, options.shapes[0][0], max(options.users), report)
    for prompt, answer in options.shapes:
        for users in options.users:
            load = [*size_of(prompt, answer, users, options), "--seed", report.next_seed()]
            row = offer(server, file_name(weights, prompt, answer, users), users, load, options)
            report.add(weights, f"{prompt}/{answer}", users, row)


def compare_prefix(weights, model, report):
    """The same prompts, whose first tokens are all the same, with the prefix cache and without."""
    options = report.options
    shared, answer = options.shared_prefix, options.shapes[0][1]
    seed, warm = report.next_seed(), report.next_seed()
    for what, more in (("shared", []), ("not shared", ["--no-prefix-cache"])):
        def work(server, what=what):
            report.seed = warm
            warm_up(server, str(shared + 64), max(options.users), report)
            for users in options.users:
                load = [*size_of(str(shared + 64), answer, users, options), "--shared-prefix", shared,
                        "--seed", seed + 1000 * users]
                row = offer(server, file_name(weights, what, users), users, load, options)
                report.add(weights, what, users, row)
        run_with(Server(file_name("serve", weights, what), model, more, options), report, work)


def code_prompt(seed):
    """A request whose answer is almost all in it: a file, with one name to change."""
    numbers = random.Random(seed)
    words = ["total", "limit", "offset", "width", "depth", "score", "price", "weight", "length", "rate"]
    lines = []
    for i in range(12):
        name, other = numbers.sample(words, 2)
        verb = numbers.choice(["scale", "clip", "shift", "merge", "count"])
        lines += [f"def {verb}_{name}_{i}(values, {other}={numbers.randrange(1, 100)}):",
                  f'    """Takes the {name} of each value beyond {other}."""', "    result = []",
                  "    for value in values:", f"        if value.{name} > {other}:",
                  f"            result.append(value.{name} - {other})", "    return result", "", ""]
    return ("Repeat this file with one change: call the variable `result` `kept` everywhere. Write the "
            "whole file and nothing else.\n\n```python\n" + "\n".join(lines) + "```\n")


def compare_guessing(weights, model, report):
    """One user's answers to code_prompt(), which guessing ahead from the text should make faster."""
    options = report.options
    prompts = options.out / "code-prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": code_prompt(options.seed + i)}) + "\n" for i in range(4)))
    # A synthetic model has no chat template, and what it says goes on until it is told to stop.
    ends = ["--endpoint", "chat"] if options.model else ["--endpoint", "completions", "--ignore-eos"]
    guesses = ["--speculate", str(options.speculate)]
    ways = [("no guesses", []), ("guesses", guesses)]
    if options.draft:
        ways.append(("draft", [*guesses, "--draft", options.draft]))
    for what, more in ways:
        def work(server, what=what):
            warm_up(server, "512", 1, report)
            load = [*ends, "-n", 4, "--prompt-file", prompts, "--max-tokens", options.edit_tokens]
            report.add(weights, what, 1, offer(server, file_name(weights, what, 1), 1, load, options))
        run_with(Server(file_name("serve", weights, what), model, more, options), report, work)


def numbers(text):
    return [int(number) for number in text.split(",")]


def shapes(text):
    return [(prompt, int(answer)) for prompt, answer in (shape.split("/") for shape in text.split(","))]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="instead of the synthetic ones; --types counts no more then")
    parser.add_argument("--shape", default="qwen3-8b", help="of the synthetic models")
    parser.add_argument("--types", default="bf16,f8_e4m3,q4_0", help="of their weights")
    parser.add_argument("--tokenizer", help="default: tokenizer.json beside this script, for synthetic models")
    parser.add_argument("--users", type=numbers, default=[1, 8, 32, 64, 128, 256], metavar="N,...")
    parser.add_argument("--shapes", type=shapes, default=shapes("512/256,2048/256"), metavar="PROMPT/ANSWER,...")
    parser.add_argument("--shared-prefix", type=int, default=0, metavar="N")
    parser.add_argument("--speculate", type=int, default=0, metavar="N", help="tokens guessed ahead")
    parser.add_argument("--draft", help="with --speculate: a smaller model that guesses, too")
    parser.add_argument("--edit-tokens", type=int, default=512, help="of an answer with --speculate")
    parser.add_argument("--waves", type=int, default=4, help="requests of each user, four at least in a load")
    parser.add_argument("--requests", type=int, default=512, help="of a load at most, but one of each user")
    parser.add_argument("--duration", type=float, default=0, metavar="S", help="no new request after this time")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--kv-type", default="bf16")
    parser.add_argument("--serve-option", action="append", default=[], metavar="TEXT",
                        help="more for hachi serve, as --serve-option='--step-tokens 2048'; can be given again")
    parser.add_argument("--draw", choices=["greedy", "random", "word"],
                        help="how tokens are drawn (default: word for synthetic models, or else greedy)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--hachi", default=str(HERE / "hachi"))
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out" / "serve")
    options = parser.parse_args()
    if options.tokenizer is None:
        options.tokenizer = "" if options.model else str(HERE / "tokenizer.json")
    options.draw = options.draw or ("greedy" if options.model or options.speculate > 0 else "word")
    return options


def main():
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    report = Report(options)
    kinds = [pathlib.Path(options.model).name] if options.model else options.types.split(",")
    for kind in kinds:
        model = options.model or f"synthetic:{options.shape}:{kind}"
        if options.shared_prefix > 0:
            compare_prefix(kind, model, report)
        elif options.speculate > 0:
            compare_guessing(kind, model, report)
        else:
            run_with(Server(file_name("serve", kind), model, [], options), report,
                     lambda server, kind=kind: offer_all(server, kind, report))
    sys.exit(report.failed)


if __name__ == "__main__":
    main()
