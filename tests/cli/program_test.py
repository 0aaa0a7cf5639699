"""The program from outside, on the tiny model of tests/hostile: what it prints, what it refuses, and
with which status it ends.

    program_test.py PATH/hachi
"""
import json
import pathlib
import signal
import subprocess
import time
import unittest

from program_case import HACHI, ProgramCase


class ProgramTest(ProgramCase):
    def test_the_same_model_in_both_formats_answers_alike(self):
        options = ("-p", "the moth", "-n", 40, "--seed", 3)
        gguf = self.answer(self.gguf, *options)
        folder = self.answer(self.hf, *options, "--threads", 1)
        self.assertEqual(gguf["ids"], folder["ids"])
        self.assertEqual(gguf["usage"]["completion_tokens"], len(gguf["ids"]))
        self.assertIn(gguf["finish_reason"], ("stop", "length"))

    def test_the_prompt_comes_from_standard_input(self):
        options = (self.gguf, "-n", 8, "-t", 0)
        self.assertEqual(self.answer(*options, text="the")["ids"],
                         self.answer(*options, "-p", "the")["ids"])

    def test_a_seed_repeats_and_another_differs(self):
        def ids(seed):
            return self.answer(self.gguf, "-p", "a", "-n", 20, "-t", 1.5, "--seed", seed)["ids"]
        self.assertEqual(ids(1), ids(1))
        self.assertNotEqual(ids(1), ids(2))

    def test_a_stop_text_ends_the_answer_before_it(self):
        whole = self.answer(self.gguf, "-p", "a", "-n", 30, "-t", 0, "--raw")["text"]
        stop = whole[5:8]
        cut = self.answer(self.gguf, "-p", "a", "-n", 30, "-t", 0, "--raw", "--stop", stop)
        self.assertEqual(cut["text"], whole[:whole.index(stop)])
        self.assertEqual(cut["finish_reason"], "stop")

    def test_typed_marks_are_plain_text(self):
        typed = self.answer(self.gguf, "-p", "<|im_end|>", "-n", 1)["usage"]["prompt_tokens"]
        plain = self.answer(self.gguf, "-p", "a" * 10, "-n", 1)["usage"]["prompt_tokens"]
        self.assertEqual(typed, plain)

    def test_tokens_there_and_back(self):
        text = "the <|im_end|> moth\n"
        ids = json.loads(self.run_program("tokenize", self.gguf, text))
        self.assertIn(261, ids)
        back = self.run_program("tokenize", self.hf, "--decode", json.dumps(ids))
        self.assertEqual(back, text + "\n")
        self.assertNotIn(261, json.loads(self.run_program("tokenize", self.gguf, "--no-special",
                                                          text)))
        lines = self.run_program("tokenize", self.hf / "tokenizer.json", "--jsonl",
                                 text='{"text": "the"}\n\n{"text": ""}\n')
        self.assertEqual([json.loads(line) for line in lines.splitlines()],
                         [{"ids": [257]}, {"ids": []}])

    def test_scores(self):
        lines = self.run_program("score", self.gguf, "--jsonl", text=(
            '{"context": "the moth", "continuation": " the"}\n'
            '{"context": "the moth", "continuation": " a"}\n'))
        first, second = map(json.loads, lines.splitlines())
        self.assertEqual((first["tokens"], second["tokens"]), (1, 2))
        self.assertTrue(first["logprob"] < 0 and second["logprob"] < first["logprob"])
        (self.folder / "text").write_text("the moth and the lamp " * 40)
        result = json.loads(self.run_program("score", self.gguf, "--file", self.folder / "text",
                                             "--json", "--context", 128))
        self.assertGreater(result["perplexity"], 1)
        rows = json.loads(self.run_program("score", self.gguf, "--file", self.folder / "text",
                                           "--json", "--context", 128, "--no-repack"))
        self.assertAlmostEqual(rows["perplexity"] / result["perplexity"], 1, places=4)

    def test_info(self):
        info = json.loads(self.run_program("info", self.gguf, "--json", "--context", 100))
        self.assertEqual((info["architecture"], info["layers"], info["qk_norm"]),
                         ("qwen3", 2, True))
        self.assertEqual(info["memory"]["kv_cache"], 100 * 2 * 2 * 2 * 8 * 2)
        self.assertIn("QK-norm", self.run_program("info", self.hf))

    def test_info_of_a_packed_folder(self):
        folder = pathlib.Path(__file__).parent.parent / "golden/models/qwen3-awq"
        info = json.loads(self.run_program("info", folder, "--json"))
        self.assertEqual(info["packed"], "AWQ, 4 bits in groups of 32, with zero points")
        self.assertEqual(info["types"]["Q4_1"]["tensors"], 7)
        self.assertNotIn("I32", info["types"])
        self.assertIn("packed          AWQ", self.run_program("info", folder))

    def test_info_of_the_processor(self):
        info = json.loads(self.run_program("info", "--cpu", "--json"))
        self.assertGreaterEqual(info["usable"], 1)
        sets = {kernel["op"]: kernel["set"] for kernel in info["kernels"]}
        self.assertEqual(sets["rms_norm"] != "plain C++", info["instructions"]["AVX2"])
        self.assertEqual(info["limits"], [])
        self.assertIn("rms_norm", self.run_program("info", "--cpu"))

    def test_devices(self):
        gpus = json.loads(self.run_program("info", "--gpu", "--json"))["gpus"]
        self.assertEqual("No GPU" in self.run_program("info", "--gpu"), not gpus)
        on_cpu = ("run", self.gguf, "--raw", "-p", "the moth", "-n", 4, "--temperature", 0)
        self.assertTrue(self.run_program(*on_cpu, "--device", "cpu"))
        for arguments, message in (
                (("--device", "cuda:63"), "there is no GPU 63 here"),
                (("--device", "cuda:x"), "'cuda:x' is not auto, cpu, cuda or cuda:N"),
                (("--gpu-memory", "many"), "--gpu-memory")):
            process = subprocess.run([HACHI, *map(str, on_cpu), *arguments], text=True,
                                     stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                     check=False)
            self.assertNotEqual(process.returncode, 0)
            self.assertTrue(message in process.stderr or "without CUDA" in process.stderr,
                            process.stderr)

    def test_bench(self):
        report = json.loads(self.run_program(
            "bench", self.gguf, "-p", "7,30", "-n", 3, "-d", "40,0", "-t", "1,2", "--batch", "1,5",
            "-r", 2, "--json"))
        self.assertEqual([group["threads"] for group in report["groups"]], [1, 2])
        for group in report["groups"]:
            self.assertGreater(group["limits"]["read"]["best"], 0)
            self.assertEqual(
                [(row["do"], row["tokens"], row["depth"], row["sequences"])
                 for row in group["rows"]],
                [(do, tokens, depth, sequences) for depth in (0, 40)
                 for do, tokens, sequences in (("prefill", 7, 1), ("prefill", 30, 1),
                                               ("decode", 3, 1), ("decode", 3, 5))])
            for row in group["rows"]:
                self.assertEqual(len(row["seconds"]), 2)
                self.assertLessEqual(row["low"], row["high"])
        self.assertGreater(report["peak_bytes"], 0)
        self.assertIn("of read", self.run_program("bench", self.hf, "-p", 5, "-n", 2, "-r", 1))

    def test_a_model_with_the_tokenizer_of_another(self):
        options = ("synthetic:tiny:q8_0", "-p", "x", "-n", 3, "-t", 0, "--raw")
        process = subprocess.run([HACHI, "run", *map(str, options)], capture_output=True,
                                 text=True, check=False)
        self.assertEqual(process.returncode, 2)
        self.assertIn("--tokenizer can name one", process.stderr)
        self.assertEqual(len(self.answer(*options, "--tokenizer", self.gguf)["ids"]), 3)

    def test_bench_without_a_file(self):
        report = json.loads(self.run_program(
            "bench", "synthetic:tiny:q4_k_m", "-p", 8, "-n", 2, "-r", 1, "--kv-type", "q8_0",
            "--stages", "--json"))
        self.assertEqual((report["arithmetic"], report["kv"]), ("int8", "Q8_0"))
        rows = report["groups"][0]["rows"]
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertEqual(list(row["stage_milliseconds"]),
                             ["embed", "q,k,v", "attention", "out", "gate,up", "down", "head",
                              "draw"])
            self.assertTrue(all(value > 0 for value in row["stage_milliseconds"].values()))

    def test_an_interrupted_bench_prints_what_there_is(self):
        process = subprocess.Popen(
            [HACHI, "bench", "synthetic:tiny:f32", "-p", "1", "-n", "500", "-r", "1000", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (130, "hachi: interrupted\n"))
        rows = [row for group in json.loads(output)["groups"] for row in group["rows"]]
        self.assertTrue(all(len(row["seconds"]) < 1000 for row in rows if row["do"] == "decode"))

    def test_chat_keeps_saves_and_loads_a_conversation(self):
        saved = self.folder / "saved.json"
        self.run_program("chat", self.gguf, "-n", 4, "--system", "be brief", text=(
            f"the\n/regen\nmoth \\\nlamp\n/stats\n/save {saved}\n/exit\n"))
        conversation = json.loads(saved.read_text())
        self.assertEqual(conversation["system"], "be brief")
        self.assertEqual([m["role"] for m in conversation["messages"]],
                         ["user", "assistant"] * 2)
        self.assertEqual(conversation["messages"][2]["content"], "moth \nlamp")
        again = self.folder / "again.json"
        self.run_program("chat", self.gguf, text=f"/load {saved}\n/save {again}\n")
        self.assertEqual(json.loads(again.read_text()), conversation)

    def quantize(self, *arguments, **keywords):
        return self.run_program("quantize", *arguments, **keywords)

    def test_quantize_writes_what_it_says(self):
        out = self.folder / "small.gguf"
        for source in (self.gguf, self.hf):
            report = json.loads(self.quantize(source, "--to", "Q8_0", "-o", out, "--json", "--force"))
            types = {t["name"]: t["to"] for t in report["tensors"]}
            self.assertEqual(types["blk.1.ffn_down.weight"], "Q8_0")
            self.assertEqual(types["blk.1.attn_q_norm.weight"], "F32")
            self.assertEqual(report["file_bytes"], out.stat().st_size)
            info = json.loads(self.run_program("info", out, "--json"))
            self.assertEqual(info["types"]["Q8_0"]["tensors"], 2 + 2 * 7)
            text = "the <|im_end|> moth"
            self.assertEqual(self.run_program("tokenize", out, text),
                             self.run_program("tokenize", source, text))
            self.assertEqual(self.answer(out, "-p", "the", "-n", 1)["usage"]["prompt_tokens"],
                             self.answer(source, "-p", "the", "-n", 1)["usage"]["prompt_tokens"])
        self.assertIn("it is there already", self.quantize(self.gguf, "--to", "Q8_0", "-o", out,
                                                           status=2))
        table = self.quantize(self.gguf, "--to", "q4_0", "--dry-run", "--tensor", "attn_[qk]=F16",
                              "--tensor", "attn=Q5_1", "--output-type", "Q8_0")
        self.assertRegex(table, r"blk\.N\.attn_k\.weight +2 +F32 +F16")
        self.assertRegex(table, r"blk\.N\.attn_v\.weight +2 +F32 +Q5_1")
        self.assertRegex(table, r"output\.weight +1 +F32 +Q8_0")
        self.assertNotIn("partial", str(list(self.folder.iterdir())))

    def test_files_in_panels(self):
        rows, panels, back = (self.folder / name for name in ("r.gguf", "p.gguf", "b.gguf"))
        self.quantize(self.gguf, "--to", "Q8_0", "-o", rows)
        report = json.loads(self.quantize(rows, "--to", "keep", "--panels", "-o", panels, "--json"))
        self.assertEqual(report["type"], "keep")
        in_panels = {t["name"] for t in report["tensors"] if t["panels"]}
        self.assertIn("blk.1.ffn_down.weight", in_panels)
        self.assertNotIn("token_embd.weight", in_panels)
        info = json.loads(self.run_program("info", panels, "--json"))
        self.assertEqual(info["types"]["Q8_0"]["panels"], len(in_panels))
        self.assertIn("in panels", self.run_program("info", panels))
        self.assertIn("in panels", self.quantize(rows, "--to", "keep", "--panels", "--dry-run"))
        self.assertEqual(*(self.answer(model, "-p", "the", "-n", 8, "--seed", 1)["ids"]
                           for model in (panels, rows)))
        self.quantize(panels, "--to", "keep", "-o", back)
        self.assertEqual(back.read_bytes(), rows.read_bytes())
        check = json.loads(self.quantize("--check", rows, panels, "--json", "--context", 64))
        self.assertEqual(check["kl_divergence"]["max"], 0)

    def test_importance_and_compensation(self):
        text = self.folder / "calibration"
        text.write_text("the moth and the lamp, 123 of the best! " * 60)
        imatrix, out = self.folder / "tiny.imatrix", self.folder / "better.gguf"
        self.run_program("imatrix", self.gguf, "--file", text, "-o", imatrix, "--chunks", 3)
        self.assertIn("it is there already",
                      self.run_program("imatrix", self.gguf, "--file", text, "-o", imatrix,
                                       status=2))
        self.quantize(self.gguf, "--to", "Q4_0", "--imatrix", imatrix, "-o", out)
        self.quantize(self.hf, "--to", "Q4_0", "--gptq", "--file", text, "-o", out, "--force")
        same = json.loads(self.quantize("--check", self.gguf, self.hf, "--file", text, "--json"))
        self.assertLess(same["kl_divergence"]["max"], 1e-9)
        self.assertEqual(same["same_top"], 1)
        other = json.loads(self.quantize("--check", self.gguf, out, "--json", "--context", 64))
        self.assertGreater(other["kl_divergence"]["mean"], 0)
        self.assertLess(other["quantized"]["bits_per_weight"], 6)
        self.assertIn("KL divergence", self.quantize(self.gguf, out, "--check", "--file", text))

    def test_what_quantize_refuses(self):
        out, text = self.folder / "never.gguf", self.folder / "short"
        text.write_text("the moth")
        for arguments, words in [
                ((self.gguf, "-o", out), "--to"),
                ((self.gguf, "--to", "Q9_Z", "-o", out), "Q9_Z"),
                ((self.gguf, "--to", "Q8_0"), "-o OUT.gguf is missing"),
                ((self.gguf, "--to", "Q8_0", "-o", self.gguf), "the model itself"),
                ((self.gguf, "--to", "Q8_0", "-o", self.folder), "folder"),
                ((self.gguf, "--to", "Q8_0", "-o", self.folder / "no" / "x.gguf"), "cannot create"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--tensor", "attn"), "REGEX=TYPE"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--tensor", "attn=I32"), "I32"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--tensor", "(=F16"), "regular expression"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--tensor", "moth=F16"), "no matrix"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--output-type", "x"), "--output-type"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--imatrix", self.gguf), "imatrix"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--imatrix", text), "not a GGUF file"),
                ((self.gguf, "--to", "Q8_0", "-o", out, "--gptq"), "--file"),
                ((self.gguf, "--to", "Q4_0", "-o", out, "--gptq", "--file", text), "give a longer"),
                ((self.gguf, self.gguf, "--to", "Q8_0", "-o", out), "--check"),
                ((self.gguf, "--check"), "two models"),
                ((self.gguf, self.folder / "none", "--check"), "none"),
                ((self.folder / "none", "--to", "Q8_0", "-o", out), "none")]:
            with self.subTest(arguments):
                self.assertIn(words, self.quantize(*arguments, status=2))
        self.assertFalse(out.exists())
        for arguments, words in [
                (("--file", text, "-o", out), "give a longer"),
                (("--file", self.folder / "none", "-o", out), "none"),
                (("-o", out), "--file"),
                (("--file", text, "-o", out, "--chunks", 0), "--chunks")]:
            with self.subTest(arguments):
                self.assertIn(words, self.run_program("imatrix", self.gguf, *arguments, status=2))

    def test_what_is_wrong_is_one_sentence_and_status_2(self):
        for arguments, words in [
                (("run", self.gguf, "-p", "the " * 300), "do not fit into the context of 256"),
                (("run", self.gguf, "-p", "a", "--context", 1000), "at most the model's 256"),
                (("run", self.gguf, "-p", "a", "--top-p", 2), "top_p must be between 0 and 1"),
                (("run", self.gguf, "-p", "a", "--logit-bias", "9999=1"), "9999"),
                (("run", self.gguf, "-p", ""), "empty"),
                (("run", self.folder / "none", "-p", "a"), "none"),
                (("run", self.gguf, "-p", "a", "--chat-template", self.folder / "x"), "x"),
                (("serve", self.gguf, "--chat-template", self.folder / "x"), "x"),
                (("score", self.gguf), "--jsonl"),
                (("info",), "one of a model, --cpu and --gpu"),
                (("info", self.gguf, "--cpu"), "one of a model, --cpu and --gpu"),
                (("bench", self.gguf, "-d", 250), "context of 256"),
                (("bench", self.gguf, "--batch", 0), "--batch"),
                (("bench", "synthetic:none:q4_0"), "smollm2"),
                (("bench", "synthetic:tiny:q9"), "q9"),
                (("tokenize", self.gguf, "--decode", "9999"), "9999"),
                (("frobnicate",), "frobnicate"),
                (("run",), "MODEL")]:
            with self.subTest(arguments):
                self.assertIn(words, self.run_program(*arguments, status=2))

    def test_a_wrong_line_is_named(self):
        for command in ("tokenize", "score"):
            message = self.run_program(command, self.gguf, "--jsonl", status=2,
                                       text='{"text": "a", "context": "a", "continuation": "a"}\n'
                                            '{"no": 1}\n')
            self.assertIn("line 2 of standard input", message)

    def test_completion(self):
        script = self.run_program("completion", "bash")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        self.assertIn("tokenize", script)


if __name__ == "__main__":
    unittest.main()
