"""Hostile GGUF files. Each function yields (name, bytes, why): one change to the right model."""
import struct

from model_files import (BOOL, EOS, F32, I32, I64, LIST, MERGES, STRING, TENSOR_I32, TENSOR_Q8_0,
                         TOKENS, U16, U32, U64, base_gguf, gguf_string, list_bytes)
from templates import TEMPLATES

BASE = base_gguf()
NAN, INF = float("nan"), float("inf")
Q = "blk.0.attn_q.weight"


def changed(change):
    g = BASE.copy()
    change(g)
    return g.bytes()


def assign(**fields):
    return lambda g: g.__dict__.update(fields)


def header_cases():
    yield "empty", b"", "no byte at all"
    yield "magic", changed(assign(magic=b"GGML")), "the magic of another format"
    yield "magic-lowercase", changed(assign(magic=b"gguf")), "the magic in lower case"
    yield "text", b"This is not a model.\n" * 99, "a text file"
    yield "zeros", bytes(4096), "4,096 zero bytes"
    for version in (0, 1, 4, 0xFFFFFFFF):
        yield f"version-{version}", changed(assign(version=version)), "a version that is not read"
    big = b"GGUF" + struct.pack(">IQQ", 3, len(BASE.tensors), len(BASE.pairs))
    yield "big-endian", big + BASE.bytes()[24:], "a big-endian header"
    for name, count in (("2-63", 2**63), ("2-64", 2**64 - 1), ("1e6", 10**6)):
        yield f"tensor-count-{name}", changed(assign(num_tensors=count)), "a false tensor count"
        yield f"pair-count-{name}", changed(assign(num_pairs=count)), "a false count of pairs"
    yield ("tensor-count-plus-one", changed(assign(num_tensors=len(BASE.tensors) + 1)),
           "one tensor more than there is")
    yield ("pair-count-plus-one", changed(assign(num_pairs=len(BASE.pairs) + 1)),
           "one pair more than there is")
    yield ("pair-count-minus-one", changed(assign(num_pairs=len(BASE.pairs) - 1)),
           "one pair fewer than there is")


def pair_cases():
    def raw(kind, payload):
        return changed(lambda g: g.set_raw("hostile.key", kind, payload))
    yield "type-13", raw(13, bytes(8)), "a type that the format does not have"
    yield "type-max", raw(0xFFFFFFFF, bytes(8)), "a type that the format does not have"
    yield "bool-2", raw(BOOL, b"\2"), "a bool that is 2"
    for name, length in (("2-63", 2**63), ("2-64", 2**64 - 1), ("wraps", 2**64 - 64),
                         ("1e9", 10**9)):
        yield f"string-length-{name}", raw(STRING, struct.pack("<Q", length)), "a false length"
        yield (f"key-length-{name}", changed(lambda g: g.__dict__.update(
            extra_pairs=struct.pack("<Q", length) + b"k", num_extra=1)), "a false length of a key")
        yield f"list-count-{name}", raw(LIST, struct.pack("<IQ", U32, length)), "a false count"
    yield "list-count-product", raw(LIST, struct.pack("<IQ", U64, 2**61 + 1) + bytes(8)), \
        "a count that wraps around when it is multiplied by 8"
    yield "list-strings-count", raw(LIST, struct.pack("<IQ", STRING, 10**9)), \
        "10^9 strings in a file of 100 KB"
    yield "list-type-99", raw(LIST, struct.pack("<IQ", 99, 1) + bytes(8)), "a list of no type"
    yield "list-deep", raw(LIST, struct.pack("<IQ", LIST, 1) * 10000), "10,000 lists in lists"
    yield "list-bool-7", raw(LIST, list_bytes(BOOL, [7])), \
        "a bool that is not one"
    yield "key-empty", changed(lambda g: g.set("", U32, 1)), "a key without a letter"
    yield "key-escape", changed(lambda g: g.set("\x1b[2J", U32, 1)), \
        "a key that would clear the terminal"
    yield "key-not-utf8", changed(lambda g: g.add_again(b"\xff\xfe", U32, 1)), "a key of no text"
    yield "key-long", changed(lambda g: g.set("k" * 70000, U32, 1)), "a key of 70,000 letters"
    yield "key-twice", changed(lambda g: g.add_again("qwen3.block_count", U32, 2)), \
        "the same key twice"
    for alignment in (0, 1, 3, 24, 2**31):
        yield (f"alignment-{alignment}",
               changed(lambda g: g.set("general.alignment", U32, alignment)),
               "an alignment that is not a power of two in reason")
    yield "alignment-text", changed(lambda g: g.set("general.alignment", STRING, "32")), \
        "an alignment that is a string"


def tensor_cases():
    def edit(which, **fields):
        return changed(lambda g: g.tensor(which).__dict__.update(fields))
    yield "rank-0", edit(Q, sizes=[]), "no dimension"
    yield "rank-5", edit(Q, sizes=[1, 1, 1, 32, 32]), "five dimensions"
    yield "rank-max", edit(Q, rank=0xFFFFFFFF), "4e9 dimensions"
    yield "size-0", edit(Q, sizes=[0, 32]), "a dimension of 0"
    for name, sizes in (("2-62", [2**62]), ("2-64", [2**64 - 1, 1]), ("product", [2**32, 2**32]),
                        ("product-wraps", [2**63, 4]), ("1e12", [10**12, 32])):
        yield f"size-{name}", edit(Q, sizes=sizes), "sizes that overflow or pass the file's end"
    yield "type-unknown", edit(Q, kind=1000), "a type that ggml does not have"
    yield "type-unread", edit(Q, kind=16), "IQ2_XXS, which is not read"
    yield "type-row", edit("blk.0.attn_q_norm.weight", kind=TENSOR_Q8_0), \
        "rows of 8 in blocks of 32"
    yield "type-integers", edit(Q, kind=TENSOR_I32), "a matrix of integers"
    yield "type-norm", changed(lambda g: g.tensor("output_norm.weight").__dict__.update(
        kind=TENSOR_Q8_0, data=bytes(34))), "a norm in a block type"
    for name, offset in (("overlap", 0), ("odd", 33793), ("gap", 2**20), ("2-63", 2**63),
                         ("2-64", 2**64 - 32)):
        yield f"offset-{name}", edit("output_norm.weight", offset=offset), "a false offset"
    yield "name-twice", edit("blk.1.attn_q.weight", name=Q), "two tensors of one name"
    yield "name-empty", edit(Q, name=""), "a tensor without a name"
    yield "name-long", edit(Q, name="n" * 5000), "a name of 5,000 letters"
    yield "name-not-utf8", edit(Q, name=b"\xff"), "a name of no text"
    yield "name-escape", edit(Q, name="\x1b[2J"), "a needed tensor has a name of control letters"
    for name in ("token_embd.weight", "output_norm.weight", Q, "blk.1.ffn_down.weight",
                 "blk.0.attn_k_norm.weight"):
        yield (f"missing-{name}", changed(lambda g: g.tensors.remove(g.tensor(name))),
               "a needed tensor is missing")
    yield "none", changed(lambda g: g.tensors.clear()), "no tensor at all"
    for name, sizes in ((Q, [16, 64]), ("blk.1.ffn_up.weight", [32, 64]),
                        ("output.weight", [132, 64]), ("token_embd.weight", [132, 64]),
                        ("output_norm.weight", [2, 16]), ("blk.0.attn_v.weight", [512])):
        yield f"shape-{name}", edit(name, sizes=sizes), "a shape that the numbers do not allow"
    yield "output-rows", changed(lambda g: g.tensor("output.weight").__dict__.update(
        sizes=[200, 32], data=bytes(200 * 32 * 4))), "fewer rows of output than of embedding"


def number_cases():
    def number(key, kind, value):
        return changed(lambda g: g.set(key, kind, value))
    yield "architecture-unknown", number("general.architecture", STRING, "frobnicator"), \
        "an architecture that nobody knows"
    yield "architecture-missing", changed(lambda g: g.pairs.pop("general.architecture")), \
        "no architecture"
    yield "architecture-number", number("general.architecture", U32, 3), "not a string"
    sizes = {"block_count": (0, 3, 10**6, 2**32 - 1), "context_length": (0, 2**32 - 1),
             "embedding_length": (0, 31, 64, 2**31), "feed_forward_length": (0, 63, 2**31),
             "attention.head_count": (0, 3, 8, 2**31),
             "attention.head_count_kv": (0, 3, 4, 8, 2**31),
             "attention.key_length": (0, 7, 16, 2**31), "rope.dimension_count": (0, 4, 16)}
    for key, values in sizes.items():
        for value in values:
            yield f"{key}-{value}", number(f"qwen3.{key}", U32, value), \
                "a size that the tensors or reason forbid"
    for key in ("block_count", "embedding_length", "feed_forward_length", "attention.head_count",
                "context_length", "attention.layer_norm_rms_epsilon"):
        yield f"{key}-missing", changed(lambda g: g.pairs.pop(f"qwen3.{key}")), \
            "a number that a decoder needs is missing"
    yield "block_count-negative", number("qwen3.block_count", I32, -1), "-1 layers"
    yield "block_count-i64-min", number("qwen3.block_count", I64, -2**63), "-2^63 layers"
    yield "block_count-u64-max", number("qwen3.block_count", U64, 2**64 - 1), "2^64 - 1 layers"
    yield "block_count-text", number("qwen3.block_count", STRING, "2"), "a number as text"
    yield "block_count-fraction", number("qwen3.block_count", F32, 1.5), "1.5 layers"
    yield "block_count-nan", number("qwen3.block_count", F32, NAN), "NaN layers"
    yield "head_count-bool", number("qwen3.attention.head_count", BOOL, 1), "a bool"
    for name, value in (("zero", 0.0), ("negative", -1e-6), ("nan", NAN), ("inf", INF)):
        yield f"eps-{name}", number("qwen3.attention.layer_norm_rms_epsilon", F32, value), \
            "an epsilon that is not above 0 and finite"
        yield f"freq_base-{name}", number("qwen3.rope.freq_base", F32, value), \
            "a base that is not above 0 and finite"

    def scaling(kind, factor):
        def change(g):
            g.set("qwen3.rope.scaling.type", STRING, kind)
            if factor is not None:
                g.set("qwen3.rope.scaling.factor", F32, factor)
            g.set("qwen3.rope.scaling.original_context_length", U32, 64)
        return changed(change)
    yield "rope-unknown", scaling("frobnicated", 2.0), "a scaling that nobody knows"
    for name, factor in (("zero", 0.0), ("negative", -4.0), ("nan", NAN), ("inf", INF),
                         ("missing", None)):
        yield f"rope-factor-{name}", scaling("yarn", factor), "a factor that makes no sense"


def tokenizer_cases():
    def key(name, kind, value):
        return changed(lambda g: g.set(f"tokenizer.ggml.{name}", kind, value))

    def listed(name, kind, values):
        return changed(lambda g: g.set_list(f"tokenizer.ggml.{name}", kind, values))

    def drop(name):
        return changed(lambda g: g.pairs.pop(f"tokenizer.ggml.{name}"))
    yield "none", changed(lambda g: [g.pairs.pop(k) for k in list(g.pairs)
                                     if k.startswith("tokenizer.")]), "no tokenizer"
    yield "model-missing", drop("model"), "which tokenizer it is, is not said"
    yield "model-unknown", key("model", STRING, "frobnicator"), "a tokenizer that nobody knows"
    yield "model-number", key("model", U32, 7), "not a string"
    yield "pre-unknown", key("pre", STRING, "frobnicator"), "a split that nobody knows"
    yield "tokens-missing", drop("tokens"), "no tokens"
    yield "tokens-empty", listed("tokens", STRING, []), "a list of no tokens"
    yield "tokens-numbers", listed("tokens", U32, list(range(len(TOKENS)))), "numbers, not strings"
    yield "tokens-not-a-list", key("tokens", STRING, "abc"), "a string, not a list"
    for name, token, why in (("twice", "a", "the same token under two ids"),
                             ("not-utf8", b"\xff\xfe", "a token that is not UTF-8")):
        yield f"tokens-{name}", changed(lambda g: (
            g.set_list("tokenizer.ggml.tokens", STRING, TOKENS + [token]),
            g.set_list("tokenizer.ggml.token_type", I32, [1] * (len(TOKENS) + 1)))), why
    extra = [f"<|extra{i}|>" for i in range(40)]
    yield "tokens-too-many", changed(lambda g: (
        g.set_list("tokenizer.ggml.tokens", STRING, TOKENS + extra),
        g.set_list("tokenizer.ggml.token_type", I32, [1] * (len(TOKENS) + 40)))), \
        "more tokens than rows of the embedding"
    yield "types-short", listed("token_type", I32, [1] * 10), "types of 10 tokens only"
    yield "types-long", listed("token_type", I32, [1] * 1000), "types of 1,000 tokens"
    yield "types-text", listed("token_type", STRING, ["1"] * len(TOKENS)), "strings for types"
    yield "merges-missing", drop("merges"), "no merges"
    pairs = [" ".join(pair) for pair in MERGES]
    yield "merges-unknown", listed("merges", STRING, pairs + ["x y"]), "a merge into no token"
    yield "merges-unknown-part", listed("merges", STRING, pairs + ["qq zz"]), \
        "a merge of what are no tokens"
    yield "merges-one-part", listed("merges", STRING, pairs + ["the"]), "a merge of one part"
    yield "merges-empty-text", listed("merges", STRING, pairs + [""]), "a merge of nothing"
    yield "merges-numbers", listed("merges", U16, [1, 2]), "numbers, not strings"
    for name, value in (("at-the-end", 264), ("2-31", 2**31), ("max", 2**32 - 1)):
        yield f"eos-{name}", key("eos_token_id", U32, value), "an id above all"
    yield "eos-negative", key("eos_token_id", I32, -5), "an id below 0"
    yield "eos-text", key("eos_token_id", STRING, str(EOS)), "an id as text"
    yield "bos-out-of-range", changed(lambda g: (
        g.set("tokenizer.ggml.bos_token_id", U32, 10**6),
        g.set("tokenizer.ggml.add_bos_token", BOOL, 1))), "an id above all, at each beginning"
    yield "add-bos-text", key("add_bos_token", STRING, "yes"), "a switch that is a string"


def template_cases():
    for name, text, why in TEMPLATES:
        yield name, changed(lambda g: g.set("tokenizer.chat_template", STRING, text)), why
    yield "number", changed(lambda g: g.set("tokenizer.chat_template", U32, 5)), "not a string"
    text = b"{{ '\xff' }}"
    yield "not-utf8", changed(lambda g: g.set("tokenizer.chat_template", STRING, text)), "not UTF-8"


def truncation_cases():
    whole = BASE.bytes()
    info = whole.index(gguf_string("token_embd.weight"))
    data = len(whole) - sum(len(t.data) + -len(t.data) % 32 for t in BASE.tensors)
    places = {"magic": 3, "version": 6, "counts": 20, "header": 24, "key-length": 28, "key": 36,
              "tokens": whole.index(b"tokenizer.ggml.tokens") + 500,
              "merges": whole.index(b"tokenizer.ggml.merges") + 40,
              "template": whole.index(b"im_start|>{{"), "tensor-name": info + 12,
              "tensor-sizes": info + 35, "before-data": data - 32, "at-data": data,
              "first-tensor": data + 100, "last-tensor": len(whole) - 100,
              "last-byte": len(whole) - 1}
    for name, length in places.items():
        yield name, whole[:length], f"ends after {length} of {len(whole)} bytes"
    for eighth in range(1, 8):
        length = len(whole) * eighth // 8
        yield f"{eighth}-of-8", whole[:length], f"ends after {length} of {len(whole)} bytes"


GROUPS = {"header": header_cases, "pair": pair_cases, "tensor": tensor_cases,
          "number": number_cases, "tokenizer": tokenizer_cases, "template": template_cases,
          "cut": truncation_cases}


def split_parts(count=3):
    """The right model as the bytes of `count` parts."""
    parts = []
    for number in range(count):
        part = BASE.copy()
        if number > 0:
            part.pairs = {}
        part.tensors = BASE.tensors[number::count]
        part.set("split.no", U16, number)
        part.set("split.count", U16, count)
        part.set("split.tensors.count", I32, len(BASE.tensors))
        parts.append(part)
    return parts


def split_cases():
    """Yields (name, parts of the set by file name, why); the first part is the one to open."""
    def files(parts):
        return {f"m-{i + 1:05}-of-00003.gguf": p.bytes() for i, p in enumerate(parts)
                if p is not None}

    def case(change):
        parts = split_parts()
        change(parts)
        return files(parts)

    def no_third(parts):
        parts[2] = None

    def same_twice(parts):
        parts[2] = parts[1]

    def two_of_one_name(parts):
        parts[2].tensors[0].name = parts[1].tensors[0].name
    yield "missing-part", case(no_third), "the third part is not there"
    yield "same-part-twice", case(same_twice), "the second part stands in the third's place"
    yield "tensor-twice", case(two_of_one_name), "two parts have a tensor of one name"
    yield "wrong-count", case(lambda p: p[1].set("split.count", U16, 4)), \
        "a part says that there are four"
    yield "wrong-number", case(lambda p: p[0].set("split.no", U16, 2)), \
        "the first part says that it is the third"
    yield "number-past-count", case(lambda p: p[0].set("split.no", U16, 9)), "part 10 of 3"
    yield "count-negative", case(lambda p: p[0].set("split.count", I32, -3)), "-3 parts"
    yield "count-huge", case(lambda p: p[0].set("split.count", U16, 65535)), "65,535 parts"
    yield "wrong-tensors", case(lambda p: p[0].set("split.tensors.count", I32, 99)), \
        "99 tensors are promised"
    broken = case(lambda p: None)
    broken["m-00002-of-00003.gguf"] = broken["m-00002-of-00003.gguf"][:200]
    yield "part-cut", broken, "the second part is cut short"
    yield "renamed", {"model.gguf": split_parts()[0].bytes()}, \
        "a part under a name that does not lead to the others"
