"""hachi with --tensor-parallel on processors: the same text as one process, and no hanging."""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import unittest
import urllib.request

from program_case import HACHI, ProgramCase

SOON = 10  # seconds until processes that should end have ended


def free_port():
    """Below the ports that connections get by themselves, so that nobody else has it in between."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class RanksTest(ProgramCase):
    def start(self, *arguments, **variables):
        self.port = free_port()
        process = subprocess.Popen(
            [HACHI, "serve", f"tiny={self.gguf}", "--port", str(self.port), "--device", "cpu",
             "--threads", "1", "--kv-type", "f32", "--access-log", "off", *map(str, arguments)],
            stderr=subprocess.PIPE, text=True,
            env=os.environ | {"HACHI_HOME": str(self.folder / "home")} | variables)
        self.addCleanup(self.stop, process)
        return process

    @staticmethod
    def stop(process):
        process.kill()
        process.wait()
        process.stderr.close()

    def await_ready(self, process):
        said = []
        for line in process.stderr:
            said.append(line)
            if "is ready" in line:
                return
        self.fail(f"the server ended before it was ready:\n{''.join(said)}")

    def complete(self):
        body = {"model": "tiny", "prompt": [1, 5, 9, 2, 7], "max_tokens": 20, "temperature": 0,
                "logprobs": 1}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/completions", json.dumps(body).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["choices"][0]["text"]

    def guesses(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines
                   if line.startswith("vllm:spec_decode_num_accepted_tokens_total"))

    def children_of(self, process):
        lists = pathlib.Path(f"/proc/{process.pid}/task").glob("*/children")
        return [int(pid) for one in lists for pid in one.read_text().split()]

    def assert_ends(self, process, status):
        self.assertEqual(process.wait(SOON), status)
        return process.stderr.read()

    def assert_gone(self, pids):
        deadline = time.monotonic() + SOON
        while any(os.path.exists(f"/proc/{pid}") and "Z" not in self.state(pid) for pid in pids):
            self.assertLess(time.monotonic(), deadline, "a rank is still there")
            time.sleep(0.05)

    @staticmethod
    def state(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                return file.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            return "Z"

    def test_answers_as_one_process_and_stops(self):
        texts = []
        for arguments in ([], ["--tensor-parallel", 2], ["--tensor-parallel", 2, "--draft", self.gguf]):
            process = self.start(*arguments)
            self.await_ready(process)
            texts.append(self.complete())
            self.assertEqual(self.guesses() > 0, "--draft" in arguments)
            children = self.children_of(process)
            self.assertEqual(len(children), 1 if arguments else 0)
            process.send_signal(signal.SIGTERM)
            self.assert_ends(process, 0)
            self.assert_gone(children)
        self.assertEqual(texts, 3 * texts[:1])

    def test_a_killed_rank_ends_the_service(self):
        process = self.start("--tensor-parallel", 2)
        self.await_ready(process)
        os.kill(self.children_of(process)[0], signal.SIGKILL)
        self.assertIn("rank 1 of 2 is lost", self.assert_ends(process, 2))

    def test_ranks_end_with_the_first(self):
        process = self.start("--tensor-parallel", 2)
        self.await_ready(process)
        children = self.children_of(process)
        process.kill()
        process.wait(SOON)
        self.assert_gone(children)

    def test_ranks_that_others_start(self):
        variables = {"HACHI_WORLD_SIZE": "2", "HACHI_MASTER": f"127.0.0.1:{free_port()}"}
        places = [{"HACHI_RANK": str(rank), "HACHI_LOCAL_RANK": str(rank)} for rank in range(2)]
        second = self.start("--tensor-parallel", 2, **variables, **places[1])
        first = self.start("--tensor-parallel", 2, **variables, **places[0])
        self.await_ready(first)
        self.assertTrue(self.complete())
        first.send_signal(signal.SIGTERM)
        self.assert_ends(first, 0)
        self.assert_ends(second, 0)

    def test_refuses_what_cannot_be(self):
        for arguments, words in ((["--tensor-parallel", 3], "2 key/value heads"),
                                 (["--tensor-parallel", 2, "--replicas", 2], "one model")):
            process = self.start(*arguments)
            self.assertIn(words, self.assert_ends(process, 2))
        process = self.start("--tensor-parallel", 2, HACHI_RANK="0", HACHI_WORLD_SIZE="4",
                             HACHI_LOCAL_RANK="0")
        self.assertIn("says that there are 4", self.assert_ends(process, 2))

    def test_bench(self):
        report = self.run_program("bench", self.gguf, "--tensor-parallel", 2, "--device", "cpu",
                                  "-p", 8, "-n", 4, "-r", 1, "-q", "--json")
        rows = json.loads(report)["groups"][0]["rows"]
        self.assertEqual([row["do"] for row in rows], ["prefill", "decode"])


if __name__ == "__main__":
    unittest.main()
