"""The chat page in a real browser, headless: what a reader does, what the page shows and sends.

    page_test.py [--url URL | --hachi PATH] [--screenshots FOLDER] [--results FILE] [-v]
        [answer_tests.BranchTest ...]

The API answers by script (scripted_server.py). With --url the page's files come from that running
server, and more tests ask the model behind it; --hachi starts one with SmolLM2 from the store. Needs
Debian's chromium and chromium-driver, and requirements.txt. --results writes what became of each
test as ctest does.
"""

import argparse
import contextlib
import pathlib
import sys
import tempfile

import answer_tests
import call_tests
import keeping_tests
import look_tests
import safety_tests
from page_driver import PageTest, start_browser
from scripted_server import ROOT, ScriptedServer

sys.path += [str(ROOT / "tools"), str(ROOT / "tests" / "clients")]
import python_suite  # noqa: E402
from server import Server  # noqa: E402

MODULES = (answer_tests, call_tests, keeping_tests, look_tests, safety_tests)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--url", default="")
    parser.add_argument("--hachi")
    parser.add_argument("--screenshots", default="")
    python_suite.add_results_option(parser)
    options, rest = parser.parse_known_args()
    with (contextlib.ExitStack() as stack,
          tempfile.TemporaryDirectory(prefix="hachi-page-", ignore_cleanup_errors=True) as downloads):
        if options.hachi:
            Server.hachi = options.hachi
            server = Server("--kv-cache", "256MB")
            stack.callback(server.stop)
            options.url = server.url
        PageTest.options = options
        PageTest.downloads = pathlib.Path(downloads)
        PageTest.server = ScriptedServer(page=options.url).start()
        PageTest.browser = start_browser(downloads)
        try:
            passed = python_suite.run("page", MODULES, options.results, rest)
        finally:
            PageTest.browser.quit()
            PageTest.server.shutdown()
    sys.exit(not passed)


if __name__ == "__main__":
    main()
