"""The chat page in a real browser, headless: what a reader does, what the page shows and sends.

    page_test.py [--url URL] [--screenshots FOLDER] [--results FILE] [-v] [answer_tests.BranchTest ...]

The API answers by script (scripted_server.py). With --url the page's files come from that running
server, and one more test asks the model behind it. Needs Debian's chromium and chromium-driver, and
requirements.txt. --results writes what became of each test as ctest does.
"""

import argparse
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import answer_tests
import keeping_tests
import look_tests
import safety_tests
from page_driver import PageTest, start_browser
from scripted_server import ScriptedServer

MODULES = (answer_tests, keeping_tests, look_tests, safety_tests)


class Result(unittest.TextTestResult):
    """Keeps the outcome of each test, as ctest.xml names it."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.outcomes = {}

    def startTest(self, test):
        super().startTest(test)
        self.outcomes[test.id()] = "run"

    def stopTest(self, test):
        super().stopTest(test)
        if any(test is skipped for skipped, _ in self.skipped):
            self.outcomes[test.id()] = "notrun"
        if any(test is failed for failed, _ in self.failures + self.errors):
            self.outcomes[test.id()] = "fail"

    def write(self, path):
        suite = ElementTree.Element("testsuite", name="page")
        for name, status in self.outcomes.items():
            ElementTree.SubElement(suite, "testcase", name=name, status=status)
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(suite).write(path)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--url", default="")
    parser.add_argument("--screenshots", default="")
    parser.add_argument("--results", type=pathlib.Path)
    options, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="hachi-page-", ignore_cleanup_errors=True) as downloads:
        PageTest.options = options
        PageTest.downloads = pathlib.Path(downloads)
        PageTest.server = ScriptedServer(page=options.url).start()
        PageTest.browser = start_browser(downloads)
        try:
            names = [module.__name__ for module in MODULES]
            runner = unittest.TextTestRunner(resultclass=Result)
            arguments = [sys.argv[0], *rest]
            program = unittest.main("__main__", names, arguments, testRunner=runner, exit=False)
        finally:
            PageTest.browser.quit()
            PageTest.server.shutdown()
    if options.results:
        program.result.write(options.results)
    sys.exit(not program.result.wasSuccessful())


if __name__ == "__main__":
    main()
