"""What the tests with clients share: the servers, the clients, and what must hold after each."""

import hashlib
import pathlib
import tempfile
import unittest

import anthropic
import openai
from server import MODEL, Server, wait_for

KEY = "sk-of-the-tests"
QUESTION = [{"role": "user", "content": "Name three rivers."}]


def key_line(name, key, *limits):
    """A line of the file for --api-keys."""
    return " ".join((name, "sha256:" + hashlib.sha256(key.encode()).hexdigest(), *limits)) + "\n"


def openai_client(server, key="none", **options):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=key, **{"max_retries": 0, **options})


def anthropic_client(server, key="none", **options):
    return anthropic.Anthropic(base_url=server.url, api_key=key, **{"max_retries": 0, **options})


class ClientTest(unittest.TestCase):
    """All share one server, which must be idle after each test, with no memory of it but its cache."""

    server = None

    @classmethod
    def setUpClass(cls):
        cls.openai = openai_client(cls.server)
        cls.anthropic = anthropic_client(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.openai.close()
        cls.anthropic.close()

    def tearDown(self):
        wait_for(self.server.is_idle, "no request runs or waits")

    def chat(self, messages=QUESTION, **fields):
        fields = {"model": MODEL, "temperature": 0, "max_completion_tokens": 12} | fields
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return self.openai.chat.completions.create(messages=messages, **fields)

    def complete(self, prompt, **fields):
        fields = {"model": MODEL, "temperature": 0, "max_tokens": 8} | fields
        return self.openai.completions.create(prompt=prompt, **fields)

    def tokens(self, text, **fields):
        status, answer = self.server.post("/tokenize", {"prompt": text, **fields})
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["count"], len(answer["tokens"]))
        return answer["tokens"]

    def refused(self, kind, param, call, *arguments, code=None, **fields):
        """The error of a call that must be refused so."""
        with self.assertRaises(kind) as caught:
            call(*arguments, **fields)
        error = caught.exception
        self.assertEqual(error.param, param, error)
        if param:
            self.assertIn(param, error.message)
        if code:
            self.assertEqual(error.code, code)
        return error


class KeyedTest(unittest.TestCase):
    """A server that asks for the keys of key_lines()."""

    @classmethod
    def key_lines(cls):
        return key_line("tests", KEY)

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="hachi-keys-")
        path = pathlib.Path(cls.temporary.name) / "keys"
        path.touch(mode=0o600)
        path.write_text(cls.key_lines())
        cls.key_file = path
        cls.server = Server("--api-keys", path, "--kv-cache", "256MB", "--context", 1024)

    @classmethod
    def tearDownClass(cls):
        status, _ = cls.server.stop()
        cls.temporary.cleanup()
        assert status == 0, f"hachi serve ended with {status}"
