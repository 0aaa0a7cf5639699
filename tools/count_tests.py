#!/usr/bin/env python3
"""Adds up the tests of all builds: prints one line, "N passed, N failed, N skipped".

The folder given has one folder a build, with ctest's own results (ctest.xml) and, for the tests
that are GoogleTest programs, the cases of each (NAME_test.xml). A program that left no cases, for
it crashed or is of another kind, counts as one test.
"""

import pathlib
import sys
import xml.etree.ElementTree


def outcome(case):
    """What became of one testcase element of ctest or GoogleTest."""
    if case.find("failure") is not None or case.get("status") == "fail":
        return "failed"
    if case.get("result") in ("skipped", "suppressed") or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def testcases(path):
    return xml.etree.ElementTree.parse(path).iter("testcase")


def count(results):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for ctest in sorted(pathlib.Path(results).glob("*/ctest.xml")):
        for program in testcases(ctest):
            cases = ctest.parent / f"{program.get('name')}_test.xml"
            found = [outcome(case) for case in testcases(cases)] if cases.is_file() else []
            if "failed" not in found and outcome(program) == "failed":
                found.append("failed")
            for one in found or [outcome(program)]:
                counts[one] += 1
    return counts


if __name__ == "__main__":
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count(sys.argv[1])))
