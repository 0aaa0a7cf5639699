"""Hostile Hugging Face folders. Each function yields (name, files, why), where `files` maps names
to bytes, or to a function that makes something other than a file at a path."""
import copy
import json
import os

from model_files import (EOS, TOKENS, base_config, base_folder, base_tensors, base_tokenizer,
                         safetensors)
from templates import TEMPLATES

Q = "model.layers.0.self_attn.q_proj.weight"


def with_file(name, content):
    files = base_folder()
    files[name] = content if isinstance(content, bytes) or callable(content) else (
        json.dumps(content).encode())
    return files


def without(name):
    files = base_folder()
    del files[name]
    return files


def json_cases(name, base):
    """What can be wrong with any JSON file."""
    text = json.dumps(base).encode()
    yield "empty", with_file(name, b""), "no byte at all"
    yield "cut", with_file(name, text[:len(text) // 2]), "cut short"
    yield "list", with_file(name, b"[" + text + b"]"), "a list, not an object"
    yield "null", with_file(name, b"null"), "null, not an object"
    yield "nan", with_file(name, text[:-1] + b', "hostile": NaN}'), "NaN is not JSON"
    yield "huge-number", with_file(name, text[:-1] + b', "hostile": 1e999}'), "no double"
    lists = b"[" * 99999 + b"]" * 99999
    yield "deep", with_file(name, text[:-1] + b', "hostile": ' + lists + b"}"), \
        "99,999 lists in lists"
    yield "deep-unclosed", with_file(name, b'{"a":' * 99999), "99,999 objects, never closed"
    yield "not-utf8", with_file(name, text[:-1] + b', "hostile": "\xff"}'), "not UTF-8"
    yield "surrogate", with_file(name, text[:-1] + b', "hostile": "\\ud800"}'), "half a character"
    yield "twice", with_file(name, text[:-1] + b', "hostile": 1, "hostile": 2}'), "a key twice"
    yield "comment", with_file(name, b"// hello\n" + text), "a comment"
    yield "after-the-end", with_file(name, text + b"{}"), "two values"
    yield "folder", with_file(name, os.mkdir), "a folder, not a file"
    yield "pipe", with_file(name, os.mkfifo), "a pipe that nobody writes to"


def config_cases():
    yield from json_cases("config.json", base_config())
    yield "missing", without("config.json"), "no config.json"
    huge = {**base_config(), "hostile": "x" * 3_000_000}
    yield "huge", with_file("config.json", huge), "3 MB of config"

    def config(**fields):
        return with_file("config.json", {**base_config(), **fields})
    wrong = {"architectures": (None, [], ["FrobnicatorForCausalLM"], [3]),
             "hidden_size": (0, -1, 31, 64, 2**40, "32", [32], True, 1.5),
             "num_hidden_layers": (0, -1, 3, 10**6, 2**63, "2"),
             "num_attention_heads": (0, 3, 8, -4), "num_key_value_heads": (0, 3, 4, -2),
             "head_dim": (0, 7, 16, 1024), "intermediate_size": (0, 63, 2**40),
             "max_position_embeddings": (0, -1, 2**50), "rms_norm_eps": (0, -1e-6, "1e-6", True),
             "rope_theta": (0, -1.0, "10000"), "hidden_act": ("gelu", 3),
             "attention_bias": (True, "no"), "sliding_window": ("wide",),
             "eos_token_id": ("<|im_end|>", 1.5)}
    for key, values in wrong.items():
        for value in values:
            files = config(**{key: value})
            if key == "eos_token_id":  # generation_config.json would come first
                del files["generation_config.json"]
            kind = type(value).__name__ + "-" if isinstance(value, (str, list)) else ""
            yield f"{key}-{kind}{json.dumps(value)}", files, "the tensors or reason forbid it"
    for key in ("architectures", "hidden_size", "num_hidden_layers", "num_attention_heads",
                "intermediate_size", "max_position_embeddings", "rms_norm_eps"):
        fields = base_config()
        del fields[key]
        yield f"{key}-missing", with_file("config.json", fields), "a needed value is missing"
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    for name, change in (("unknown", {"rope_type": "frobnicated"}), ("factor-zero", {"factor": 0}),
                         ("factor-negative", {"factor": -4.0}), ("factor-text", {"factor": "4"}),
                         ("factor-null", {"factor": None}),
                         ("original-zero", {"original_max_position_embeddings": 0}),
                         ("type-number", {"rope_type": 3})):
        yield f"rope-{name}", config(rope_scaling={**yarn, **change}), "a scaling of no sense"


def side_file_cases():
    generation = {"eos_token_id": [EOS]}
    for name, files, why in json_cases("generation_config.json", generation):
        yield f"generation-{name}", files, why
    for label, value in (("out-of-range", [10**6]), ("negative", -1), ("text", "end"),
                         ("mixed", [EOS, "end"]), ("fraction", [0.5])):
        yield (f"generation-eos-{label}", with_file("generation_config.json",
                                                    {"eos_token_id": value}), "no token's id")
    settings = json.loads(base_folder()["tokenizer_config.json"])
    for name, files, why in json_cases("tokenizer_config.json", settings):
        yield f"tokenizer-config-{name}", files, why
    for label, value in (("number", 5), ("no-default", [{"name": "tools", "template": "x"}])):
        yield f"template-{label}", with_file("tokenizer_config.json", {"chat_template": value}), \
            "neither a template nor a list with a default one"
    yield "template-huge", with_file("chat_template.jinja", b" " * 3_000_000), "3 MB of template"
    yield "template-not-utf8", with_file("chat_template.jinja", b"\xff\xfe"), "not UTF-8"
    yield "template-folder", with_file("chat_template.jinja", os.mkdir), "a folder, not a file"
    for name, text, why in TEMPLATES[:6]:
        yield f"template-{name}", with_file("chat_template.jinja", text.encode()), why


def tokenizer_cases():
    yield from json_cases("tokenizer.json", base_tokenizer())
    yield "missing", without("tokenizer.json"), "no tokenizer.json"

    def changed(change):
        tokenizer = base_tokenizer()
        change(tokenizer)
        return with_file("tokenizer.json", tokenizer)

    def model(**fields):
        return changed(lambda t: t["model"].update(fields))

    def vocab(**fields):
        return changed(lambda t: t["model"]["vocab"].update(fields))

    def split(regex):
        def change(t):
            t["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": regex}
        return changed(change)

    def added(**fields):
        return changed(lambda t: t["added_tokens"][0].update(fields))
    merges = base_tokenizer()["model"]["merges"]
    yield "model-missing", changed(lambda t: t.pop("model")), "no model"
    yield "model-null", changed(lambda t: t.update(model=None)), "null for the model"
    yield "model-unknown", model(type="Frobnicator"), "a model that nobody knows"
    yield "vocab-missing", changed(lambda t: t["model"].pop("vocab")), "no vocabulary"
    yield "vocab-empty", model(vocab={}), "an empty vocabulary"
    yield "vocab-list", model(vocab=TOKENS), "a list for the vocabulary"
    yield "id-negative", vocab(hostile=-1), "a token's id is below 0"
    yield "id-huge", vocab(hostile=2**31), "a token's id is above all rows"
    yield "id-2-63", vocab(hostile=2**63), "a token's id is above all rows"
    yield "id-twice", vocab(hostile=5), "two tokens have one id"
    yield "id-text", vocab(hostile="262"), "an id as text"
    yield "id-fraction", vocab(hostile=262.5), "half an id"
    yield "merges-missing", changed(lambda t: t["model"].pop("merges")), "no merges"
    yield "merges-text", model(merges="t h"), "a string for the merges"
    yield "merges-unknown", model(merges=merges + [["x", "y"]]), "a merge into no token"
    yield "merges-unknown-part", model(merges=merges + [["qq", "zz"]]), "a merge of no tokens"
    yield "merges-one-part", model(merges=merges + [["the"]]), "a merge of one part"
    yield "merges-three-parts", model(merges=merges + [["t", "h", "e"]]), "a merge of three"
    yield "merges-numbers", model(merges=merges + [[1, 2]]), "a merge of numbers"
    yield "split-bad-regex", split("(unclosed"), "not a regular expression"
    yield "split-bad-class", split("[z-a]"), "not a regular expression"
    bomb = split("(a+)+$")
    bomb["tokenizer_config.json"] = json.dumps(
        {"chat_template": "a" * 64 + "!{{ messages[0].content }}"}).encode()
    yield "split-bomb", bomb, "a regular expression of 2^64 steps on the template's text"
    yield "split-number", split(7), "a number for the pattern"
    yield "split-deep", split("(" * 50000 + ")" * 50000), "50,000 groups in groups"
    yield "pre-unknown", changed(lambda t: t["pre_tokenizer"]["pretokenizers"].append(
        {"type": "Frobnicator"})), "a pre-tokenizer that nobody knows"
    yield "pre-text", changed(lambda t: t.update(pre_tokenizer="ByteLevel")), "not an object"
    yield "normalizer-unknown", changed(lambda t: t.update(
        normalizer={"type": "Frobnicator"})), "a normalizer that nobody knows"
    yield "decoder-unknown", changed(lambda t: t.update(
        decoder={"type": "Frobnicator"})), "a decoder that nobody knows"
    yield "added-object", changed(lambda t: t.update(added_tokens={})), "an object, not a list"
    yield "added-no-id", changed(lambda t: t["added_tokens"][0].pop("id")), "no id"
    yield "added-no-content", changed(lambda t: t["added_tokens"][0].pop("content")), "no text"
    yield "added-id-negative", added(id=-1), "an id below 0"
    yield "added-id-taken", added(id=3), "the id of another token"
    yield "added-id-huge", added(id=10**6), "an id above all rows"
    yield "added-empty", added(content=""), "an added token without a letter"


def tensor_cases():
    header, data = base_tensors()
    whole = safetensors(header, data)
    last = "model.layers.1.mlp.down_proj.weight"

    def file(content):
        return with_file("model.safetensors", content)

    def entry(which, **fields):
        changed = copy.deepcopy(header)
        changed[which].update(fields)
        return file(safetensors(changed, data))

    def renamed(name, to):
        return file(safetensors({to if k == name else k: v for k, v in header.items()}, data))
    for length in (0, 4, 8, 9, 500, len(whole) // 2, len(whole) - 1):
        yield f"cut-{length}", file(whole[:length]), f"ends after {length} of {len(whole)} bytes"
    for label, length in (("0", 0), ("1", 1), ("2-31", 2**31), ("2-63", 2**63), ("2-64", 2**64 - 1),
                          ("file", len(whole))):
        yield f"length-{label}", file(safetensors(header, data, length)), "a false header length"
    yield "missing", without("model.safetensors"), "no tensors at all"
    yield "folder", with_file("model.safetensors", os.mkdir), "a folder, not a file"
    yield "pipe", with_file("model.safetensors", os.mkfifo), "a pipe that nobody writes to"
    yield "trailing", file(whole + b"hostile"), "bytes after the last tensor"
    yield "list", file(safetensors(b"[]", b"")), "a list, not an object"
    yield "not-json", file(safetensors(b"hello there", data)), "not JSON"
    yield "no-tensors", file(safetensors({}, b"")), "a header without tensors"
    text = json.dumps(header).encode()
    twice = text[:-1] + b', "' + Q.encode() + b'": ' + json.dumps(header[Q]).encode() + b"}"
    yield "twice", file(safetensors(twice, data)), "a tensor twice"
    for value in ("I64", "F64", "BOOL", "f32", "", "F7_E3M3", None, 3):
        yield f"dtype-{json.dumps(value)}".replace('"', ""), entry(Q, dtype=value), "not a dtype"
    yield "dtype-narrow", entry(Q, dtype="BF16"), "half the bytes of its offsets"
    for label, value in (("zero", [0, 32]), ("negative", [-32, -32]), ("2-62", [2**62]),
                         ("product", [2**32, 2**32]), ("product-wraps", [2**63, 4]),
                         ("fraction", [32.5, 32]), ("text", "32x32"), ("nested", [[32, 32]]),
                         ("null", None), ("rank-5", [1, 1, 1, 32, 32]), ("smaller", [31, 32]),
                         ("transposed", [16, 64])):
        yield f"shape-{label}", entry(Q, shape=value), "a false shape"
    begin, end = header[Q]["data_offsets"]
    for label, value in (("swapped", [end, begin]), ("negative", [-1, end]), ("one", [begin]),
                         ("three", [begin, end, end]), ("overlap", [begin - 4096, end - 4096]),
                         ("2-63", [2**63, 2**63 + end - begin]), ("wraps", [2**64 - 1, 0]),
                         ("text", f"{begin}-{end}"), ("fraction", [begin + 0.5, end + 0.5])):
        yield f"offsets-{label}", entry(Q, data_offsets=value), "false offsets"
    begin, end = header[last]["data_offsets"]
    yield "offsets-past-end", entry(last, data_offsets=[begin + 64, end + 64]), \
        "the last tensor passes the file's end"
    for field in ("dtype", "shape", "data_offsets"):
        changed = copy.deepcopy(header)
        del changed[Q][field]
        yield f"no-{field}", file(safetensors(changed, data)), "a field is missing"
    yield "entry-list", file(safetensors({**header, Q: [1, 2]}, data)), "not an object"
    yield "name-empty", renamed(Q, ""), "a tensor without a name"
    yield "name-long", renamed(Q, "n" * 5000), "a name of 5,000 letters"
    for name in (Q, "model.embed_tokens.weight", "model.norm.weight"):
        yield f"name-other-{name}", renamed(name, "other.weight"), "a needed tensor is missing"
    yield "type-integers", entry(Q, dtype="I32"), "a matrix of integers"
    fp8 = copy.deepcopy(header)
    fp8[Q] = {**header[Q], "dtype": "F8_E4M3", "shape": [32, 128]}
    yield "fp8-shape", file(safetensors(fp8, data)), "an FP8 matrix four times as wide"


def shard_cases():
    header, data = base_tensors()

    def sharded(change_map, index=None):
        files = without("model.safetensors")
        files["model-1.safetensors"] = safetensors(header, data)
        weight_map = {name: "model-1.safetensors" for name in header if name != "__metadata__"}
        change_map(weight_map)
        files["model.safetensors.index.json"] = json.dumps(
            {"metadata": {}, "weight_map": weight_map} if index is None else index).encode()
        return files
    for label, shard in (("parent", "../model-1.safetensors"), ("etc", "/etc/passwd"),
                         ("absolute", "/dev/zero.safetensors"), ("missing", "no.safetensors"),
                         ("folder", "sub/model-1.safetensors"), ("dots", ".."), ("empty", ""),
                         ("nul", "model-1.safetensors\0"), ("config", "config.json"),
                         ("number", 1), ("null", None),
                         ("windows", "..\\model-1.safetensors")):
        yield label, sharded(lambda m: m.update({Q: shard})), "a shard that is not in the folder"
    yield "extra-tensor", sharded(lambda m: m.update({"other": "model-1.safetensors"})), \
        "a tensor that the shard does not hold"
    yield "map-empty", sharded(lambda m: m.clear()), "no shard"
    yield "map-missing", sharded(lambda m: None, {"metadata": {}}), "no weight_map"
    yield "map-list", sharded(lambda m: None, {"weight_map": []}), "a list for the map"
    files = sharded(lambda m: None)
    files["model.safetensors.index.json"] = files["model.safetensors.index.json"][:-20]
    yield "index-cut", files, "the index is cut short"
    files = sharded(lambda m: m.update({Q: "model-2.safetensors"}))
    files["model-2.safetensors"] = files["model-1.safetensors"]
    yield "tensor-twice", files, "two shards hold the same tensors"
    files = sharded(lambda m: None)
    files["model-1.safetensors"] = files["model-1.safetensors"][:-100]
    yield "shard-cut", files, "the shard is cut short"
    files = without("model.safetensors")
    files["a.safetensors"] = files["b.safetensors"] = safetensors(header, data)
    yield "no-index", files, "two files of tensors and no index"


GROUPS = {"config": config_cases, "side": side_file_cases, "tokenizer": tokenizer_cases,
          "tensors": tensor_cases, "shards": shard_cases}
