"""A `hachi serve` for tests: on a free port, its log kept, stopped as an operator stops it."""

import http.client
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

MODEL = "smollm2"
PATIENCE_S = 60  # for what should take milliseconds, on a busy machine


def wait_for(condition, what):
    """The first true value of condition()."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"this did not come true within {PATIENCE_S} s: {what}")


class Server:
    """`options` go to hachi serve; the log of its standard error is in `folder`."""

    hachi = ""  # the program

    def __init__(self, *options, folder=None):
        self.temporary = None if folder else tempfile.TemporaryDirectory(prefix="hachi-clients-")
        self.folder = pathlib.Path(folder or self.temporary.name)
        self.log_path = self.folder / "server.log"
        if "--data" not in options:
            options = (*options, "--data", self.folder / "data")
        with open(self.log_path, "ab") as log:
            start = log.tell()
            self.process = subprocess.Popen(
                [self.hachi, "serve", MODEL, "--port", "0", *map(str, options)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: self._has_begun(start), "the server is ready")
            self.port = int(re.findall(r"listening on http://127\.0\.0\.1:(\d+)", self.log())[-1])
        except BaseException:
            self.process.kill()
            raise
        self.url = f"http://127.0.0.1:{self.port}"
        assert self.get("/health") == b'{"status":"ok"}'

    def _has_begun(self, start):
        if self.process.poll() is not None:
            raise AssertionError(f"hachi serve ended with {self.process.poll()}:\n{self.log()}")
        return f"hachi: {MODEL} is ready\n" in self.log()[start:]

    def log(self):
        return self.log_path.read_text()

    def access_log(self):
        """The requests that the log has."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as answer:
            return answer.read()

    def post(self, path, body, headers=None):
        """Status and JSON of the answer."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(),
            {"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def metrics(self):
        """Prometheus' values by their names, those of several labels added up."""
        values = {}
        for line in self.get("/metrics").decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                name = name.split("{")[0]
                values[name] = values.get(name, 0) + float(value)
        return values

    def is_idle(self):
        values = self.metrics()
        return values["vllm:num_requests_running"] + values["vllm:num_requests_waiting"] == 0

    def kill(self):
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """The exit status after SIGTERM, and the seconds until it came."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=PATIENCE_S)
        finally:
            self.process.kill()
        if self.temporary:
            self.temporary.cleanup()
        return status, time.monotonic() - started
