"""`hachi agent` on the tiny model. Its weights are random; biases on the logits of single letters make
it call what a test wants.

    agent_test.py PATH/hachi
"""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from program_case import HACHI, ProgramCase  # which makes the next one findable
from model_files import EOS, STRING, U32, base_gguf

SERVER = pathlib.Path(__file__).parent.parent / "agent" / "mcp_server.py"
# One letter costs 2 each time: some sevens until the quote, of which the forced words hold seven,
# is the best. Outside of a call the end token wins.
SEVENS = ("-t", 0, "--frequency-penalty", 2, "--logit-bias", "55=60", "--logit-bias", "34=69",
          "--logit-bias", f"{EOS}=200")


class AgentTest(ProgramCase):
    CONTEXT = 1 << 18  # which no machine fills in a second

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        model = base_gguf()
        model.set("qwen3.context_length", U32, cls.CONTEXT)
        cls.model = cls.folder / "long.gguf"
        cls.model.write_bytes(model.bytes())
        del model.pairs["tokenizer.chat_template"]
        tokens = model.pairs["tokenizer.ggml.tokens"].replace(b"<|im_start|>", b"<|im_begin|>")
        model.pairs["tokenizer.ggml.tokens"] = tokens
        cls.plain = cls.folder / "plain.gguf"
        cls.plain.write_bytes(model.bytes())

    def agent(self, *options, status=0):
        process = subprocess.run(
            [HACHI, "agent", self.model, "-p", "the moth", *map(str, options)],
            capture_output=True, text=True, timeout=60, env=self.environment())
        self.assertEqual(process.returncode, status, process.stderr)
        return process

    def environment(self):
        return os.environ | {"HACHI_HOME": str(self.folder / "home")}

    def test_a_call_its_result_and_the_end(self):
        process = self.agent("--first-calls", "calculator", *SEVENS, "--json")
        outcome = json.loads(process.stdout)
        self.assertEqual([m["role"] for m in outcome["messages"]],
                         ["system", "user", "assistant", "tool", "assistant"])
        call = outcome["messages"][2]["tool_calls"][0]
        expression = json.loads(call["function"]["arguments"])["expression"]
        self.assertRegex(expression, r"\A7+\Z")
        self.assertEqual(outcome["messages"][3]["content"], expression)
        self.assertEqual(outcome["messages"][3]["tool_call_id"], call["id"])
        self.assertEqual((outcome["end"], outcome["steps"]), ("answered", 2))
        usage = outcome["usage"]
        self.assertGreater(usage["cached_tokens"], 1000)  # the second prompt begins as the first
        self.assertLess(usage["cached_tokens"], usage["prompt_tokens"])
        lines = process.stderr.splitlines()
        self.assertRegex(lines[0], r'\A-> calculator \{"expression": *"7+"\}\Z')
        self.assertEqual(lines[1], f"<- {expression}")

    def test_the_answer_alone_is_on_standard_output(self):
        options = ("--first-calls", "calculator", *SEVENS[:-2], "-n", 100, "-q")
        process = self.agent(*options, status=1)
        self.assertEqual(process.stderr, "hachi: the agent was stopped: its tokens ran out in the "
                                         "answer\n")
        text = json.loads(self.agent(*options, "--json", status=1).stdout)["text"]
        self.assertGreater(len(text), 50)
        self.assertEqual(process.stdout, text + "\n")

    def test_the_last_answer_has_a_form(self):
        options = ("--first-calls", "calculator", *SEVENS, "--regex", "7[0-9]{3}")
        process = self.agent(*options)
        self.assertRegex(process.stdout, r"\A7[0-9]{3}\n\Z")
        self.assertIn("-> calculator", process.stderr)

    def test_the_last_step_is_held_to_the_form_alone(self):
        # The bias on < makes each free answer a call, and the expression <77… fails.
        bias = ("--logit-bias", "60=90", *SEVENS, "--max-steps", 3)
        outcome = json.loads(self.agent(*bias, "--regex", "7[0-9]{3}", "--json").stdout)
        self.assertEqual([len(m.get("tool_calls", [])) for m in outcome["messages"]
                          if m["role"] == "assistant"], [1, 1, 0])
        self.assertRegex(outcome["text"], r"\A7[0-9]{3}\Z")

    def test_limits_end_it_with_status_1(self):
        steps = self.agent("--first-calls", "calculator,any,any", *SEVENS, "--max-steps", 2,
                           "--json", status=1)
        outcome = json.loads(steps.stdout)
        self.assertEqual((outcome["end"], outcome["steps"]), ("steps", 2))
        same = self.agent("--first-calls", ",".join(["calculator"] * 9), *SEVENS, "--json",
                          status=1)
        outcome = json.loads(same.stdout)
        self.assertEqual((outcome["end"], outcome["steps"]), ("repeated", 5))

    def test_the_time_limit_ends_an_answer(self):
        process = self.agent("--time-limit", 1, "--context", self.CONTEXT, "-t", 0, "--logit-bias",
                             "97=100", "--json", status=1)
        outcome = json.loads(process.stdout)
        self.assertEqual((outcome["end"], outcome["steps"]), ("time", 1))
        self.assertEqual(set(outcome["text"]), {"a"})

    def test_the_same_seed_does_the_same(self):
        def messages(seed):
            process = self.agent("--first-calls", "any,any", "-n", 90, "--max-steps", 2, "--seed",
                                 seed, "-t", 1, "--json", status=1)
            return json.loads(process.stdout)["messages"]
        self.assertEqual(messages(1), messages(1))
        self.assertNotEqual(messages(1), messages(2))

    def test_files_and_servers(self):
        (self.folder / "notes").mkdir(exist_ok=True)
        (self.folder / "notes" / "moth.txt").write_text("a lamp\n")
        process = self.agent("--folder", self.folder / "notes", "--mcp",
                             f"test=python3 '{SERVER}' good", "--first-calls",
                             "list_files,test_echo", "-n", 90, "--json", "--max-steps", 2,
                             "--logit-bias", "34=100", "--logit-bias", "125=50", "-t", 0, status=1)
        messages = json.loads(process.stdout)["messages"]
        calls = [m["tool_calls"][0]["function"]["name"] for m in messages if "tool_calls" in m]
        self.assertEqual(calls, ["list_files", "test_echo"])

    def test_the_shell_is_announced(self):
        process = self.agent("--shell", "-q", *SEVENS)
        self.assertIn("the model may do whatever you may", process.stderr)

    def test_an_interrupt_ends_it(self):
        process = subprocess.Popen(
            [HACHI, "agent", self.model, "-p", "the moth", "--first-calls",
             ",".join(["any"] * 500), "--max-steps", "500", "-n", "50", "-t", "1.5", "--seed", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment())
        self.assertTrue(process.stderr.readline().startswith("-> "))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        self.assertTrue(errors.endswith("hachi: interrupted\n"), errors)

    def test_an_interrupt_while_a_server_starts(self):
        process = subprocess.Popen(
            [HACHI, "agent", self.model, "-p", "a", "--mcp", "sh -c 'echo $$ > started; sleep 60'"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(),
            cwd=self.folder)
        while not (self.folder / "started").exists():
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (130, "hachi: interrupted\n"))

    def test_what_is_refused(self):
        for options, words in [
                ((self.plain,), "the model brings no chat template"),
                ((self.model, "--folder", self.folder / "absent"), "absent"),
                ((self.model, "--mcp", "not-a-program"), "not-a-program"),
                ((self.model, "--mcp", "'x"), "not closed"),
                ((self.model, "--first-calls", "calculator,fly"), "no tool 'fly'"),
                ((self.model, "--regex", "("), "--regex: "),
                ((self.model, "--regex", "a", "--json-object"), "one form"),
                ((self.model, "--schema", self.folder / "absent"), "absent"),
                ((self.model, "--max-steps", 0), "--max-steps"),
                ((self.model, "--time-limit", 0), "--time-limit"),
                ((self.model, "--no-think", "--think-budget", 5), "switched off"),
                ((self.folder / "none",), "none")]:
            with self.subTest(options):
                self.assertIn(words, self.run_program("agent", *options, "-p", "a", status=2))
        self.assertIn("empty", self.run_program("agent", self.model, "-p", "", status=2))


if __name__ == "__main__":
    unittest.main()
