import contextlib
import io
import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import count_tests  # noqa: E402
import python_suite  # noqa: E402


class Samples(unittest.TestCase):
    def test_passes(self):
        pass

    def test_is_skipped(self):
        self.skipTest("for the count")

    def test_fails(self):
        self.fail("for the count")

    def test_has_a_subtest_that_fails(self):
        for number in (1, 2):
            with self.subTest(number):
                self.assertEqual(number, 1)


class PythonSuiteTest(unittest.TestCase):
    def run_suite(self, *arguments):
        """Whether it passed, and what count_tests.py reads of it."""
        module = types.ModuleType("samples")
        module.Samples = Samples
        sys.modules["samples"] = module
        with tempfile.TemporaryDirectory() as results, contextlib.redirect_stderr(io.StringIO()):
            path = pathlib.Path(results) / "samples" / "ctest.xml"
            passed = python_suite.run("samples", [module], path, list(arguments))
            return passed, count_tests.count(results)

    def test_what_became_of_each_is_counted(self):
        self.assertEqual(self.run_suite(), (False, {"passed": 1, "failed": 2, "skipped": 1}))

    def test_one_by_its_name(self):
        self.assertEqual(self.run_suite("samples.Samples.test_passes"),
                         (True, {"passed": 1, "failed": 0, "skipped": 0}))


# Samples are to fail, and run by name alone.
def load_tests(loader, _, __):
    return loader.loadTestsFromTestCase(PythonSuiteTest)


if __name__ == "__main__":
    unittest.main()
