"""Writers of GGUF and safetensors bytes, and the tiny right model that hostile cases start from.

The model is a Qwen3 decoder with random weights: width 32, 2 layers, 4 query and 2 key/value heads
of 8, feed-forward width 64, and a byte-level BPE of 262 tokens under an embedding of 264 rows.
"""
import copy
import json
import random
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, LIST, U64, I64, F64 = range(13)
TENSOR_F32, TENSOR_Q8_0, TENSOR_I32 = 0, 8, 26

WIDTH, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, ROWS = 32, 2, 4, 2, 8, 64, 264
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B",
        U64: "<Q", I64: "<q", F64: "<d"}

CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
          "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def gguf_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value_bytes(kind, value):
    return gguf_string(value) if kind == STRING else struct.pack(PACK[kind], value)


def list_bytes(kind, values):
    return struct.pack("<IQ", kind, len(values)) + b"".join(value_bytes(kind, v) for v in values)


class Tensor:
    def __init__(self, name, sizes, data, kind=TENSOR_F32):
        self.name, self.sizes, self.data, self.kind = name, sizes, data, kind  # outermost first
        self.offset = None  # overrides the right one
        self.rank = None


class Gguf:
    """A file whose every field can be set wrong."""

    def __init__(self):
        self.magic, self.version, self.alignment = b"GGUF", 3, 32
        self.num_tensors = self.num_pairs = None
        self.pairs, self.extra_pairs, self.tensors = {}, b"", []
        self.num_extra = 0

    def copy(self):
        return copy.deepcopy(self)

    def set(self, key, kind, value):
        self.pairs[key] = struct.pack("<I", kind) + value_bytes(kind, value)

    def set_list(self, key, kind, values):
        self.pairs[key] = struct.pack("<I", LIST) + list_bytes(kind, values)

    def set_raw(self, key, kind, payload):
        self.pairs[key] = struct.pack("<I", kind) + payload

    def add_again(self, key, kind, value):
        self.extra_pairs += gguf_string(key) + struct.pack("<I", kind) + value_bytes(kind, value)
        self.num_extra += 1

    def tensor(self, name):
        return next(t for t in self.tensors if t.name == name)

    def header(self):
        num_tensors = len(self.tensors) if self.num_tensors is None else self.num_tensors
        num_pairs = (len(self.pairs) + self.num_extra if self.num_pairs is None
                     else self.num_pairs)
        return self.magic + struct.pack("<IQQ", self.version, num_tensors, num_pairs)

    def bytes(self):
        out = self.header()
        for key, payload in self.pairs.items():
            out += gguf_string(key) + payload
        out += self.extra_pairs
        data = b""
        for t in self.tensors:
            rank = len(t.sizes) if t.rank is None else t.rank
            out += gguf_string(t.name) + struct.pack("<I", rank)
            out += b"".join(struct.pack("<Q", size) for size in reversed(t.sizes))
            out += struct.pack("<IQ", t.kind, len(data) if t.offset is None else t.offset)
            data += t.data + bytes(-len(t.data) % self.alignment)
        return out + bytes(-len(out) % self.alignment) + data


def byte_letters():
    """The letter that byte-level BPE writes for each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, spare = {}, 256
    for byte in range(256):
        letters[byte] = chr(byte if byte in shown else spare)
        spare += byte not in shown
    return [letters[byte] for byte in range(256)]


SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = [("t", "h"), ("th", "e"), ("\u0120", "the")]
TOKENS = byte_letters() + ["".join(pair) for pair in MERGES] + SPECIAL
EOS = len(TOKENS) - 1


def tensor_shapes():
    """(GGUF name, Hugging Face name, sizes) of all tensors."""
    shapes = [("token_embd", "model.embed_tokens", [ROWS, WIDTH]),
              ("output_norm", "model.norm", [WIDTH]), ("output", "lm_head", [ROWS, WIDTH])]
    for i in range(LAYERS):
        ours, theirs = f"blk.{i}.", f"model.layers.{i}."
        shapes += [(ours + "attn_norm", theirs + "input_layernorm", [WIDTH]),
                   (ours + "attn_q", theirs + "self_attn.q_proj", [HEADS * HEAD_DIM, WIDTH]),
                   (ours + "attn_k", theirs + "self_attn.k_proj", [KV_HEADS * HEAD_DIM, WIDTH]),
                   (ours + "attn_v", theirs + "self_attn.v_proj", [KV_HEADS * HEAD_DIM, WIDTH]),
                   (ours + "attn_q_norm", theirs + "self_attn.q_norm", [HEAD_DIM]),
                   (ours + "attn_k_norm", theirs + "self_attn.k_norm", [HEAD_DIM]),
                   (ours + "attn_output", theirs + "self_attn.o_proj", [WIDTH, HEADS * HEAD_DIM]),
                   (ours + "ffn_norm", theirs + "post_attention_layernorm", [WIDTH]),
                   (ours + "ffn_gate", theirs + "mlp.gate_proj", [FFN, WIDTH]),
                   (ours + "ffn_up", theirs + "mlp.up_proj", [FFN, WIDTH]),
                   (ours + "ffn_down", theirs + "mlp.down_proj", [WIDTH, FFN])]
    return [(ours + ".weight", theirs + ".weight", sizes) for ours, theirs, sizes in shapes]


def tensor_data(sizes, draw):
    count = 1
    for size in sizes:
        count *= size
    values = [1.0] * count if len(sizes) == 1 else [draw.gauss(0, 0.2) for _ in range(count)]
    return struct.pack(f"<{count}f", *values)


def base_gguf(family="qwen3"):
    """The right model as GGUF; "llama" is the same without the norms of queries and keys."""
    draw = random.Random(7)
    g = Gguf()
    g.set("general.architecture", STRING, family)
    g.set("general.name", STRING, "tiny")
    for key, value in [("block_count", LAYERS), ("context_length", 256),
                       ("embedding_length", WIDTH), ("feed_forward_length", FFN),
                       ("attention.head_count", HEADS), ("attention.head_count_kv", KV_HEADS),
                       ("attention.key_length", HEAD_DIM), ("attention.value_length", HEAD_DIM)]:
        g.set(f"{family}.{key}", U32, value)
    g.set(f"{family}.attention.layer_norm_rms_epsilon", F32, 1e-6)
    g.set(f"{family}.rope.freq_base", F32, 10000.0)
    g.set("tokenizer.ggml.model", STRING, "gpt2")
    g.set("tokenizer.ggml.pre", STRING, "qwen2")
    g.set_list("tokenizer.ggml.tokens", STRING, TOKENS)
    g.set_list("tokenizer.ggml.token_type", I32, [3 if t in SPECIAL else 1 for t in TOKENS])
    g.set_list("tokenizer.ggml.merges", STRING, [" ".join(pair) for pair in MERGES])
    g.set("tokenizer.ggml.eos_token_id", U32, EOS)
    g.set("tokenizer.ggml.padding_token_id", U32, EOS - 2)
    g.set("tokenizer.ggml.add_bos_token", BOOL, 0)
    g.set("tokenizer.chat_template", STRING, CHATML)
    for name, _, sizes in tensor_shapes():
        data = tensor_data(sizes, draw)
        if family == "qwen3" or not name.endswith(("_q_norm.weight", "_k_norm.weight")):
            g.tensors.append(Tensor(name, sizes, data))
    return g


def safetensors(header, data, length=None):
    """`header`: a dictionary, or text as it shall stand there."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def base_tensors():
    """(header, data) of the right model's tensors."""
    draw = random.Random(7)
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for _, name, sizes in tensor_shapes():
        values = tensor_data(sizes, draw)
        header[name] = {"dtype": "F32", "shape": sizes,
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    return header, data


def base_config():
    return {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "intermediate_size": FFN,
            "vocab_size": ROWS, "max_position_embeddings": 256, "rms_norm_eps": 1e-06,
            "rope_theta": 10000.0, "rope_scaling": None, "hidden_act": "silu",
            "attention_bias": False, "tie_word_embeddings": False, "eos_token_id": EOS,
            "torch_dtype": "float32"}


QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
               r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def base_tokenizer():
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                  "use_regex": False}
    first_special = len(TOKENS) - len(SPECIAL)
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": first_special + i, "content": text, "single_word": False,
                              "lstrip": False, "rstrip": False, "normalized": False,
                              "special": True} for i, text in enumerate(SPECIAL)],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": QWEN2_SPLIT}, "behavior": "Isolated",
                 "invert": False}, byte_level]},
            "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {t: i for i, t in enumerate(TOKENS[:first_special])},
                      "merges": [list(pair) for pair in MERGES]}}


def base_folder():
    """The right model as the files of a Hugging Face folder: name -> bytes."""
    header, data = base_tensors()
    return {"config.json": json.dumps(base_config()).encode(),
            "generation_config.json": json.dumps({"eos_token_id": [EOS]}).encode(),
            "tokenizer.json": json.dumps(base_tokenizer()).encode(),
            "tokenizer_config.json": json.dumps({
                "chat_template": CHATML,
                "added_tokens_decoder": {str(TOKENS.index(text)): {"content": text, "special": True}
                                         for text in SPECIAL}}).encode(),
            "model.safetensors": safetensors(header, data)}
