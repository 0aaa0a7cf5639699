#!/usr/bin/env python3
"""Makes tests/golden/smollm2.json: what llama.cpp says with SmolLM2-135M-Instruct Q4_1.

    pip install llama-cpp-python
    tests/golden/make_smollm2_goldens.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf

For each prompt: its token ids and the 64 tokens that greedy decoding adds, with the two best logits
at each step, so that a near-tie can be told from a difference. For tests/golden/text.txt: the mean
negative log-likelihood in windows of 512 tokens side by side, all but the first token of each scored.
"""
import json
import pathlib
import sys

import numpy as np
from llama_cpp import Llama

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


llama = Llama(sys.argv[1], n_ctx=1024, n_batch=512, n_threads=2, logits_all=True, verbose=False)
prompts = [json.dumps(greedy(llama, prompt), ensure_ascii=False) for prompt in PROMPTS]
text = json.dumps(perplexity(llama, (HERE / "text.txt").read_text()))
(HERE / "smollm2.json").write_text(
    '{"text": ' + text + ',\n"prompts": [\n' + ",\n".join(prompts) + "\n]}\n")
print(text)
