#!/usr/bin/env python3
"""Prints the C++ files below src/ that a build compiles, each ended by a zero byte.

    compiled_sources.py BUILD
"""

import json
import pathlib
import sys

source = pathlib.Path(__file__).resolve().parent.parent / "src"
database = pathlib.Path(sys.argv[1]) / "compile_commands.json"
files = {pathlib.Path(entry["file"]) for entry in json.loads(database.read_text(encoding="utf-8"))}
for file in sorted(file for file in files if file.suffix == ".cc" and source in file.parents):
    sys.stdout.write(f"{file}\0")
