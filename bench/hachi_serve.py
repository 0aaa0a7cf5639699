"""A `hachi serve` of one model for benchmarks in Python, and chat requests to it."""

import dataclasses
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

START_SECONDS = 120
ANSWER_SECONDS = 600  # for one answer, on a busy machine
MODEL = "model"  # what the server calls it
# For the models whose files bring no chat template.
TEMPLATES = {"gemma3-270m": pathlib.Path(__file__).resolve().parent / "gemma.jinja"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclasses.dataclass
class Answer:
    content: str = ""
    reasoning: str = ""
    finish: str = ""
    tokens: int = 0
    thinking_tokens: int = 0
    budget_spent: bool = False  # the server says that it closed the thoughts

    def add(self, choice, part):
        """What a choice of an answer, or of one event of a stream, has in its message or delta."""
        said = choice.get(part, {})
        if self.content and said.get("reasoning_content"):
            raise ValueError("thoughts came after the answer had begun")
        self.content += said.get("content") or ""
        self.reasoning += said.get("reasoning_content") or ""
        self.budget_spent = self.budget_spent or said.get("reasoning_truncated", False)
        self.finish = choice.get("finish_reason") or self.finish

    def count(self, usage):
        self.tokens = usage["completion_tokens"]
        self.thinking_tokens = usage["completion_tokens_details"]["reasoning_tokens"]


class Server:
    """Of `model`, as hachi names it; `options` go to hachi serve. Use it in a `with`."""

    def __init__(self, hachi, model, options, log):
        self.port = free_port()
        self.connections = threading.local()
        if model in TEMPLATES:
            options = [*options, "--chat-template", TEMPLATES[model]]
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                [hachi, "serve", f"{MODEL}={model}", "--port", str(self.port), "--access-log", "off",
                 *map(str, options)], stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            self._wait(log)
        except BaseException:
            self.process.kill()
            raise

    def _wait(self, log):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"hachi serve ended with {self.process.returncode}: see {log}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
                connection.request("GET", "/v1/models")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"hachi serve does not answer: see {log}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def chat(self, body, stream=False):
        """The Answer to a chat request with the fields of `body`; each thread has a connection."""
        if not hasattr(self.connections, "own"):
            self.connections.own = http.client.HTTPConnection("127.0.0.1", self.port,
                                                              timeout=ANSWER_SECONDS)
        fields = {"model": MODEL, **body}
        if stream:
            fields.update(stream=True, stream_options={"include_usage": True})
        connection = self.connections.own
        connection.request("POST", "/v1/chat/completions", json.dumps(fields),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise ValueError(f"status {response.status}: {response.read().decode()}")
        return read_stream(response) if stream else read_whole(response)


def read_whole(response):
    body = json.loads(response.read())
    answer = Answer()
    answer.add(body["choices"][0], "message")
    answer.count(body["usage"])
    return answer


def read_stream(response):
    answer = Answer()
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise ValueError(f"the stream ended with {event['error']}")
        for choice in event["choices"]:
            answer.add(choice, "delta")
        if event.get("usage"):
            answer.count(event["usage"])
    return answer


def for_all(users, items, work):
    """[work(item)] for each item, up to `users` at once."""
    with ThreadPoolExecutor(users) as pool:
        return list(pool.map(work, items))
