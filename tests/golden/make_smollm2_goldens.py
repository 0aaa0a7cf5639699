#!/usr/bin/env python3
"""Makes tests/golden/smollm2.json: what llama.cpp says with SmolLM2-135M-Instruct Q4_1.

    pip install llama-cpp-python
    tests/golden/make_smollm2_goldens.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf

For each prompt: its token ids and the 64 tokens that greedy decoding adds, with how far apart the
two best logits are at each step. For tests/golden/text.txt: the perplexity in windows of 512 tokens
side by side, all but the first token of each scored.

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
WINDOW = 512
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


def greedy(model, prompt):
    ids = model.tokenize(prompt.encode(), add_bos=False, special=True)
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


def perplexity(model, text):
    ids = model.tokenize(text.encode(), add_bos=False, special=False)
    total, count = 0.0, 0
    for at in range(0, len(ids), WINDOW):
        window = ids[at:at + WINDOW]
        model.reset()
        model.eval(window)
        logits = np.array(model.scores[:len(window) - 1], dtype=np.float64)
        best = logits.max(axis=1)
        norms = best + np.log(np.exp(logits - best[:, None]).sum(axis=1))
        total -= (logits[np.arange(len(window) - 1), window[1:]] - norms).sum()
        count += len(window) - 1
    return {"window": WINDOW, "tokens": count, "perplexity": float(np.exp(total / count))}


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
    return Llama(sys.argv[1], n_ctx=1024, n_batch=512, n_threads=2, logits_all=True,
                 verbose=False, **options)


llama = load()
goldens = [greedy(llama, prompt) for prompt in PROMPTS]
golden_text = perplexity(llama, (HERE / "text.txt").read_text())
itself = {"one at a time": differences(llama, goldens, 1),
          "f32 cache": differences(load(type_k=GGML_TYPE_F32, type_v=GGML_TYPE_F32), goldens, 512)}
lines = [json.dumps(golden, ensure_ascii=False) for golden in goldens]
(HERE / "smollm2.json").write_text(
    '{"text": ' + json.dumps(golden_text) + ',\n"itself": ' + json.dumps(itself) +
    ',\n"prompts": [\n' + ",\n".join(lines) + "\n]}\n")
print(golden_text, itself)
