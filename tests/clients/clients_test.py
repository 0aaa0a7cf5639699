"""`hachi serve` from outside, with the official openai and anthropic clients and with
lm-evaluation-harness, on SmolLM2.

    clients_test.py PATH/hachi [--results FILE] [-v] [chat_tests.ChatTest ...]

Needs requirements.txt, and the model in the store (hachi pull smollm2). --results writes what became
of each test as ctest does.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import batches_tests  # noqa: E402
import chat_tests  # noqa: E402
import completions_tests  # noqa: E402
import embeddings_tests  # noqa: E402
import errors_tests  # noqa: E402
import forms_tests  # noqa: E402
import harness_tests  # noqa: E402
import messages_tests  # noqa: E402
import operations_tests  # noqa: E402
import python_suite  # noqa: E402
import responses_tests  # noqa: E402
import streams_tests  # noqa: E402
import wire_tests  # noqa: E402
from client_case import ClientTest  # noqa: E402
from server import Server  # noqa: E402

MODULES = (batches_tests, chat_tests, completions_tests, embeddings_tests, errors_tests, forms_tests,
           harness_tests, messages_tests, operations_tests, responses_tests, streams_tests,
           wire_tests)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("hachi")
    python_suite.add_results_option(parser)
    options, rest = parser.parse_known_args()
    Server.hachi = options.hachi
    ClientTest.server = Server("--kv-cache", "1GB")
    try:
        passed = python_suite.run("clients", MODULES, options.results, rest)
    finally:
        status, _ = ClientTest.server.stop()
    if status != 0:
        print(f"hachi serve ended with {status}", file=sys.stderr)
    sys.exit(status != 0 or not passed)


if __name__ == "__main__":
    main()
