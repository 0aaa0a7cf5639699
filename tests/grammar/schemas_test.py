"""Answers of a model that knows nothing, kept to 200 schemas by masks alone, must all be valid: PyPI's
jsonschema, which shares nothing with the program, says whether they are.

    schemas_test.py PATH/grammar_walk [TOKENIZER] [--results FILE] [-v]

Needs requirements.txt. TOKENIZER (a tokenizer.json or a GGUF file) is walked besides the synthetic
vocabulary.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import python_suite  # noqa: E402
import schema_table  # noqa: E402

NUM_SCHEMAS = 200
SEEDS = 5


def random_schema(rng, depth):
    """A schema of the keywords that the table has accepted schemas for."""
    leaves = [json.loads(text) for text in schema_table.accepted() if "$ref" not in text]
    kind = rng.randrange(8) if depth > 0 else 7
    if kind < 3:
        names = rng.sample(["id", "name", "Größe", "a b", "x\\y", "tags", "n", "na", "list"],
                           rng.randint(1, 5))
        schema = {"type": "object",
                  "properties": {name: random_schema(rng, depth - 1) for name in names},
                  "required": rng.sample(names, rng.randint(0, len(names)))}
        if rng.random() < 0.4:
            schema["additionalProperties"] = rng.choice(
                [False, {"type": "integer"}, {"enum": ["p", "q"]}])
        return schema
    if kind == 3:
        low = rng.randint(0, 2)
        return {"type": "array", "items": random_schema(rng, depth - 1), "minItems": low,
                "maxItems": low + rng.randint(0, 3)}
    if kind == 4:
        return {"anyOf": [random_schema(rng, depth - 1), random_schema(rng, depth - 1)]}
    if kind == 5:
        return {"type": "array", "prefixItems": [random_schema(rng, depth - 1) for _ in range(2)],
                "items": random_schema(rng, depth - 1), "maxItems": rng.randint(1, 4)}
    if kind == 6:
        low = rng.randint(-1000, 1000)
        high = low + rng.randint(0, 2000)
        return {"type": rng.choice(["integer", "number"]),
                "minimum": low - rng.choice([0, 0, 0.125]), "maximum": high + 1}
    return rng.choice(leaves)


def schemas():
    rng = random.Random(5)
    texts = schema_table.accepted()
    while len(texts) < NUM_SCHEMAS:
        text = json.dumps(random_schema(rng, 3))
        if text not in texts:
            texts.append(text)
    return texts


def walk(lines, seeds, tokenizer):
    """[schema, seed, outcome, text] for each schema and seed."""
    command = [SchemasTest.walk, str(seeds)] + ([tokenizer] if tokenizer else [])
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True,
                          check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


class SchemasTest(unittest.TestCase):
    walk = None
    tokenizer = None

    def check_all_valid(self, tokenizer):
        texts = schemas()
        checkers = []
        for text in texts:
            schema = json.loads(text)
            jsonschema.Draft202012Validator.check_schema(schema)
            checkers.append(jsonschema.Draft202012Validator(
                schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER))
        outcomes = {"finished": 0, "cut": 0}
        for number, seed, outcome, answer in walk(texts, SEEDS, tokenizer):
            with self.subTest(schema=texts[number], seed=seed):
                self.assertNotEqual(outcome, "refused", answer)
                outcomes[outcome] += 1
                if outcome == "finished":
                    checkers[number].validate(json.loads(answer))
        total = outcomes["finished"] + outcomes["cut"]
        self.assertEqual(total, len(texts) * SEEDS)
        self.assertGreater(outcomes["finished"], 0.9 * total)

    def test_answers_of_synthetic_tokens_are_valid(self):
        self.check_all_valid(None)

    def test_answers_of_a_tokenizer_are_valid(self):
        if not self.tokenizer:
            self.skipTest("no TOKENIZER was given")
        self.check_all_valid(self.tokenizer)

    def test_the_rest_is_refused(self):
        for number, _, outcome, message in walk(schema_table.refused(), 1, None):
            with self.subTest(schema=schema_table.refused()[number]):
                self.assertEqual(outcome, "refused", message)
                self.assertTrue(message)

    def test_refusals_name_the_place(self):
        schema = {"type": "object", "properties": {"a/b": {"type": "array", "items": {"not": {}}}}}
        [[_, _, outcome, message]] = walk([json.dumps(schema)], 1, None)
        self.assertEqual(outcome, "refused")
        self.assertIn("'/properties/a~1b/items/not'", message)

    def test_the_table_of_the_document_is_up_to_date(self):
        subprocess.run([sys.executable, schema_table.__file__, "--check"], check=True)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("walk")
    parser.add_argument("tokenizer", nargs="?")
    python_suite.add_results_option(parser)
    options, rest = parser.parse_known_args()
    SchemasTest.walk = options.walk
    SchemasTest.tokenizer = options.tokenizer
    sys.exit(not python_suite.run("schemas", (sys.modules["__main__"],), options.results, rest))


if __name__ == "__main__":
    main()
