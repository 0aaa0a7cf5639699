"""Forms of answers, tools and budgets for thinking at the command line, on the tiny model: its
weights are random, so whatever is well formed is so because the program held it to that.

    forms_test.py PATH/hachi
"""
import json
import unittest

from program_case import ProgramCase  # which makes the next one findable
from model_files import CHATML, STRING, U32, base_gguf

CONTEXT = 4096
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["ok", "count", "kind"],
          "properties": {"ok": {"type": "boolean"},
                         "count": {"type": "integer", "minimum": 3, "maximum": 40},
                         "kind": {"enum": ["moth", "lamp"]}}}
TOOLS = [{"type": "function", "function": {
    "name": name, "description": "For tests.", "parameters": {
        "type": "object", "additionalProperties": False, "required": ["side"],
        "properties": {"side": {"enum": ["left", "right"]}}}}} for name in ("turn", "look")]
THINKING = CHATML.replace("assistant\n", "assistant\n<think>\n") + "{# </think> #}"
CLOSING = "I have thought about this for long enough"


class FormsTest(ProgramCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, template in (("long", CHATML), ("thinks", THINKING)):
            model = base_gguf()
            model.set("qwen3.context_length", U32, CONTEXT)
            model.set("tokenizer.chat_template", STRING, template)
            path = cls.folder / f"{name}.gguf"
            path.write_bytes(model.bytes())
            setattr(cls, name, path)
        cls.schema = cls.write("schema.json", json.dumps(SCHEMA))
        cls.tools = cls.write("tools.json", json.dumps(TOOLS))

    @classmethod
    def write(cls, name, text):
        path = cls.folder / name
        path.write_text(text)
        return path

    def test_a_schema_holds(self):
        for seed in range(8):
            text = self.answer(self.gguf, "-p", "the", "--schema", self.schema, "--seed", seed,
                               "-t", 1.5)["text"]
            value = json.loads(text)
            self.assertEqual(list(value), ["ok", "count", "kind"])
            self.assertIsInstance(value["ok"], bool)
            self.assertTrue(3 <= value["count"] <= 40, text)
            self.assertIn(value["kind"], ("moth", "lamp"))

    def test_expressions_grammars_choices_and_objects_hold(self):
        grammar = self.write("moths.ebnf", 'root ::= item{2} "."\nitem ::= [a-c] "-"\n')
        for seed in range(4):
            options = (self.gguf, "-p", "the", "--seed", seed, "-t", 1.5)
            self.assertRegex(self.answer(*options, "--regex", "[0-9]{2} (moth|lamp)s")["text"],
                             r"\A[0-9]{2} (moth|lamp)s\Z")
            self.assertRegex(self.answer(*options, "--raw", "--regex", "[x-z]{3}")["text"],
                             r"\A[x-z]{3}\Z")
            self.assertRegex(self.answer(*options, "--grammar", grammar)["text"],
                             r"\A([a-c]-){2}\.\Z")
            self.assertIn(self.answer(*options, "--choice", "left", "--choice", "right")["text"],
                          ("left", "right"))
            text = self.answer(*options, "--json-object", "-n", 30)["text"]
            self.assertTrue(text.lstrip().startswith("{"), text)

    def test_calls_that_have_to_come(self):
        for seed in range(4):
            answer = self.answer(self.long, "-p", "the", "--tools", self.tools, "--tool-choice",
                                 "required", "--seed", seed, "-t", 1.5, "-n", 150)
            self.assertGreater(len(answer["tool_calls"]), 0)
            call = answer["tool_calls"][0]
            self.assertIn(call["name"], ("turn", "look"))
            self.assertIn(call["arguments"], ({"side": "left"}, {"side": "right"}))
        wrapped = self.write("wrapped.json", json.dumps({"tools": TOOLS, "model": "x"}))
        printed = self.run_program("run", self.long, "-p", "the", "--tools", wrapped,
                                   "--tool-choice", "look", "-t", 0, "-n", 150)
        call = json.loads(printed.splitlines()[0])
        self.assertEqual(list(call), ["name", "arguments"])
        self.assertEqual(call["name"], "look")
        free = self.answer(self.long, "-p", "the", "--tools", self.tools, "--tool-choice", "none",
                           "-n", 5, "-t", 0)
        self.assertEqual(free["tool_calls"], [])
        self.assertEqual(free["ids"], self.answer(self.long, "-p", "the", "-n", 5, "-t", 0)["ids"])

    def test_budgets_for_thinking(self):
        def think(budget, *more):
            # Nothing but the letter a, whose id is its byte, unless something else has to come.
            return self.answer(self.thinks, "-p", "the", "--logit-bias", "97=100", "-t", 0,
                               "-n", 200, "--think-budget", budget, *more)
        for budget in (0, 1, 7):
            answer = think(budget, "--regex", "b{3}")
            self.assertEqual(answer["text"].strip(), "bbb")
            thinking, _, closing = answer["thinking"].strip().partition("\n\n")
            self.assertEqual(thinking, "a" * budget)
            self.assertEqual(closing.startswith(CLOSING), budget > 0)
            self.assertIs(answer.get("reasoning_truncated"), True)
            self.assertGreaterEqual(answer["usage"]["reasoning_tokens"], budget)
        unlimited = self.answer(self.thinks, "-p", "the", "--logit-bias", "97=100", "-t", 0, "-n",
                                20)
        self.assertEqual(unlimited["thinking"], "a" * 20)
        self.assertNotIn("reasoning_truncated", unlimited)

    def test_a_system_message_in_the_users_turn(self):
        def num_tokens(*more):
            return self.answer(self.gguf, "-p", "the", "--system", "moth", "-n", 1,
                               *more)["usage"]["prompt_tokens"]
        # A turn less: its two marks, the role and two line ends.
        self.assertLess(num_tokens("--system-in-user"), num_tokens())

    def test_math(self):
        answer = self.answer(self.gguf, "-p", "1 + 1?", "--math", "--regex", r"so \\boxed\{[0-9]\}")
        self.assertEqual(answer["text"], f"so \\boxed{{{answer['answer']}}}")
        plain = self.answer(self.gguf, "-p", "1 + 1?", "-n", 1)["usage"]["prompt_tokens"]
        self.assertGreater(answer["usage"]["prompt_tokens"], plain + 40)
        lines = self.run_program("run", self.gguf, "-p", "1 + 1?", "--math", "--regex",
                                 r"\\boxed\{ \{7\}\}").splitlines()
        self.assertEqual(lines[-1], "Answer: {7}")
        none = self.answer(self.gguf, "-p", "1 + 1?", "--math", "--choice", "two")
        self.assertIsNone(none["answer"])

    def test_what_is_refused(self):
        bad = self.write("bad.json", json.dumps(
            {"type": "object", "properties": {"when": {"type": "string", "format": "moon"}}}))
        broken = self.write("broken.json", '{"type": ')
        nameless = self.write("nameless.json", '[{"type": "function", "function": {}}]')
        hostile = self.write("hostile.json", json.dumps([{"type": "function", "function": {
            "name": "f", "strict": True, "parameters": json.loads(bad.read_text())}}]))
        grammar = self.write("bad.ebnf", "root ::= (\n")
        absent = self.folder / "absent"
        for options, words in [
                (("--schema", self.schema, "--regex", "a"), "one of --schema, --regex"),
                (("--json-object", "--choice", "a"), "one of --schema, --regex"),
                (("--schema", absent), "absent"),
                (("--schema", broken), "broken.json"),
                (("--schema", bad), "bad.json: the JSON schema: '/properties/when/format'"),
                (("--schema", self.tools), "tools.json"),
                (("--regex", "("), "--regex"),
                (("--regex", ""), "--regex is empty"),
                (("--grammar", grammar), "bad.ebnf"),
                (("--grammar", absent), "absent"),
                (("--tools", absent), "absent"),
                (("--tools", self.schema), "schema.json: must be a list of tools"),
                (("--tools", nameless), "nameless.json: tools[0].function.name"),
                (("--tools", hostile), "hostile.json: the JSON schema: '/properties/when/format'"),
                (("--tools", self.tools, "--tool-choice", "fly"), "not 'fly'"),
                (("--tool-choice", "required"), "needs tools"),
                (("--think-budget", "-1"), "--think-budget"),
                (("--think-budget", 5, "--no-think"), "switched off"),
                (("--raw", "--tools", self.tools), "--raw"),
                (("--raw", "--math"), "--raw"),
                (("--raw", "--think-budget", 5), "--raw")]:
            with self.subTest(options):
                self.assertIn(words, self.run_program("run", self.long, "-p", "a", *options,
                                                      status=2))

    def chat(self, model, lines, *options):
        saved = self.folder / "conversation.json"
        printed = self.run_program("chat", model, *options, text="\n".join(
            [*lines, f"/save {saved}", ""]))
        return printed, json.loads(saved.read_text())["messages"]

    def test_forms_in_a_chat(self):
        printed, messages = self.chat(self.long, [
            f"/schema {self.schema}", "the", "/schema", "/regex b{4}", "the", "/regex", "/schema",
            "/regex off", "/regex", "/budget 7", "/budget", "/budget off", "/budget"], "-n", 60)
        json.loads(messages[1]["content"])
        self.assertEqual(messages[3]["content"], "bbbb")
        lines = printed.splitlines()
        self.assertEqual(lines[1:], [str(self.schema), "bbbb", "b{4}", "b{4}", "off", "7 tokens",
                                     "off"])

    def test_a_wrong_command_leaves_the_form_of_a_chat(self):
        _, messages = self.chat(self.long, [
            "/regex b{4}", "/regex (", f"/schema {self.folder / 'absent'}", "/budget x", "the"])
        self.assertEqual(messages[1]["content"], "bbbb")

    def test_calls_in_a_chat(self):
        options = ("--tool-choice", "look", "--regex", "b{4}", "-n", 120, "-t", 0)
        printed, messages = self.chat(self.long, ["the", "a lamp", "/tools off", "a moth", "more"],
                                      "--tools", self.tools, *options)
        self.assertRegex(printed, r'-> look \{"side": *"(left|right)"\}')
        calls = [call for m in messages for call in m.get("tool_calls", [])]
        results = [m for m in messages if m["role"] == "tool"]
        self.assertEqual([m["tool_call_id"] for m in results], [call["id"] for call in calls])
        self.assertEqual(results[0]["content"], "a lamp")
        self.assertEqual(len({call["id"] for call in calls}), len(calls))
        again, loaded = self.chat(self.long, [f"/load {self.folder / 'conversation.json'}"])
        self.assertEqual(loaded, messages)

    def test_saved_calls_are_checked(self):
        for call in ({}, {"id": "a", "function": {"name": "x", "arguments": {}}}, 7):
            path = self.write("wrong.json", json.dumps({"messages": [
                {"role": "assistant", "content": "", "tool_calls": [call]}]}))
            _, messages = self.chat(self.long, [f"/load {path}"])
            self.assertEqual(messages, [])


if __name__ == "__main__":
    unittest.main()
