#!/usr/bin/env python3
"""Makes tests/golden/NAME.json: what llama.cpp says with a model that `hachi pull NAME` gets.

    pip install llama-cpp-python
    tests/golden/make_llama_cpp_goldens.py smollm2 PATH/SmolLM2-135M-Instruct.Q4_1.gguf
    tests/golden/make_llama_cpp_goldens.py gemma3-270m PATH/gemma-3-270m-q4_k_m.gguf

For each prompt: its token ids and the 64 tokens that greedy decoding adds, with how far apart the
two best logits are at each step. For tests/golden/text.txt: the perplexity in windows of tokens side
by side, all but the first token of each scored. A model that wants a token before each text gets it
before each prompt and in each window.

"itself" is how far llama.cpp differs from llama.cpp over the same tokens when they run one at a time
or with an f32 cache: the number of steps with another best token, and the widest margin of those.
It rounds activations to 8 bits, so that the last bit of a sum can become a step of 1/127.
"""
import json
import pathlib
import sys

import numpy as np
from llama_cpp import GGML_TYPE_F32, Llama

HERE = pathlib.Path(__file__).parent
GREEDY_TOKENS = 64
# Gemma 3's local layers see 512 positions: its windows are longer than that.
WINDOWS = {"smollm2": 512, "gemma3-270m": 1024}
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "Water boils at 100 degrees Celsius because",
    "def fibonacci(n):\n",
    "The three most important inventions of the twentieth century were",
    "Dear Sir or Madam,\n\nI am writing to",
    "Question: What is 7 times 8?\nAnswer:",
    "La Tour Eiffel est",
    "A good night's sleep",
    "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n",
]
NAME, PATH = sys.argv[1:]


def wants_bos(model):
    return model.metadata.get("tokenizer.ggml.add_bos_token") == "true"


def greedy(model, prompt):
    ids = model.tokenize(prompt.encode(), add_bos=wants_bos(model), special=True)
    model.reset()
    model.eval(ids)
    answer, margins = [], []
    for _ in range(GREEDY_TOKENS):
        logits = np.array(model.scores[model.n_tokens - 1])
        token = int(logits.argmax())
        best = np.sort(logits)[-2:]
        answer.append(token)
        margins.append(round(float(best[1] - best[0]), 4))
        model.eval([token])
    return {"text": prompt, "prompt": ids, "greedy": answer, "margins": margins}


def log_probability(logits, token):
    logits = logits.astype(np.float64)
    best = logits.max()
    return logits[token] - best - np.log(np.exp(logits - best).sum())


def perplexity(model, text):
    begin = [model.token_bos()] if wants_bos(model) else []
    ids = model.tokenize(text.encode(), add_bos=False, special=False)
    room = WINDOWS[NAME] - len(begin)
    total, count = 0.0, 0
    for at in range(0, len(ids), room):
        window = begin + ids[at:at + room]
        model.reset()
        model.eval(window)
        for i, token in enumerate(window[1:]):
            total -= log_probability(model.scores[i], token)
        count += len(window) - 1
    return {"window": WINDOWS[NAME], "begin": begin, "tokens": count,
            "perplexity": float(np.exp(total / count))}


def best_tokens(model, golden, batch):
    """The best token at each step, when the golden's tokens are given."""
    ids = golden["prompt"] + golden["greedy"][:-1]
    model.reset()
    for at in range(0, len(ids), batch):
        model.eval(ids[at:at + batch])
    return np.array(model.scores[len(golden["prompt"]) - 1:len(ids)]).argmax(axis=1)


def differences(model, goldens, batch):
    steps = [margin for golden in goldens
             for best, token, margin in zip(best_tokens(model, golden, batch), golden["greedy"],
                                            golden["margins"]) if best != token]
    return {"steps": len(steps), "margin": max(steps, default=0)}


def load(**options):
    return Llama(PATH, n_ctx=1024, n_batch=512, n_threads=2, logits_all=True,
                 verbose=False, **options)


llama = load()
goldens = [greedy(llama, prompt) for prompt in PROMPTS]
golden_text = perplexity(llama, (HERE / "text.txt").read_text())
itself = {"one at a time": differences(llama, goldens, 1),
          "f32 cache": differences(load(type_k=GGML_TYPE_F32, type_v=GGML_TYPE_F32), goldens, 512)}
lines = [json.dumps(golden, ensure_ascii=False) for golden in goldens]
(HERE / f"{NAME}.json").write_text(
    '{"text": ' + json.dumps(golden_text) + ',\n"itself": ' + json.dumps(itself) +
    ',\n"prompts": [\n' + ",\n".join(lines) + "\n]}\n")
print(golden_text, itself)
