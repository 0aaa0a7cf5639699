"""What happens to a server from outside: pauses, crowds, garbage, clients that vanish."""

import asyncio
import json
import signal
import time

from soak_client import Closed, Complaint, Wire, request_bytes

GARBAGE = (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
           b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"GET  /\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\n\r\n",
           b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 40_000 + b"\r\n\r\n", b"\0" * 1000 + b"\r\n\r\n",
           b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
           b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n",
           b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n")


class Faults:
    """One after the other, at random; each is a part of the soak's books."""

    def __init__(self, rng, server, maker, soak):
        self.rng, self.server, self.maker, self.soak = rng, server, maker, soak

    async def pause(self):
        """As a machine that swaps, or a debugger."""
        self.server.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(self.rng.uniform(0.05, 1.5))
        finally:
            self.server.send(signal.SIGCONT)

    async def silence(self):
        """Connections that send nothing, or the beginning of a head."""
        wires = []
        try:
            for number in range(self.rng.choice([10, 100, 300])):
                wires.append(await Wire.open(self.server.port, 1000 + number))
                if self.rng.random() < 0.3:
                    await wires[-1].send(b"POST /v1/compl")
            await asyncio.sleep(self.rng.uniform(0.1, 3))
        finally:
            for wire in wires:
                if self.rng.random() < 0.5:
                    wire.abort()
                else:
                    await wire.close()

    async def garbage(self):
        data = self.rng.choice(GARBAGE) if self.rng.random() < 0.7 else self.rng.randbytes(2000) + b"\r\n\r\n"
        wire = await Wire.open(self.server.port, 7)
        try:
            await wire.send(data)
            answer = await asyncio.wait_for(wire.read_to_end(), self.soak.patience)
            # The end of a connection that was reset can come before the answer.
            if answer and not answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
                raise Complaint(f"an answer to garbage: {answer[:100]}")
        except Closed:
            pass
        finally:
            await wire.close()

    async def pipeline(self):
        """Requests that do not wait for one another's answers, which come in their order."""
        wire = await Wire.open(self.server.port, 8)
        try:
            count = self.rng.randint(2, 5)
            await wire.send(b"".join(request_bytes("POST", "/tokenize", json.dumps(
                {"model": self.soak.env.model, "prompt": "a " * (i + 1)}).encode()) for i in range(count)))
            counts = [(await wire.read_answer()).json()["count"] for _ in range(count)]
            if counts != sorted(counts):
                raise Complaint(f"answers out of order: {counts}")
        finally:
            await wire.close()

    async def slow_sender(self):
        """A request that comes byte by byte for a while."""
        data = request_bytes("GET", "/health")
        wire = await Wire.open(self.server.port, 9)
        try:
            for i in range(0, len(data), 7):
                await wire.send(data[i:i + 7])
                await asyncio.sleep(0.02)
            if (await wire.read_answer()).status != 200:
                raise Complaint("a slow request for /health failed")
        finally:
            await wire.close()

    async def burst(self):
        """More requests at once than run and wait."""
        count = self.soak.options.burst
        await asyncio.gather(*(self.soak.one(self.maker.completion(), 100 + i) for i in range(count)))

    async def vanishing(self):
        """Many whose clients go away at the same moment."""
        wires = []
        for number in range(self.rng.randint(5, 30)):
            wires.append(await Wire.open(self.server.port, 400 + number))
            ask = self.maker.completion()
            await wires[-1].send(request_bytes("POST", ask.path, ask.body))
        await asyncio.sleep(self.rng.uniform(0, 0.5))
        for wire in wires:
            wire.abort()

    async def run(self, period):
        kinds = {self.pause: 2, self.silence: 2, self.garbage: 4, self.pipeline: 2, self.slow_sender: 1,
                 self.burst: 1, self.vanishing: 2}
        while True:
            await asyncio.sleep(self.rng.uniform(0.2, 1.8) * period)
            if time.monotonic() > self.soak.end or not self.server.is_running():
                return
            kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
            self.soak.note("fault: " + kind.__name__)
            try:
                await kind()
            except (Complaint, OSError) as error:
                self.soak.fail(f"fault {kind.__name__}: {error}")
