#!/usr/bin/env python3
"""Answers of real models to the 200 schemas of tests/grammar, validated by PyPI's jsonschema.

    bench/structured_output.py [HACHI] [--models smollm2,gemma3-270m] [--quick] [--json OUT.json]
    bench/structured_output.py [HACHI] --throughput [--models ...] [--users 1,8] [--json OUT.json]

HACHI is the program, build/release/hachi unless it is named. The interpreter needs what
tests/grammar/requirements.txt lists.

Each schema is asked for with each seed at temperature 1 and without top-k or top-p, so that whatever
the masks let through comes sooner or later, in each mode: with and without thinking, streamed and
not, with and without guessing ahead (a server of its own). An answer that ended by itself must be
JSON and valid; one that --max-tokens cut must be the beginning of JSON. The answers to one request
must be the same in all modes but thinking. Exit status 1: some answer was not as it must be.

Each request is sent twice, streamed to one of the two servers and whole to the other, in turn: so
each is answered in every way, and what depended on the stream or on the guesses would show. With
--all-modes it is sent to both servers in both ways.

These models do not think by themselves, and no template of theirs speaks of it. With thinking, the
prompt ends with an assistant's message that begins with "<think>"; the model goes on with whatever
it likes, under no mask, until --thinking-budget tokens have come and the server closes its thoughts.
Some it closes itself ("closed"), at once too.

With --throughput: tokens/s in a form (a schema, any JSON object, a regex) over those of free text of
the same lengths to the same prompts, in pairs; see structured_throughput.py.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import signal
import sys
import tempfile
import time

import jsonschema

from hachi_serve import Server, for_all

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "grammar"))

import schemas_test  # noqa: E402
import structured_throughput  # noqa: E402

CLOSING_TOKENS = 64  # what closing the thoughts takes at most
QUICK_SCHEMAS = 40
# What may follow a text that was cut, before the brackets that are open are closed: the end of a
# value, or of a member's name and a value.
STRING_ENDINGS = ("", '"', '""', '\\"', '0"', '00"', '000"', '0000"')
ENDINGS = (*STRING_ENDINGS, *(ending + ":0" for ending in STRING_ENDINGS), "0", "null", "rue", "ue",
           "e", "alse", "lse", "se", "ull", "ll", "l")
COLUMNS = ("requests", "finished", "valid", "cut", "bad", "differ", "tokens", "thoughts",
           "closed", "seconds")

Mode = collections.namedtuple("Mode", "speculates thinks streams")


def purpose(schema, depth=0):
    """What a schema is for, in some words."""
    if not isinstance(schema, dict):
        return "a value"
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return "one of " + ", ".join(json.dumps(value) for value in values)
    if "properties" in schema:
        return "an object with " + ", ".join(schema["properties"])
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema and depth < 2:
            joint = " and " if keyword == "allOf" else " or "
            return joint.join(purpose(one, depth + 1) for one in schema[keyword])
    if "items" in schema and depth < 2:
        return "a list, each of it " + purpose(schema["items"], depth + 1)
    kinds = schema.get("type", "value")
    kind = kinds if isinstance(kinds, str) else " or ".join(kinds)
    what = schema.get("format") or schema.get("title")
    return f"a {kind}" + (f" ({what})" if what else "")


def begins_json(text):
    """Whether some text that follows makes JSON of `text`."""
    closers, in_string, escaped = [], False, False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in "[{":
            closers.append("]" if character == "[" else "}")
        elif character in "]}" and (not closers or closers.pop() != character):
            return False
    tail = "".join(reversed(closers))
    return any(is_json(text + ending + tail) for ending in ENDINGS)


def is_json(text):
    try:
        parse(text)
    except ValueError:
        return False
    return True


def parse(text):
    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


class Checker:
    """Says what is wrong with an answer: '' if nothing is."""

    def __init__(self, schema):
        kind = jsonschema.Draft202012Validator
        self.validator = kind(schema, format_checker=kind.FORMAT_CHECKER)

    def fault(self, answer, thinks):
        if thinks and answer.thinking_tokens == 0:
            return "it has no thoughts"
        if thinks and answer.budget_spent and not answer.reasoning.strip():
            return "its thoughts are lost"
        if not thinks and (answer.reasoning or answer.thinking_tokens):
            return "it has thoughts"
        if "</think>" in answer.reasoning:
            return "the end of the thoughts lies within them"
        if thinks and is_json(answer.reasoning):
            return "JSON lies in the thoughts"
        if answer.finish == "length":
            return "" if begins_json(answer.content) else "it was cut and begins no JSON"
        if answer.finish != "stop":
            return f"it ended with {answer.finish!r}"
        try:
            self.validator.validate(parse(answer.content))
        except (ValueError, jsonschema.ValidationError) as error:
            return str(error).splitlines()[0]
        return ""


def request(schema, seed, thinks, arguments):
    messages = [{"role": "user", "content": f"Answer in JSON, for a test: {purpose(schema)}."}]
    body = {"messages": messages, "seed": seed, "temperature": 1, "top_p": 1, "top_k": 0,
            "max_tokens": arguments.max_tokens,
            "response_format": {"type": "json_schema",
                                "json_schema": {"name": "answer", "schema": schema,
                                                "strict": True}}}
    if thinks:
        messages.append({"role": "assistant", "content": "<think>\n"})
        body.update(continue_final_message=True, add_generation_prompt=False,
                    thinking_token_budget=arguments.thinking_budget)
        body["max_tokens"] += arguments.thinking_budget + CLOSING_TOKENS
    return body


class Evaluation:
    """Of one model: the answers to all schemas and seeds, a row of figures for each mode."""

    def __init__(self, model, arguments):
        self.model = model
        self.arguments = arguments
        # The API takes objects alone: what the schema `true` says, {} says as well.
        texts = schemas_test.schemas()
        step = len(texts) // QUICK_SCHEMAS if arguments.quick else 1
        self.schemas = [{} if text == "true" else json.loads(text) for text in texts[::step]]
        self.checkers = [Checker(schema) for schema in self.schemas]
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        self.cases = list(itertools.product(range(len(self.schemas)), seeds))
        self.known = {}  # (schema, seed, thinks): (mode, what was said)
        self.rows = []
        self.faults = []

    def run(self):
        for speculates in (False, True):
            guess = self.arguments.speculate if speculates else 0
            options = ["--max-batch", self.arguments.concurrency, "--speculate", guess,
                       "--context", 2048, "--threads", self.arguments.threads]
            log = pathlib.Path(self.arguments.logs) / f"structured-output-{self.model}.log"
            with Server(self.arguments.hachi, self.model, options, log) as server:
                for thinks, streams in itertools.product((False, True), repeat=2):
                    self.run_mode(server, Mode(speculates, thinks, streams))

    def cases_of(self, mode):
        return [(schema, seed) for schema, seed in self.cases
                if self.arguments.all_modes
                or (schema + seed) % 2 == (mode.streams != mode.speculates)]

    def run_mode(self, server, mode):
        cases = self.cases_of(mode)
        row = dict.fromkeys(COLUMNS, 0)
        started = time.monotonic()

        def ask(case):
            schema, seed = case
            try:
                body = request(self.schemas[schema], seed, mode.thinks, self.arguments)
                return server.chat(body, mode.streams)
            except (ValueError, OSError) as error:
                return str(error)

        for case, answer in zip(cases, for_all(self.arguments.concurrency, cases, ask)):
            self.count(row, mode, case, answer)
        row["seconds"] = round(time.monotonic() - started, 1)
        self.rows.append({"model": self.model, **mode._asdict(), **row})
        print_row(self.rows[-1])

    def count(self, row, mode, case, answer):
        row["requests"] += 1
        if isinstance(answer, str):
            self.blame(row, mode, case, answer, None)
            return
        row["tokens"] += answer.tokens
        row["thoughts"] += answer.thinking_tokens
        row["closed"] += mode.thinks and not answer.budget_spent
        row["finished"] += answer.finish == "stop"
        row["cut"] += answer.finish == "length"
        fault = self.checkers[case[0]].fault(answer, mode.thinks)
        if fault:
            self.blame(row, mode, case, fault, answer)
        elif answer.finish == "stop":
            row["valid"] += 1
        said = (answer.reasoning, answer.content, answer.finish, answer.tokens)
        first, expected = self.known.setdefault((*case, mode.thinks), (mode, said))
        if said != expected:
            row["differ"] += 1
            self.blame(row, mode, case, f"{first} gave {expected}", answer)

    def blame(self, row, mode, case, fault, answer):
        row["bad"] += 1
        schema, seed = case
        said = vars(answer) if answer else None
        self.faults.append({"model": self.model, **mode._asdict(), "schema": self.schemas[schema],
                            "seed": seed, "fault": fault, "answer": said})
        print(f"{mode}, seed {seed}, {json.dumps(self.schemas[schema])}: {fault}: {said}",
              file=sys.stderr)


def print_heading():
    print(f"{'model':<14}{'thinking':>9}{'streamed':>9}{'guessing':>9}"
          + "".join(f"{name:>10}" for name in COLUMNS))


def print_row(row):
    modes = "".join(f"{'yes' if row[name] else 'no':>9}"
                    for name in ("thinks", "streams", "speculates"))
    print(f"{row['model']:<14}{modes}" + "".join(f"{row[name]:>10}" for name in COLUMNS),
          flush=True)


def numbers(text):
    return [int(number) for number in text.split(",") if number]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hachi", nargs="?", default=str(HERE.parent / "build/release/hachi"))
    parser.add_argument("--models", default="smollm2,gemma3-270m", metavar="NAME,...")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="OUT.json", help="write all figures there too")
    parser.add_argument("--logs", default=tempfile.gettempdir(), metavar="FOLDER",
                        help="for what servers print")
    parser.add_argument("--max-tokens", type=int, help="of an answer (256; for throughput 128)")
    check = parser.add_argument_group("validity")
    check.add_argument("--quick", action="store_true",
                       help=f"{QUICK_SCHEMAS} of the schemas, one seed")
    check.add_argument("--seeds", type=int, help=f"for each schema ({schemas_test.SEEDS})")
    check.add_argument("--first-seed", type=int, default=0, help="so that a run can be cut in parts")
    check.add_argument("--all-modes", action="store_true",
                       help="each request in all modes: twice as many")
    check.add_argument("--concurrency", type=int, default=16, metavar="REQUESTS")
    check.add_argument("--speculate", type=int, default=8, metavar="TOKENS",
                       help="guessed ahead, where it is on")
    check.add_argument("--thinking-budget", type=int, default=24, metavar="TOKENS")
    structured_throughput.add_options(parser)
    arguments = parser.parse_args()
    if arguments.seeds is None:
        arguments.seeds = 1 if arguments.quick else schemas_test.SEEDS
    if arguments.max_tokens is None:
        arguments.max_tokens = 128 if arguments.throughput else 256
    return arguments


def validate(arguments):
    print_heading()
    evaluations = []
    for model in arguments.models.split(","):
        evaluations.append(Evaluation(model, arguments))
        evaluations[-1].run()
    rows = [row for one in evaluations for row in one.rows]
    faults = [fault for one in evaluations for fault in one.faults]
    finished, valid = (sum(row[name] for row in rows) for name in ("finished", "valid"))
    print(f"{valid} of {finished} finished answers are valid; "
          f"{sum(row['cut'] for row in rows)} were cut; {len(faults)} faults")
    return {"rows": rows, "faults": faults}, 1 if faults or finished == 0 else 0


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    measure = structured_throughput.measure if arguments.throughput else validate
    report, status = measure(arguments)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n",
                                                encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
