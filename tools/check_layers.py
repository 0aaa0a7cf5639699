#!/usr/bin/env python3
"""Holds the includes below src/ to the layers of the design.

Checks that
  - a file includes only what its folder may use, and nothing that is not there;
  - no file includes itself through others;
  - only kernels/cuda includes CUDA's headers, and kernels' ref, cpu and cuda leave each other alone;
  - each USES list in CMake names only what the folder may use, and all that its files include.

Prints each violation as "file:line: sentence" and exits with 1 if there is one.
"""

import argparse
import pathlib
import re
import sys

# folder: (floor, what it may use). ALL_BELOW: each folder on a lower floor.
ALL_BELOW = None
LAYERS = {
    "core": (0, []),
    "formats": (1, ["core"]),
    "net": (1, ["core"]),
    "kernels": (1, ["core"]),
    "tokenizer": (2, ["core", "formats"]),
    "api": (2, ["core", "formats"]),
    "model": (2, ["core", "formats", "kernels"]),
    "chat": (3, ["core", "formats", "tokenizer", "api"]),
    "grammar": (3, ["core", "formats", "tokenizer"]),
    "engine": (4, ["core", "kernels", "model"]),
    "quantize": (5, ["core", "formats", "kernels", "tokenizer", "model", "engine"]),
    "output": (5, ["core", "api", "tokenizer", "chat", "grammar", "engine"]),
    "agent": (6, ["core", "formats"]),
    "server": (6, ALL_BELOW),
    "eval": (6, ALL_BELOW),
    "train": (6, ALL_BELOW),
    "gateway": (6, ["core", "formats", "net", "api"]),
    "cli": (7, ALL_BELOW),
}

# kernels/: the files beside these folders may call each of them; they never call each other.
DEVICE_FOLDERS = ["ref", "cpu", "cuda", "no_cuda"]

SOURCE_SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".inc"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
CUDA_HEADER = re.compile(
    r"^(cuda|cublas|cudnn|cufft|curand|cusparse|cub/|cutlass/|cute/|thrust/|nccl|nvrtc|nvtx|nvml"
    r"|device_launch_parameters|driver_types|vector_types|cooperative_groups|mma\.h)"
)
LIBRARY = re.compile(r"hachi_library\s*\(\s*(\w+)([^)]*)\)", re.S)


def may_use(folder):
    floor, uses = LAYERS[folder]
    if uses is ALL_BELOW:
        uses = [other for other, (below, _) in LAYERS.items() if below < floor]
    return set(uses) | {folder}


def device_folder(path):
    parts = pathlib.PurePosixPath(path).parts
    if len(parts) > 2 and parts[0] == "kernels" and parts[1] in DEVICE_FOLDERS:
        return parts[1]
    return None


def check_include(source, path, quote, target):
    """What is wrong with the file `path` including `target`, or None."""
    folder = path.split("/")[0]
    device = device_folder(path)
    if CUDA_HEADER.match(target) and device != "cuda":
        return f"{target} is a CUDA header: only kernels/cuda includes those"
    if quote == "<":
        return None
    if not (source / target).is_file():
        return f'"{target}" is not below src/'
    other = target.split("/")[0]
    if other not in LAYERS:
        return f"{other} is not a folder of the layers"
    if other not in may_use(folder):
        return f"{folder} may not use {other}"
    other_device = device_folder(target)
    if device and other_device and device != other_device:
        return f"kernels/{device} may not use kernels/{other_device}"
    return None


def read_includes(source):
    """{path below src/: [(line, quote, target)]} for all sources."""
    includes = {}
    for file in sorted(source.rglob("*")):
        if file.suffix not in SOURCE_SUFFIXES or not file.is_file():
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        matches = ((number, INCLUDE.match(line)) for number, line in enumerate(lines, 1))
        includes[file.relative_to(source).as_posix()] = [
            (number, match[1], match[2]) for number, match in matches if match
        ]
    return includes


def find_circles(includes):
    """Violations: each include that closes a circle of files."""
    violations = []
    state = {}  # absent: not seen, 1: on the way, 2: done

    def visit(path, way):
        state[path] = 1
        for line, quote, target in includes[path]:
            if quote == "<" or target not in includes:
                continue
            if state.get(target) == 1:
                circle = way[way.index(target):] + [target]
                violations.append((path, line, "closes the circle " + " > ".join(circle)))
            elif target not in state:
                visit(target, way + [target])
        state[path] = 2

    for path in includes:
        if path not in state:
            visit(path, [path])
    return violations


def check_cmake(source, includes):
    violations = []
    for file in sorted(source.glob("*/CMakeLists.txt")):
        path = file.relative_to(source).as_posix()
        text = file.read_text(encoding="utf-8")
        for match in LIBRARY.finditer(text):
            folder = match[1]
            line = text.count("\n", 0, match.start()) + 1
            if folder not in LAYERS:
                violations.append((path, line, f"{folder} is not a folder of the layers"))
                continue
            words = re.sub(r"#.*", "", match[2]).split()
            used = set(words[words.index("USES") + 1:] if "USES" in words else []) & set(LAYERS)
            included = {
                target.split("/")[0]
                for name, found in includes.items() if name.split("/")[0] == folder
                for _, quote, target in found if quote == '"'
            } & set(LAYERS) - {folder}
            for other in sorted(used - may_use(folder)):
                violations.append((path, line, f"{folder} may not use {other}"))
            for other in sorted(included - used):
                violations.append((path, line, f"USES of {folder} lacks {other}, which it includes"))
    return violations


def check(source):
    """All violations below the folder `source`, as (path below it, line, sentence)."""
    includes = read_includes(source)
    violations = []
    for path, found in includes.items():
        folder = path.split("/")[0]
        if folder not in LAYERS:
            violations.append((path, 1, f"{folder} is not a folder of the layers"))
            continue
        for line, quote, target in found:
            problem = check_include(source, path, quote, target)
            if problem:
                violations.append((path, line, problem))
    return sorted(violations + find_circles(includes) + check_cmake(source, includes))


def main():
    parser = argparse.ArgumentParser(description="Holds the includes to the layers of the design.")
    root = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("source", nargs="?", type=pathlib.Path, default=root / "src")
    source = parser.parse_args().source
    violations = check(source)
    for path, line, sentence in violations:
        print(f"{source.name}/{path}:{line}: {sentence}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
