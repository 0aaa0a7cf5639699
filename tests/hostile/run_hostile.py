#!/usr/bin/env python3
"""Runs `hachi run` on each model of make_hostile.py.

    run_hostile.py PATH/hachi [CPU-SECONDS]

A hostile model must end with status 2 and one sentence on standard error, a right one with an
answer; each within 5 seconds of CPU time (or CPU-SECONDS, for builds with sanitizers), 60 of the
clock, and 1 GB of memory.
"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
MAX_SECONDS = 60
MAX_BYTES = 1 << 30


def fault_of(hachi, cpu_seconds, case, folder):
    """What is wrong with how `hachi` takes the case, or nothing."""
    command = [hachi, "run", str(folder / case["path"]), "-p", "hi", "-n", "2", "-t", "0",
               "--threads", "1", "--quiet"]

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, preexec_fn=limit,
                               env=os.environ | {"HACHI_HOME": str(folder / "home")})
    try:
        _, error = process.communicate(timeout=MAX_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return "hangs"
    status = process.returncode
    if status == 0:
        return "gives an answer" if case["expect"] == "error" else ""
    lines = error.decode(errors="replace").splitlines()
    if status != 2:
        return f"ends with status {status}: {lines[:3]}"
    if len(lines) != 1 or not lines[0].startswith("hachi: ") or len(lines[0]) > 1000:
        return f"says {lines[:3]} and not one sentence"
    return f"is refused: {lines[0]}" if case["expect"] == "answer" else ""


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    cpu_seconds = int(sys.argv[2]) if len(sys.argv) == 3 else 5
    with tempfile.TemporaryDirectory(prefix="hachi-hostile-") as name:
        folder = pathlib.Path(name) / "models"
        subprocess.run([sys.executable, HERE / "make_hostile.py", folder], check=True)
        cases = json.loads((folder / "manifest.json").read_text())
        faults = 0
        for case in cases:
            fault = fault_of(sys.argv[1], cpu_seconds, case, folder)
            if fault:
                faults += 1
                print(f"{case['name']} ({case['why']}): {fault}")
        # Of all children so far, the largest.
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if largest > MAX_BYTES:
        faults += 1
        print(f"one of them took {largest} bytes of memory")
    print(f"{len(cases)} models, {faults} taken wrongly, at most {largest / 1e6:.0f} MB of memory")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
