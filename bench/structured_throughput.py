"""What a form costs: tokens/s of answers held to it over those of free answers.

A pair is the same prompts, seeds and users with the form and without; the free answers get as many
tokens as those in the form had, whether the model would stop there or not. The order turns with
each round, and a ratio is the median of the rounds' ratios, so that a slow phase of the machine hits
both sides of it. "CPU" is the same for the processor time that the server took for a token, free
over formed, which other processes disturb least. "first" is the first load in a form, with which
its grammar is compiled and its masks are made, over the median of the free ones.
"""

import itertools
import json
import pathlib
import statistics
import time

from busy_processors import TICKS, process_ticks
from hachi_serve import Server, for_all

PERSON = {"type": "object",
          "properties": {"name": {"type": "string", "maxLength": 40},
                         "born": {"type": "integer", "minimum": 1000, "maximum": 2020},
                         "job": {"enum": ["poet", "painter", "physicist", "king"]},
                         "known_for": {"type": "array", "items": {"type": "string"},
                                       "minItems": 1, "maxItems": 4}},
          "required": ["name", "born", "job", "known_for"], "additionalProperties": False}
# What no answer of some hundred tokens comes to the end of, but for an object, which may end early.
FORMS = {
    "schema": {"response_format": {"type": "json_schema", "json_schema": {
        "name": "people", "strict": True,
        "schema": {"type": "array", "items": PERSON, "minItems": 100}}}},
    "object": {"response_format": {"type": "json_object"}},
    "regex": {"structured_outputs": {
        "regex": r"(- [A-Z][a-z]+( [A-Z][a-z]+)*, born in 1[0-9]{3}: [^\n]{10,80}\n){100}"}},
}
MIN_REQUESTS = 4  # in a load
TOPICS = ("rivers and the people who mapped them", "painters of the north", "old kings",
          "women in physics", "poets who travelled", "the first sailors", "builders of bridges",
          "doctors of long ago")


def add_options(parser):
    group = parser.add_argument_group("throughput")
    group.add_argument("--throughput", action="store_true")
    group.add_argument("--forms", default=",".join(FORMS), metavar="NAME,...")
    group.add_argument("--users", default="1,8", metavar="N,...")
    group.add_argument("--temperatures", default="0,1", metavar="T,...")
    group.add_argument("--rounds", type=int, default=5)
    group.add_argument("--requests", type=int, default=2, help="of a user in a load")


def body(number, temperature, count):
    topic = TOPICS[number % len(TOPICS)]
    return {"messages": [{"role": "user", "content": f"Tell me in JSON about {topic}: who was it, "
                                                     "when, and what are they known for?"}],
            "temperature": temperature, "seed": number, "ignore_eos": True, "max_tokens": count}


def offer(server, bodies, users):
    """Tokens of the answers, all tokens/s, and the server's processor time for a token in ms."""
    started, ticks = time.monotonic(), process_ticks(server.process.pid)
    counts = [answer.tokens for answer in for_all(users, bodies, server.chat)]
    seconds = time.monotonic() - started
    ticks = process_ticks(server.process.pid) - ticks
    return counts, sum(counts) / seconds, 1000 * ticks / TICKS / sum(counts)


def pairs(server, form, users, temperature, arguments):
    number = max(users * arguments.requests, MIN_REQUESTS)
    formed = [{**body(i, temperature, arguments.max_tokens), **FORMS[form]} for i in range(number)]
    counts, first, _ = offer(server, formed, users)
    free = [body(i, temperature, count) for i, count in enumerate(counts)]
    offer(server, free, users)
    rounds = []
    for turn in range(arguments.rounds):
        loads = {"formed": formed, "free": free}
        order = sorted(loads, reverse=turn % 2 == 1)
        done = {name: offer(server, loads[name], users) for name in order}
        if done["formed"][0] != counts or done["free"][0] != counts:
            raise SystemExit(f"the answers changed their lengths: {counts}, {done}")
        rounds.append({name: {"rate": rate, "cpu_ms": cpu_ms}
                       for name, (_, rate, cpu_ms) in done.items()})
    return {"form": form, "users": users, "temperature": temperature, "tokens": sum(counts),
            "first": first, "rounds": rounds}


def print_pairs(model, result):
    rounds = result["rounds"]
    free, formed = ([one[side]["rate"] for one in rounds] for side in ("free", "formed"))
    ratios = [b / a for a, b in zip(free, formed)]
    cpu = statistics.median(one["free"]["cpu_ms"] / one["formed"]["cpu_ms"] for one in rounds)
    spread = f"({min(ratios):.2f} - {max(ratios):.2f})"
    print(f"{model:<14}{result['form']:>8}{result['users']:>6}{result['temperature']:>6}"
          f"{result['tokens']:>8}{statistics.median(free):>9.1f}{statistics.median(formed):>9.1f}"
          f"{statistics.median(ratios):>7.2f} {spread:<15}{cpu:>6.2f}"
          f"{result['first'] / statistics.median(free):>7.2f}", flush=True)


def measure(arguments):
    print(f"{'model':<14}{'form':>8}{'users':>6}{'temp':>6}{'tokens':>8}{'free/s':>9}{'formed/s':>9}"
          f"{'ratio':>7} {'range':<15}{'CPU':>6}{'first':>7}")
    users = [int(number) for number in arguments.users.split(",")]
    temperatures = [float(number) for number in arguments.temperatures.split(",")]
    report = []
    for model in arguments.models.split(","):
        log = pathlib.Path(arguments.logs) / f"structured-output-{model}.log"
        options = ["--max-batch", max(users), "--context", 2048, "--threads", arguments.threads]
        with Server(arguments.hachi, model, options, log) as server:
            for form, temperature, count in itertools.product(arguments.forms.split(","),
                                                              temperatures, users):
                result = pairs(server, form, count, temperature, arguments)
                print_pairs(model, result)
                report.append({"model": model, **result})
    return report, 0
