#!/usr/bin/env python3
"""Holds `hachi serve` to its word under random load: minutes or days of requests of all kinds, of clients
that go away, read slowly or send rubbish, of pauses and crowds; each request has to end as it should.

    soak.py --model smollm2 --minutes 3 --kv-cache 128MB
    soak.py --model synthetic:qwen3-8b:bf16 --device cuda --users 96 --max-batch 64 --minutes 20
    soak.py --command 'hachi serve smollm2 --port 0 --replicas 2' --minutes 20

Whatever is random comes from --seed, but for when things happen. At the end, when nothing is asked
any more, no request may run or wait, all pages of the cache have to be free or only remembered, the
files that the server had open at the start are all that it has open, and its memory and the GPU's must
not have grown since the second quarter of the time. Then it is stopped with answers on their way, which
have to come, and has to exit with 0. Needs Python alone, and Linux. What the server printed is in --out.
"""

import argparse
import asyncio
import collections
import pathlib
import random
import signal
import sys
import time

from soak_client import Closed, Complaint, Wire, ask, read_metrics, request_bytes
from soak_faults import Faults
from soak_requests import Maker, Result, WORDS
from soak_server import Server, Series

HERE = pathlib.Path(__file__).resolve().parent
MAX_SHOWN = 20
MANNERS = {"read": 70, "slow": 6, "cancel_head": 3, "cancel_wait": 7, "cancel_stream": 7, "half_close": 2, "stall": 1}


class Env:
    """What the requests have to know of the server."""

    model, context, tokens_per_word, chat, forms, same = "", 0, 1.0, True, True, True

    def __init__(self, options):
        self.answer_tokens, self.known_answers = options.answer_tokens, {}

    async def look(self, server, options):
        card = (await ask(server.port, "GET", "/v1/models")).json()["data"][0]
        self.model, self.context = card["id"], card["max_model_len"]
        words = " ".join(WORDS * 5)
        counted = await ask(server.port, "POST", "/tokenize", {"model": self.model, "prompt": words})
        self.tokens_per_word = counted.json()["count"] / len(words.split())
        question = {"model": self.model, "max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}
        self.chat = (await ask(server.port, "POST", "/v1/chat/completions", question)).status == 200
        # A tokenizer.json alone may not tell which token ends an answer, without which there are no forms.
        form = {"model": self.model, "prompt": "a", "max_tokens": 9, "structured_outputs": {"choice": ["a"]}}
        self.forms = (await ask(server.port, "POST", "/v1/completions", form)).status == 200
        print(f"context {self.context}, {self.tokens_per_word:.2f} tokens a word, chat {self.chat}, forms {self.forms}")
        # On a GPU the last bits depend on what else is in a step.
        self.same = options.same == "yes" or (options.same == "auto" and "on the processor" in server.text())
        if self.context < 1024:
            raise SystemExit(f"a context of {self.context} is too short for these requests: 1024 are needed")


class Soak:
    def __init__(self, options, server):
        self.options, self.server, self.env = options, server, Env(options)
        self.patience = options.patience
        self.books, self.failures = collections.Counter(), []
        self.end = 0

    def note(self, what):
        self.books[what] += 1

    def fail(self, what):
        self.failures.append(what)
        if len(self.failures) <= MAX_SHOWN:
            print(f"FAILED: {what}", flush=True)

    def check(self, asked, answer):
        """Whether an answer is one that the request may get."""
        self.note(f"{asked.kind}: {answer.status}")
        if answer.status not in asked.statuses:
            raise Complaint(f"status {answer.status}, not {asked.statuses}: {answer.body[:300]} to {asked.body[:300]}")
        if answer.status == 429:
            if "retry-after" not in answer.headers:
                raise Complaint("429 without Retry-After")
        elif answer.status != 200:
            error = answer.json()["error"]
            if not error["message"] or asked.code not in (None, error["code"]):
                raise Complaint(f"an error that says {error}")
        elif asked.check:
            asked.check(answer if asked.takes_answer else Result(answer, asked.stream))

    async def one(self, asked, user, wire=None, manner="read", rng=None):
        """Asks, and keeps the books; the connection if it can be used again."""
        narrow = manner in ("slow", "stall")
        keep = None
        try:
            if wire is None or not wire.is_open or narrow:
                if wire:
                    await wire.close()
                wire = await asyncio.wait_for(Wire.open(self.server.port, user, narrow), self.patience)
            if manner == "read":
                await asyncio.wait_for(self.ask_and_read(wire, asked), self.patience)
                keep = wire if wire.is_open else None
            else:
                self.note(f"client: {manner}")
                await asyncio.wait_for(getattr(self, manner)(wire, asked, rng), self.patience)
        except asyncio.TimeoutError:
            self.fail(f"{asked.kind}, {manner}: no end within {self.patience} s: {asked.body[:300]}")
        except Closed as error:
            if manner != "half_close":
                self.fail(f"{asked.kind}, {manner}: {error}")
        except Complaint as error:
            self.fail(f"{asked.kind}, {manner}: {error}")
        except OSError as error:
            self.fail(f"{asked.kind}, {manner}: no connection: {error}")
        except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            self.fail(f"{asked.kind}, {manner}: an answer of another shape: {error!r}")
        finally:
            if wire and keep is None:
                await wire.close()
        return keep

    async def ask_and_read(self, wire, asked, pause=None):
        await wire.send(request_bytes(asked.method, asked.path, asked.body))
        self.check(asked, await wire.read_answer(pause))

    async def slow(self, wire, asked, rng):
        async def pause():
            await asyncio.sleep(rng.uniform(0, 0.05))
        await self.ask_and_read(wire, asked, pause)

    async def stall(self, wire, asked, rng):
        """Reads nothing for a while, of an answer that is more than the buffers hold."""
        left = [rng.uniform(1, 4)]

        async def pause():
            await asyncio.sleep(left.pop() if left else 0)
        await self.ask_and_read(wire, asked, pause)

    async def cancel_head(self, wire, asked, rng):
        data = request_bytes(asked.method, asked.path, asked.body)
        await wire.send(data[:rng.randrange(len(data))])
        await self.leave(wire, rng)

    async def cancel_wait(self, wire, asked, rng):
        await wire.send(request_bytes(asked.method, asked.path, asked.body))
        await asyncio.sleep(rng.choice([0, 0.001, 0.02, 0.5]))
        await self.leave(wire, rng)

    async def cancel_stream(self, wire, asked, rng):
        await wire.send(request_bytes(asked.method, asked.path, asked.body))
        answer, left = await wire.read_head(), rng.randrange(10)
        async for _ in wire.pieces(answer):
            left -= 1
            if left < 0:
                break
        await self.leave(wire, rng)

    async def half_close(self, wire, asked, rng):
        """The server may take it for gone or answer, but has to close."""
        del rng
        await wire.send(request_bytes(asked.method, asked.path, asked.body))
        wire.half_close()
        await wire.read_to_end()

    @staticmethod
    async def leave(wire, rng):
        if rng.random() < 0.5:
            wire.abort()
        else:
            await wire.close()

    async def user(self, number):
        rng = random.Random(self.options.seed * 10_000 + number)
        maker, wire = Maker(rng, self.env), None
        haste = rng.choice([0, 0.01, 0.2])
        while time.monotonic() < self.end and self.server.is_running():
            manner = rng.choices(list(MANNERS), list(MANNERS.values()))[0]
            asked = maker.wide() if manner == "stall" else maker.any()
            wire = await self.one(asked, number, wire, manner, rng)
            if wire and rng.random() < 0.3:
                await wire.close()
                wire = None
            await asyncio.sleep(rng.expovariate(1) * haste)
        if wire:
            await wire.close()

    async def load(self):
        """All users and faults until the time is over and each request has ended."""
        self.end = time.monotonic() + 60 * self.options.minutes
        rng = random.Random(self.options.seed)
        tasks = [self.user(number) for number in range(self.options.users)]
        if self.options.fault_period > 0:
            faults = Faults(rng, self.server, Maker(rng, self.env), self)
            tasks.append(faults.run(self.options.fault_period))
        await asyncio.gather(*tasks)

    async def settle(self):
        """/metrics when all is quiet; what is then still held is lost."""
        end = time.monotonic() + self.patience
        while True:
            values = await read_metrics(self.server.port)
            busy = {name: values[name] for name in ("vllm:num_requests_running", "vllm:num_requests_waiting",
                                                    "vllm:kv_cache_usage_perc") if values[name] > 0}
            if values["hachi:http_connections"] > 1:  # this one
                busy["hachi:http_connections"] = values["hachi:http_connections"]
            if not busy or time.monotonic() > end:
                return values, busy
            await asyncio.sleep(0.1)

    async def stop(self):
        """SIGTERM with answers on their way."""
        asks = [Maker(random.Random(i), self.env).going() for i in range(4)]
        wires = [await Wire.open(self.server.port, i) for i in range(len(asks))]
        for wire, asked in zip(wires, asks):
            await wire.send(request_bytes("POST", asked.path, asked.body))
        answers = [await wire.read_head() for wire in wires]
        self.server.send(signal.SIGTERM)
        for wire, asked, answer in zip(wires, asks, answers):
            answer.body = b"".join([piece async for piece in wire.pieces(answer)])
            self.check(asked, answer)
            await wire.close()
        status = await asyncio.to_thread(self.server.process.wait, self.patience)
        if status != 0:
            self.fail(f"the server exited with {status} after SIGTERM")


async def check_quiet(soak, series, files):
    """What has to hold when all is over."""
    values, busy = await soak.settle()
    for name, value in busy.items():
        soak.fail(f"{name} is {value} when nothing is asked")
    errors = [name for name, value in values.items() if value > 0 and
              ('finished_reason="error"' in name or (name.startswith("hachi:http_requests_total{") and
                                                    'status="5' in name and 'status="503"' not in name))]
    for name in errors:
        soak.fail(f"{name} is {values[name]:.0f}")
    end = time.monotonic() + soak.patience
    while len(now := soak.server.files()) > len(files) and time.monotonic() < end:
        await asyncio.sleep(0.1)  # our last connection is closed there a moment later
    more = list((collections.Counter(now) - collections.Counter(files)).elements())
    if len(now) > len(files):
        soak.fail(f"{len(now)} open files, {len(files)} at the start; more: {more}")
    for column, what in ((1, "the server's memory"), (2, "the GPU's memory")):
        growth = series.growth(column)
        if growth is not None:
            print(f"{what}: {growth:+.1f} MiB from the second quarter to the last")
            if growth > soak.options.max_growth:
                soak.fail(f"{what} grew by {growth:.1f} MiB, more than {soak.options.max_growth}")
    if (growth := series.growth(3)) and growth > 2:
        soak.fail(f"{growth:.0f} threads more than before")
    counted = {"tokens": "vllm:generation_tokens_total", "steps": "hachi:engine_steps_total",
               "began again": "vllm:num_preemptions_total", "pages forgotten": "hachi:prefix_cache_evictions_total",
               "guessed": "vllm:spec_decode_num_draft_tokens_total",
               "right": "vllm:spec_decode_num_accepted_tokens_total"}
    print(", ".join(f"{values[name]:.0f} {what}" for what, name in counted.items()))


async def run(options, server):
    soak = Soak(options, server)
    await soak.env.look(server, options)
    warm = Maker(random.Random(-1), soak.env)
    for _ in range(30):  # tables and threads that the first request of a kind makes
        await soak.one(warm.any(), 0)
    await soak.settle()
    files, series = server.files(), Series(server, 60 * options.minutes)
    watching = asyncio.create_task(series.watch())
    try:
        await soak.load()
    finally:
        watching.cancel()
    try:
        if server.is_running():
            await check_quiet(soak, series, files)
            await soak.stop()
        else:
            soak.fail(f"the server ended with {server.process.returncode}")
    except (Complaint, OSError) as error:
        soak.fail(f"at the end: {error}")
    print("\n".join(f"{count:>8} {what}" for what, count in sorted(soak.books.items())))
    series.print()
    return soak.failures


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokenizer", default="", help="default for synthetic models: tokenizer.json beside this file")
    parser.add_argument("--device", default="")
    parser.add_argument("--command", default="", help="the whole command of a server, in place of these options")
    parser.add_argument("--hachi", default=str(HERE / "hachi" if (HERE / "hachi").exists()
                                               else HERE.parent / "build/release/hachi"))
    parser.add_argument("--serve-option", action="append", default=[], metavar="TEXT",
                        help="more for hachi serve, as --serve-option='--speculate 4'; can be given again")
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--kv-cache", default="", help="little of it makes requests begin again")
    parser.add_argument("--max-batch", type=int, default=12)
    parser.add_argument("--max-waiting", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--burst", type=int, default=60, help="requests at once, now and then")
    parser.add_argument("--answer-tokens", type=int, default=48, help="of most answers at most")
    parser.add_argument("--fault-period", type=float, default=3, metavar="S", help="between faults; 0: none")
    parser.add_argument("--patience", type=float, default=120, metavar="S", help="a request that takes longer is stuck")
    parser.add_argument("--max-growth", type=float, default=64, metavar="MIB")
    parser.add_argument("--same", choices=["auto", "yes", "no"], default="auto",
                        help="whether the same request with a seed must have the same answer (auto: on processors)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("/tmp/hachi-soak"))
    return parser.parse_args()


def main():
    options = parse_arguments()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    server = Server(options, HERE)
    try:
        failures = asyncio.run(run(options, server))
    except (Complaint, OSError) as error:
        failures = [str(error)]
        print(f"FAILED: {error}")
    finally:
        server.kill()
    print(f"{len(failures)} failures, seed {options.seed}" if failures else f"all held, seed {options.seed}")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
