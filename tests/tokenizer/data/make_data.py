#!/usr/bin/env python3
"""Makes the small tokenizers of this folder and their goldens, with Hugging Face's `tokenizers`
(0.23.3) as the reference. Run it in this folder; the files are kept in the repository."""

import json

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = """The data goes one way: text to tokens, tokens to a batch, a batch to logits, and back again.
It's what we'll read, and they've read it: the reader's model isn't the writer's model. I'd say so.
A tokenizer cuts words into pieces; common words stay whole, rare words fall apart into letters.
1234 tokens in 5678 steps, 12 layers, 100 heads. def f(x): return x + 1  # code, too
Straße, café, naïve, Größe, año; мир, слово, язык; 東京 日本 語; hello hello hello world
""" * 3

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]

TEXTS = [
    "", " ", "  ", "a", "Hello, world!", "The data goes one way.", " leading", "trailing ", "a  b", "a   b",
    "It's they'VE we'll I'D 'ſ isn't", "123", "1234567 12,345.67", "x+=1;\n\n  y--\n", "\n", "\n\n\n", " \n \n x",
    "\r\n\r\n", "\t\tcode", "a\u00a0b\u2003c\u3000d\u0085e\u2028f", "\ufeffx\u180ey\u200bz", "Straße café naïve Größe",
    "e\u0301 A\u030a o\u0323\u0301 \u1100\u1161\u11a8 \u212b \u2126", "мир слово язык", "東京タワー 日本語 ひらがな カタカナ",
    "안녕하세요", "नमस्ते", "😀👨‍👩‍👧‍👦🇩🇪", "½ ² Ⅷ ① ٣٤٥٦", "\u0378\u0379 \U00010d40\U0001cc00", "\x00\x01\x7f",
    "▁ ▁▁ a▁b", "<0x0A> <unk>", "<s>text</s>", "<s> text </s> text", "<|end|>\n\n next <|end|>", "hello<tool>world</tool>",
    " <tool> ", "<tool", "<<tool>>", "word keyword words word", "word", "a.word.b word1",
    "tokenstokenstokenizerthereadermodelreadwritewordsintopiecesbatchlogitstextwordtokenscutcommonrare" * 2,
    "a" * 150, "ab" * 70, "\n" * 70, " " * 90, "=" * 100, "9" * 101, "é" * 60, "東" * 50, "the" * 40 + " " + "tion" * 30,
    "a b c d e f g h i j k l m n o p q r s t u v w x y z", "…—«»„“”‘’ ¿¡ € £ ¥ © ®", "C++ -> x != y && z || w",
]


def added(content, special=False, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special, **flags}


ADDED = [added("<s>", True), added("</s>", True), added("<|end|>", True, rstrip=True), added("<tool>"),
         added("</tool>", lstrip=True), added("<t", False), added("word", False, single_word=True),
         added("\n\n\n"), added("Größe", False, normalized=True)]


def train(pre_tokenizer, size, alphabet, text=TEXT):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]


def write(name, tokenizer, texts=TEXTS):
    for token in tokenizer["added_tokens"]:
        vocab = tokenizer["model"]["vocab"]
        used = len(vocab) + sum(t["content"] not in vocab for t in tokenizer["added_tokens"] if "id" in t)
        token["id"] = vocab.get(token["content"], used)
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    open(name + ".json", "w").write(text + "\n")
    reference = Tokenizer.from_str(text)
    with open(name + ".jsonl", "w") as out:
        for text in texts:
            row = {"text": text}
            reference.encode_special_tokens = False
            row["ids"] = reference.encode(text, add_special_tokens=False).ids
            row["with_special"] = reference.encode(text, add_special_tokens=True).ids
            reference.encode_special_tokens = True
            row["plain"] = reference.encode(text, add_special_tokens=False).ids
            row["decoded"] = reference.decode(row["with_special"], skip_special_tokens=False)
            row["without_special"] = reference.decode(row["with_special"], skip_special_tokens=True)
            out.write(json.dumps(row, separators=(",", ":")) + "\n")


def state(component):
    return json.loads(component.__getstate__().decode())


def document(vocab, merges, tokens=ADDED, **parts):
    options = parts.pop("options", {})
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [dict(t) for t in tokens],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "ignore_merges": False, **options, "vocab": vocab, "merges": merges}}


def template(vocab, tokens, before="<s>", after=None):
    ids = {t["content"]: i for i, t in enumerate([t for t in tokens if t["content"] not in vocab], len(vocab))}
    ids.update({k: vocab[k] for k in (before, after) if k in vocab})
    single = ([before] if before else []) + ["$A"] + ([after] if after else [])
    names = [n for n in (before, after) if n]
    return state(processors.TemplateProcessing(single=single, special_tokens=[(n, ids[n]) for n in names]))


def byte_level_files():
    letters = pre_tokenizers.ByteLevel.alphabet()
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    decoder = state(decoders.ByteLevel())

    def splits(*patterns):
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns] + [level])

    chains = {
        "qwen": (splits(QWEN2), {"normalizer": {"type": "NFC"}}, {}),
        "llama3": (splits(LLAMA3), {}, {"ignore_merges": True}),
        "deepseek": (splits(*DEEPSEEK), {"normalizer": {"type": "Sequence", "normalizers": []}}, {}),
        "smollm": (pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)]), {}, {}),
        "prefix_space": (pre_tokenizers.ByteLevel(True), {}, {}),
        # A pattern without a scanner of its own, one that leaves gaps, and one that may match nothing.
        "regex": (pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"[aeiou]+\w?"), "merged_with_next"),
                                           pre_tokenizers.Split(Regex(r"\d*"), "isolated"), level]), {}, {}),
    }
    for name, (chain, parts, options) in chains.items():
        vocab, merges = train(chain, 340, letters)
        if name == "llama3":
            vocab["Ġlogits!"] = len(vocab)  # reached only as a whole piece
            vocab["token"] = vocab.get("token", len(vocab))
        if name in ("deepseek", "smollm"):
            merges = [" ".join(m) for m in merges]
        post = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
        if name == "llama3":
            post = {"type": "Sequence", "processors": [post, template(vocab, ADDED)]}
        if name == "regex":
            post = template(vocab, ADDED, "<s>", "</s>")
        write(name, document(vocab, merges, pre_tokenizer=state(chain), decoder=decoder, post_processor=post,
                             options=options, **parts))


def sentence_piece_files():
    marker = "\u2581"
    text = TEXT.replace(" ", marker)
    pieces, merges = train(pre_tokenizers.Metaspace(marker, "always"), 200, [])
    runs = [marker * n for n in range(2, 9)]
    vocab = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])}
    for piece in list(pieces) + runs:
        vocab.setdefault(piece, len(vocab))
    merges = [[marker * a, marker * (n - a)] for n in range(2, 9) for a in range(1, n)] + merges
    merges = [" ".join(m) for m in merges]
    options = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": marker}
    back = {"type": "Replace", "pattern": {"String": marker}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    chain = [back, {"type": "ByteFallback"}, {"type": "Fuse"}]
    unk = [added("<unk>", True)]
    llama = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": marker}, replace]}
    write("llama2", document(vocab, merges, unk + ADDED, normalizer=llama, options=options,
                             decoder={"type": "Sequence", "decoders": chain + [strip]},
                             post_processor=template(vocab, unk + ADDED)))
    no_normalized = [t for t in unk + ADDED if not t["normalized"]]
    write("gemma", document(vocab, merges, no_normalized, normalizer=replace, options=options,
                            pre_tokenizer={"type": "Split", "pattern": {"String": " "},
                                           "behavior": "MergedWithPrevious", "invert": False},
                            decoder={"type": "Sequence", "decoders": chain},
                            post_processor=template(vocab, no_normalized)))
    space = state(pre_tokenizers.Metaspace(marker, "first", split=False))
    write("metaspace", document(vocab, merges, unk + ADDED, pre_tokenizer=space, options=options,
                                decoder=state(decoders.Metaspace(marker, "first", split=False))))
    # No byte tokens: unknown characters, fused or not, and dropped where there is no unknown token.
    some = {t: i for i, t in enumerate(["<unk>"] + [t for t in vocab if not t.startswith("<")])}
    split = state(pre_tokenizers.Metaspace(marker, "always"))
    for name, extra in (("unknown", {"unk_token": "<unk>"}), ("fused", {"unk_token": "<unk>", "fuse_unk": True}),
                        ("dropped", {})):
        write(name, document(some, merges, unk, pre_tokenizer=split, options=extra))


def split_cases():
    behaviors = ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]
    texts = ["", "a", "-", "--", "a-b", "a--b", "-a-", "--a--b--", "the-final--countdown", "日-本"]
    with open("splits.jsonl", "w") as out:
        for behavior in behaviors:
            for pattern in ("-", Regex("-"), Regex("-*"), Regex("--|a")):
                for invert in (False, True):
                    split = pre_tokenizers.Split(pattern, behavior, invert)
                    for text in texts:
                        pieces = [p for p, _ in split.pre_tokenize_str(text)] if text else []
                        row = {**state(split), "text": text, "pieces": pieces}
                        out.write(json.dumps(row, separators=(",", ":")) + "\n")


byte_level_files()
sentence_piece_files()
split_cases()
