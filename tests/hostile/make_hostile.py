#!/usr/bin/env python3
"""Writes hostile models, each a right tiny one with a single defect, and manifest.json.

    make_hostile.py FOLDER

The manifest is a list of {"name", "path", "why", "expect"}. Running `path` (relative to FOLDER)
must end in seconds and in little memory: with an error where "expect" is "error", with an answer
where it is "answer" (the right models that the others were made from), and with either where it is
"either" (what is odd but need not be refused).
"""
import json
import pathlib
import re
import sys

import folder_cases
import gguf_cases
import packed_cases
from model_files import base_folder, base_gguf, base_tensors, safetensors


# A split may give a text that it cannot cut in time as one piece; a first token that is none may be
# left out.
EITHER = {"folder-tokenizer-split-bomb", "gguf-tokenizer-bos-out-of-range"}


def write_files(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        if callable(content):
            content(folder / name)
        else:
            (folder / name).write_bytes(content)


def sharded_folder():
    header, data = base_tensors()
    names = [name for name in header if name != "__metadata__"]
    files = base_folder()
    del files["model.safetensors"]
    weight_map = {}
    for number, part in enumerate((names[:5], names[5:])):
        shard = f"model-{number + 1:05}-of-00002.safetensors"
        base = header[part[0]]["data_offsets"][0]
        entries = {name: {**header[name], "data_offsets": [
            offset - base for offset in header[name]["data_offsets"]]} for name in part}
        files[shard] = safetensors(entries, data[base:header[part[-1]]["data_offsets"][1]])
        weight_map.update({name: shard for name in part})
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    return files


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    manifest = []

    def add(name, suffix, why, write, open_inside=""):
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).rstrip("-")
        path = out / (name + suffix)
        write(path)
        expect = ("answer" if name.startswith("valid-") else
                  "either" if name in EITHER else "error")
        manifest.append({"name": name, "path": str((path / open_inside).relative_to(out)),
                         "why": why, "expect": expect})

    def add_gguf(name, data, why):
        add(name, ".gguf", why, lambda path: path.write_bytes(data))

    def add_folder(name, files, why, open_inside=""):
        add(name, "", why, lambda path: write_files(path, files), open_inside)

    add_gguf("valid-qwen3", base_gguf("qwen3").bytes(), "the right model as GGUF")
    add_gguf("valid-llama", base_gguf("llama").bytes(), "the same as a Llama")
    second = base_gguf()
    second.version = 2
    add_gguf("valid-version-2", second.bytes(), "the right model as GGUF version 2")
    parts = {f"m-{i + 1:05}-of-00003.gguf": p.bytes()
             for i, p in enumerate(gguf_cases.split_parts())}
    add_folder("valid-split", parts, "the right model in three parts", "m-00002-of-00003.gguf")
    add_folder("valid-folder", base_folder(), "the right model as a Hugging Face folder")
    add_folder("valid-shards", sharded_folder(), "the same with its tensors in two shards")

    for name, files, why in packed_cases.valid_folders():
        add_folder(f"valid-packed-{name}", files, why)

    for group, cases in gguf_cases.GROUPS.items():
        for name, data, why in cases():
            add_gguf(f"gguf-{group}-{name}", data, why)
    for name, files, why in gguf_cases.split_cases():
        add_folder(f"gguf-split-{name}", files, why, min(files))
    for group, cases in folder_cases.GROUPS.items():
        for name, files, why in cases():
            add_folder(f"folder-{group}-{name}", files, why)
    for name, files, why in packed_cases.cases():
        add_folder(f"folder-packed-{name}", files, why)

    names = [case["name"] for case in manifest]
    assert len(set(names)) == len(names), sorted(n for n in names if names.count(n) > 1)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    assert EITHER <= set(names)
    hostile = sum(case["expect"] != "answer" for case in manifest)
    print(f"{len(manifest)} models, {hostile} of them hostile")


if __name__ == "__main__":
    main()
