"""What tests of the whole program share: the tiny model in both formats, and running the program."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hostile"))
from model_files import base_folder, base_gguf  # noqa: E402

HACHI = os.path.abspath(sys.argv.pop(1))  # before unittest sees the arguments


class ProgramCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="hachi-program-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.gguf = cls.folder / "tiny.gguf"
        cls.gguf.write_bytes(base_gguf().bytes())
        cls.hf = cls.folder / "tiny"
        cls.hf.mkdir()
        for name, data in base_folder().items():
            (cls.hf / name).write_bytes(data)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_program(self, *arguments, text="", status=0):
        process = subprocess.run(
            [HACHI, *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60,
            env=os.environ | {"HACHI_HOME": str(self.folder / "home")})
        self.assertEqual(process.returncode, status, process.stderr)
        if status == 2:
            self.assertEqual(len(process.stderr.splitlines()), 1, process.stderr)
            self.assertTrue(process.stderr.startswith("hachi: "), process.stderr)
        return process.stderr if status else process.stdout

    def answer(self, *arguments, **keywords):
        return json.loads(self.run_program("run", *arguments, "--json", **keywords))
