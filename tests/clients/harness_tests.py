"""lm-evaluation-harness on the server: its scores are those that come of asking directly."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

from client_case import ClientTest
from server import MODEL, Server

TASKS = pathlib.Path(__file__).resolve().parent / "tasks"
sys.path.insert(0, str(TASKS))
from scoring import has_answer  # noqa: E402

FACTS = [json.loads(line) for line in (TASKS / "facts.jsonl").read_text().splitlines()]
STOPS = [".", "\n"]  # of endings.yaml


class Evaluation:
    """The results of `lm-eval run`: scores by task and metric, and by task the samples in order."""

    def __init__(self, kind, url, tasks, *options):
        with tempfile.TemporaryDirectory(prefix="hachi-harness-") as folder:
            run = subprocess.run(
                [sys.executable, "-m", "lm_eval", "run", "--model", kind, "--model_args",
                 f"model={MODEL},base_url={url},num_concurrent=2,max_length=1024",
                 "--tasks", ",".join(tasks), "--include_path", ".", "--output_path", folder,
                 "--log_samples", *options],
                cwd=TASKS, capture_output=True, text=True,
                env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                                  "HF_HOME": f"{folder}/home", "PYTHONDONTWRITEBYTECODE": "1"})
            if run.returncode != 0:
                raise AssertionError(run.stdout + run.stderr)
            [results] = pathlib.Path(folder).glob("*/results_*.json")
            self.scores = json.loads(results.read_text())["results"]
            self.samples = {}
            for task in tasks:
                [path] = pathlib.Path(folder).glob(f"*/samples_{task}_*.jsonl")
                samples = map(json.loads, path.read_text().splitlines())
                self.samples[task] = sorted(samples, key=lambda sample: sample["doc_id"])


def scored(pairs):
    """What `hachi score` says of (context, continuation) pairs."""
    lines = "".join(json.dumps({"context": context, "continuation": continuation}) + "\n"
                    for context, continuation in pairs)
    run = subprocess.run([Server.hachi, "score", MODEL, "--jsonl"], input=lines,
                         capture_output=True, text=True, check=True)
    return list(map(json.loads, run.stdout.splitlines()))


class HarnessTest(ClientTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.completions = Evaluation(
            "local-completions", cls.server.url + "/v1/completions",
            ["hachi_facts", "hachi_endings", "hachi_texts"], "--batch_size", "3")
        cls.chats = Evaluation(
            "local-chat-completions", cls.server.url + "/v1/chat/completions", ["hachi_endings"],
            "--apply_chat_template")

    def test_likelihoods(self):
        right, right_by_length = 0, 0
        pairs = [(fact["question"], " " + choice) for fact in FACTS for choice in fact["choices"]]
        all_expected = iter(scored(pairs))
        for fact, sample in zip(FACTS, self.completions.samples["hachi_facts"], strict=True):
            expected = [next(all_expected) for _ in fact["choices"]]
            for one, [[logprob, greedy]] in zip(expected, sample["resps"], strict=True):
                self.assertAlmostEqual(float(logprob), one["logprob"], delta=1e-4)
                self.assertEqual(greedy in (True, "True"), one["greedy"])
            logprobs = [one["logprob"] for one in expected]
            right += logprobs.index(max(logprobs)) == fact["answer"]
            rates = [a / len(choice) for a, choice in zip(logprobs, fact["choices"])]
            right_by_length += rates.index(max(rates)) == fact["answer"]
        scores = self.completions.scores["hachi_facts"]
        self.assertAlmostEqual(scores["acc,none"], right / len(FACTS))
        self.assertAlmostEqual(scores["acc_norm,none"], right_by_length / len(FACTS))
        self.assertGreater(right, len(FACTS) / 2)

    def test_likelihoods_of_whole_texts(self):
        texts = [f"{fact['question']} {fact['choices'][fact['answer']]}." for fact in FACTS]
        expected = [one["logprob"] for one in scored(("", text) for text in texts)]
        for sample, logprob in zip(self.completions.samples["hachi_texts"], expected, strict=True):
            self.assertAlmostEqual(float(sample["resps"][0][0]), logprob, delta=1e-3)
        words = sum(len(text.split()) for text in texts)
        perplexity = self.completions.scores["hachi_texts"]["word_perplexity,none"]
        self.assertAlmostEqual(perplexity, math.exp(-sum(expected) / words), places=2)

    def check_endings(self, evaluation, ask):
        right = 0
        for fact, sample in zip(FACTS, evaluation.samples["hachi_endings"], strict=True):
            text = ask(fact["question"], stop=STOPS)
            self.assertEqual(sample["resps"], [[text]])
            right += has_answer(fact, text)
        self.assertGreater(right, 0)
        score = evaluation.scores["hachi_endings"]["has_answer,none"]
        self.assertAlmostEqual(score, right / len(FACTS))

    def test_texts(self):
        self.check_endings(self.completions, lambda prompt, **fields: self.complete(
            prompt, max_tokens=10, **fields).choices[0].text)

    def test_answers_of_a_chat(self):
        self.check_endings(self.chats, lambda question, **fields: self.chat(
            question, max_completion_tokens=10, **fields).choices[0].message.content)
