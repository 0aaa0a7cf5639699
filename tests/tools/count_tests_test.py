import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import count_tests  # noqa: E402

CTEST = """<testsuite>
<testcase name="cli" status="fail"><failure message=""/></testcase>
<testcase name="core" status="run"/>
<testcase name="crashed" status="fail"/>
<testcase name="tool" status="run"/>
</testsuite>"""
CLI = """<testsuites><testsuite>
<testcase name="A" status="run" result="completed"/>
<testcase name="B" status="run" result="completed"><failure message="x"/></testcase>
<testcase name="C" status="run" result="skipped"><skipped message="y"/></testcase>
</testsuite></testsuites>"""
CORE = """<testsuites><testsuite>
<testcase name="A" status="run" result="completed"/>
<testcase name="B" status="notrun" result="suppressed"/>
</testsuite></testsuites>"""


class CountTests(unittest.TestCase):
    def test_counts_cases_and_programs_without_any(self):
        with tempfile.TemporaryDirectory() as results:
            build = pathlib.Path(results) / "release"
            build.mkdir()
            for name, text in [("ctest", CTEST), ("cli_test", CLI), ("core_test", CORE)]:
                (build / f"{name}.xml").write_text(text, encoding="utf-8")
            self.assertEqual(count_tests.count(results), {"passed": 3, "failed": 2, "skipped": 2})

    def test_counts_nothing_where_nothing_ran(self):
        self.assertEqual(count_tests.count("nowhere"), {"passed": 0, "failed": 0, "skipped": 0})


if __name__ == "__main__":
    unittest.main()
