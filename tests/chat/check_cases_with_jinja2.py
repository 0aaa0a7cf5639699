#!/usr/bin/env python3
"""Checks the cases of tests/cases/jinja against Python's jinja2, set up as Hugging Face sets it up.

A case whose description has a line "reference: ..." is skipped: there the reference does something
else on purpose, and the line says what. Where a case expects an error, the reference must fail too.
Usage: check_cases_with_jinja2.py [FOLDER]
"""

import datetime
import json
import pathlib
import re
import sys

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MARKS = "⟦⟧"


class Generation(Extension):
    """{% generation %}: prints its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def render(source, context):
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    now = datetime.datetime.fromisoformat(context.pop("now", "2024-07-26T00:00:00"))
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = now.strftime
    variables = {"messages": [], "tools": None, "documents": None, "add_generation_prompt": True,
                 "bos_token": "", "eos_token": ""}
    return env.from_string(source).render(variables | context)


def parse_cases(path):
    for block in re.split(r"^=== ", path.read_text(), flags=re.M)[1:]:
        head, *parts = re.split(r"^--- (\w+)\n", block, flags=re.M)
        name, _, description = head.partition("\n")
        # The newline before the next header line does not belong to a section.
        sections = {key: text[:-1] for key, text in zip(parts[::2], parts[1::2])}
        yield name, description, sections


def check(description, sections):
    """What is wrong with a case, or None; False if it was skipped."""
    if re.search(r"^reference: ", description, flags=re.M):
        return False
    try:
        output = render(sections["template"], json.loads(sections["context"]))
    except Exception as error:  # whatever the reference throws is its refusal
        return None if "error" in sections else f"reference fails: {type(error).__name__}: {error}"
    if "error" in sections:
        return f"reference renders {output!r}"
    expected = sections.get("output")
    if expected is None:
        expected = sections["marked"].translate({ord(mark): None for mark in MARKS})
    return None if output == expected else f"reference renders\n{output!r}, not\n{expected!r}"


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "cases" / "jinja"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    checked = skipped = failed = 0
    for path in sorted(folder.glob("*.case")):
        for name, description, sections in parse_cases(path):
            wrong = check(description, sections)
            if wrong is False:
                skipped += 1
                continue
            checked += 1
            if wrong:
                failed += 1
                print(f"{path.name}: {name}: {wrong}")
    print(f"{checked} cases checked with jinja2 {jinja2.__version__}, {failed} wrong, "
          f"{skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
