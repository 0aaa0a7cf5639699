"""Which exceptions of the official clients come of what the server refuses, and what they say; keys
and their limits."""

import re
import signal

import anthropic
import openai
from client_case import KEY, QUESTION, ClientTest, KeyedTest, anthropic_client, key_line
from client_case import openai_client
from server import MODEL, wait_for


class ErrorsTest(ClientTest):
    def test_an_unknown_model(self):
        for call in (self.chat, lambda **fields: self.complete("a", **fields),
                     lambda **fields: self.openai.embeddings.create(input="a", **fields),
                     lambda **fields: self.openai.responses.create(input="a", **fields)):
            error = self.refused(openai.NotFoundError, "model", call, model="none",
                                 code="model_not_found")
            self.assertIn(MODEL, error.message)
            self.assertEqual(error.type, "not_found_error")

    def test_an_unknown_path(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.openai.images.generate(model=MODEL, prompt="a moth")
        self.assertIn("/v1/images/generations", caught.exception.message)

    def test_a_prompt_that_is_too_long(self):
        long = "moth " * 9000
        count = len(self.tokens(long))
        for param, call in [
                ("prompt", lambda: self.complete(long)), ("messages", lambda: self.chat(long)),
                ("input", lambda: self.openai.responses.create(model=MODEL, input=long))]:
            with self.assertRaises(openai.BadRequestError) as caught:
                call()
            error = caught.exception
            self.assertEqual(error.code, "context_length_exceeded")
            self.assertEqual(error.param, param)
            found = list(map(int, re.findall(r"\d+", error.message)))
            self.assertIn(8192, found)
            self.assertTrue(any(count <= number < count + 50 for number in found), error.message)

    def test_a_request_that_cannot_be_read(self):
        connection = self.server.connection()
        for body, words in [(b"{", "JSON"), (b"[]", "object"), (b'{"model": "\xff"}', "JSON"),
                            (b'{"model": 1}', "model"), (b"", "JSON")]:
            connection.request("POST", "/v1/chat/completions", body)
            answer = connection.getresponse()
            text = answer.read().decode()
            with self.subTest(body):
                self.assertEqual(answer.status, 400, text)
                self.assertIn(words, text)
        connection.close()

    def test_anthropic_says_it_in_its_own_shape(self):
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.anthropic.messages.create(model=MODEL, max_tokens=5, messages=[
                {"role": "user", "content": "moth " * 9000}])
        self.assertIn("8192", caught.exception.message.replace(",", ""))


class KeysTest(KeyedTest):
    @classmethod
    def key_lines(cls):
        return (key_line("plain", KEY) + key_line("few", "few", "rpm=2", "tpm=100000") +
                key_line("one", "one", "concurrency=1") + key_line("own", "own", "salt=own"))

    def ask(self, client, **fields):
        fields = {"model": MODEL, "max_tokens": 2, "temperature": 0} | fields
        return client.chat.completions.create(messages=QUESTION, **fields)

    def say(self, client):
        return client.messages.create(model=MODEL, max_tokens=2, messages=QUESTION)

    def test_a_wrong_key(self):
        for key in ("wrong", KEY + "x", KEY[:-1]):
            with self.assertRaises(openai.AuthenticationError) as caught:
                self.ask(openai_client(self.server, key))
            self.assertEqual(caught.exception.code, "invalid_api_key")
            with self.assertRaises(anthropic.AuthenticationError) as caught:
                self.say(anthropic_client(self.server, key))
            self.assertEqual(caught.exception.body["error"]["type"], "authentication_error")
        with self.assertRaises(openai.AuthenticationError):
            openai_client(self.server, "wrong").models.list()

    def test_the_right_key(self):
        self.assertEqual(self.ask(openai_client(self.server, KEY)).usage.completion_tokens, 2)
        self.assertEqual(self.say(anthropic_client(self.server, KEY)).usage.output_tokens, 2)
        token = anthropic.Anthropic(base_url=self.server.url, auth_token=KEY, max_retries=0)
        self.assertEqual(self.say(token).usage.output_tokens, 2)

    def test_the_limit_of_requests(self):
        client = openai_client(self.server, "few")
        for left in ("1", "0"):
            raw = client.chat.completions.with_raw_response.create(
                model=MODEL, messages=QUESTION, max_tokens=2)
            self.assertEqual(raw.headers["x-ratelimit-limit-requests"], "2")
            self.assertEqual(raw.headers["x-ratelimit-remaining-requests"], left)
            self.assertEqual(raw.headers["x-ratelimit-limit-tokens"], "100000")
            self.assertLess(int(raw.headers["x-ratelimit-remaining-tokens"]), 100000)
            self.assertRegex(raw.headers["x-ratelimit-reset-requests"], r"^(\d+m)?[\d.]+m?s$")
        with self.assertRaises(openai.RateLimitError) as caught:
            self.ask(client)
        self.assertEqual(caught.exception.code, "rate_limit_exceeded")
        self.assertIn(int(caught.exception.response.headers["retry-after"]), range(1, 61))
        with self.assertRaises(anthropic.RateLimitError) as caught:
            self.say(anthropic_client(self.server, "few"))
        self.assertIn("retry-after", caught.exception.response.headers)
        self.assertEqual(caught.exception.body["error"]["type"], "rate_limit_error")
        # The others are not held up.
        self.ask(openai_client(self.server, KEY))

    def test_the_limit_of_concurrency(self):
        client = openai_client(self.server, "one")
        with self.ask(client, stream=True, max_tokens=900,
                      extra_body={"ignore_eos": True}) as stream:
            next(iter(stream))
            with self.assertRaises(openai.RateLimitError):
                self.ask(client)
        wait_for(self.server.is_idle, "the stream is gone")
        # The client tries again by itself, as long as the place is not given back.
        self.ask(openai_client(self.server, "one", max_retries=3))

    def test_a_cache_of_its_own(self):
        # Long enough for a page of the cache.
        question = [{"role": "user", "content": "Which of these is a river? " * 20}]

        def cached(key):
            usage = openai_client(self.server, key).chat.completions.create(
                model=MODEL, messages=question, max_tokens=1).usage
            return usage.prompt_tokens_details.cached_tokens
        self.assertEqual(cached(KEY), 0)
        self.assertGreater(cached(KEY), 0)
        self.assertEqual(cached("own"), 0)
        self.assertGreater(cached("own"), 0)

    def test_the_keys_are_read_again(self):
        client = openai_client(self.server, "new")
        with self.assertRaises(openai.AuthenticationError):
            self.ask(client)
        with open(self.key_file, "a") as keys:
            keys.write(key_line("new", "new"))
        self.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "again" in self.server.log(), "the keys are read")
        self.ask(client)

    def test_what_needs_no_key(self):
        self.assertEqual(self.server.get("/health"), b'{"status":"ok"}')
        self.assertIn(b"<html", self.server.get("/"))
