#!/usr/bin/env python3
"""Adds up the tests in the XML files that GoogleTest wrote below a folder.

Prints one line, "N passed, N failed, N skipped".
"""

import pathlib
import sys
import xml.etree.ElementTree


def count(folder):
    passed = failed = skipped = 0
    for path in sorted(pathlib.Path(folder).rglob("*.xml")):
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            if case.find("failure") is not None:
                failed += 1
            elif case.get("result") == "skipped" or case.get("status") == "notrun":
                skipped += 1
            else:
                passed += 1
    return passed, failed, skipped


if __name__ == "__main__":
    print("{} passed, {} failed, {} skipped".format(*count(sys.argv[1])))
