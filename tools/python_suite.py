"""Runs unittest tests from modules that share what main() of their program has set up, and writes
what became of each test as ctest does, for count_tests.py."""

import argparse
import pathlib
import sys
import unittest
import xml.etree.ElementTree as ElementTree


class Result(unittest.TextTestResult):
    """Keeps the outcome of each test, as ctest.xml names it."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.outcomes = {}

    def startTest(self, test):
        super().startTest(test)
        self.outcomes[test.id()] = "run"

    def stopTest(self, test):
        super().stopTest(test)
        if any(test is skipped for skipped, _ in self.skipped):
            self.outcomes[test.id()] = "notrun"
        # A failed subtest knows the test that it is part of.
        failed = (getattr(one, "test_case", one) for one, _ in self.failures + self.errors)
        if any(test is one for one in failed):
            self.outcomes[test.id()] = "fail"

    def write(self, path, name):
        suite = ElementTree.Element("testsuite", name=name)
        for test, status in self.outcomes.items():
            ElementTree.SubElement(suite, "testcase", name=test, status=status)
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(suite).write(path)


def add_results_option(parser):
    parser.add_argument("--results", type=pathlib.Path, metavar="FILE")


def run(name, modules, results, arguments):
    """The tests of `modules`, or those that `arguments` name; whether all passed."""
    parser = argparse.ArgumentParser(prog=sys.argv[0])
    parser.add_argument("-v", action="store_true", help="a line for each test")
    parser.add_argument("tests", nargs="*", help="module.Class.test, or the beginning of that")
    options = parser.parse_args(arguments)
    names = options.tests or [module.__name__ for module in modules]
    tests = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(verbosity=1 + options.v, resultclass=Result).run(tests)
    if results:
        result.write(results, name)
    return result.wasSuccessful()
