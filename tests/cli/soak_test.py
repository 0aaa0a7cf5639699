"""A short soak of the server, on the tiny model: tools/soak.py itself, and what it looks for.

    soak_test.py PATH/hachi
"""
import pathlib
import subprocess
import sys
import unittest

from program_case import HACHI, ProgramCase  # which makes the next one findable
from model_files import CHATML, STRING, U32, base_gguf

SOAK = pathlib.Path(__file__).resolve().parents[2] / "tools" / "soak.py"


class SoakTest(ProgramCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        model = base_gguf()
        model.set("qwen3.context_length", U32, 4096)
        model.set("tokenizer.chat_template", STRING, CHATML)
        cls.model = cls.folder / "soak.gguf"
        cls.model.write_bytes(model.bytes())

    def soak(self, *options):
        """The exit status and what was printed. A machine may be slow: there is a lot of patience."""
        done = subprocess.run(
            [sys.executable, str(SOAK), "--hachi", HACHI, "--model", str(self.model), "--out", str(self.folder / "soak"),
             "--minutes", "0.1", "--users", "8", "--burst", "40", "--max-batch", "6", "--max-waiting", "20",
             "--fault-period", "0.5", "--patience", "300", "--max-growth", "1000",  # sanitizers keep what was freed
             "--serve-option=--threads 2", *options],
            capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_all_holds(self):
        status, text = self.soak("--seed", "5", "--context", "4096", "--kv-cache", "700KB", "--serve-option=--speculate 3")
        self.assertEqual(status, 0, text)
        self.assertIn("all held", text)

    def test_a_server_that_dies_is_noticed(self):
        status, text = self.soak("--command", f"sh -c '{HACHI} serve {self.model} --port 0 --data {self.folder}/data & "
                                 "sleep 2; kill -9 $!; wait $!'", "--patience", "5")
        self.assertNotEqual(status, 0, text)
        self.assertNotIn("Traceback", text)


if __name__ == "__main__":
    unittest.main()
