"""Models, tokens, health and metrics; how the server is stopped."""

import pathlib
import tempfile
import threading

import openai
from client_case import QUESTION, ClientTest, openai_client
from server import MODEL, Server, wait_for


class OperationsTest(ClientTest):
    def test_models(self):
        [model] = self.openai.models.list().data
        self.assertEqual((model.id, model.object), (MODEL, "model"))
        self.assertEqual(self.openai.models.retrieve(MODEL), model)
        with self.assertRaises(openai.NotFoundError) as caught:
            self.openai.models.retrieve("none")
        self.assertEqual(caught.exception.code, "model_not_found")

    def test_tokens_there_and_back(self):
        for text in ("Hello, world!", "naïve – 日本語 🦋\n\n\tx", " ", "<|im_end|> typed"):
            ids = self.tokens(text)
            status, back = self.server.post("/detokenize", {"model": MODEL, "tokens": ids})
            self.assertEqual((status, back), (200, {"prompt": text}))
        answer = self.server.post("/tokenize", {"prompt": "Hello, world!",
                                                "return_token_strs": True})[1]
        self.assertEqual(answer["token_strs"], ["Hello", ",", "Ġworld", "!"])
        self.assertEqual(answer["max_model_len"], 8192)

    def test_tokens_of_a_conversation(self):
        status, answer = self.server.post("/tokenize", {"messages": QUESTION})
        self.assertEqual(status, 200)
        self.assertEqual(answer["count"], self.chat().usage.prompt_tokens)
        whole = self.complete(answer["tokens"], max_tokens=12).choices[0].text
        self.assertEqual(whole, self.chat().choices[0].message.content)

    def test_a_system_message_in_the_users(self):
        apart = [{"role": "system", "content": "Be brief."}, *QUESTION]
        together = [{"role": "user", "content": "Be brief.\n\n" + QUESTION[0]["content"]}]

        def tokens(server, messages, **fields):
            status, answer = server.post("/tokenize", {"messages": messages, **fields})
            self.assertEqual(status, 200, answer)
            return answer["tokens"]

        wanted = tokens(self.server, together)
        self.assertNotEqual(tokens(self.server, apart), wanted)
        self.assertEqual(tokens(self.server, apart, system_in_user=True), wanted)
        set_so = Server("--kv-cache", "256MB", "--system-in-user", "--think-budget", 100,
                        "--model-think-budget", f"{MODEL}=7")
        try:
            self.assertEqual(tokens(set_so, apart), wanted)
            self.assertEqual(tokens(set_so, apart, system_in_user=False),
                             tokens(self.server, apart))
            self.assertIn("thinking 7 tokens\n", set_so.log())
            self.assertIn("system messages go into the user's\n", set_so.log())
        finally:
            set_so.stop()

    def test_metrics_count_what_was_done(self):
        before = self.server.metrics()
        usage = self.chat("Count what this takes.").usage
        after = self.server.metrics()
        for name, grown in [("vllm:generation_tokens_total", usage.completion_tokens),
                            ("vllm:prompt_tokens_total", usage.prompt_tokens),
                            ("vllm:request_success_total", 1),
                            ("vllm:time_to_first_token_seconds_count", 1),
                            ("vllm:e2e_request_latency_seconds_count", 1)]:
            with self.subTest(name):
                self.assertEqual(after[name] - before.get(name, 0), grown)

    def test_the_access_log_has_no_text(self):
        raw = self.openai.chat.completions.with_raw_response.create(
            model=MODEL, messages=[{"role": "user", "content": "Say xyzzy."}], max_tokens=2)
        request_id = raw.headers["x-request-id"]
        [line] = wait_for(lambda: [line for line in self.server.access_log()
                                   if line.get("request_id") == request_id], "the line is there")
        self.assertEqual((line["path"], line["status"], line["completion_tokens"]),
                         ("/v1/chat/completions", 200, 2))
        self.assertNotIn("xyzzy", self.server.log())


class TemplateTest(ClientTest):
    def test_a_template_in_place_of_the_models(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "template.jinja"
            path.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}")
            server = Server("--kv-cache", "256MB", "--chat-template", path)
            try:
                _, answer = server.post("/tokenize", {"messages": QUESTION})
                _, back = server.post("/detokenize", {"tokens": answer["tokens"]})
            finally:
                server.stop()
        self.assertEqual(back["prompt"], f"[user] {QUESTION[0]['content']}")


class StopTest(ClientTest):
    """Servers of their own, for they end."""

    def test_a_running_answer_is_finished_first(self):
        server = Server("--kv-cache", "256MB")
        with openai_client(server) as client:
            stream = client.chat.completions.create(
                model=MODEL, messages=QUESTION, stream=True, temperature=0, max_tokens=200,
                extra_body={"ignore_eos": True})
            stopped = []
            stopper = threading.Thread(target=lambda: stopped.append(server.stop()))
            finished = None
            for number, chunk in enumerate(stream):
                if number == 3:
                    stopper.start()
                finished = chunk.choices[0].finish_reason or finished
        stopper.join()
        self.assertEqual(finished, "length")
        [(status, seconds)] = stopped
        self.assertEqual(status, 0)
        self.assertLess(seconds, 25)  # the answer's, and not all that was granted

    def test_what_lasts_too_long_is_told_so(self):
        server = Server("--kv-cache", "256MB", "--grace", "0.3")
        with openai_client(server) as client:
            stream = client.chat.completions.create(
                model=MODEL, messages=QUESTION, stream=True, max_tokens=4000,
                extra_body={"ignore_eos": True})
            next(stream)
            stopper = threading.Thread(target=server.stop)
            stopper.start()
            with self.assertRaises(openai.APIError) as caught:
                for chunk in stream:
                    self.assertIsNone(chunk.choices[0].finish_reason)
        stopper.join()
        self.assertIn("the server is stopping", str(caught.exception))
        self.assertEqual(server.process.returncode, 0)
