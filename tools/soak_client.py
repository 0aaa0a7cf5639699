"""A client of the soak: HTTP/1.1 over plain sockets, so that it can also do what no library would."""

import asyncio
import json
import socket
import struct

PIECE = 1 << 16


class Complaint(Exception):
    """What should not have happened, in one sentence."""


class Closed(Complaint):
    """The connection ended before the answer did."""


class Answer:
    def __init__(self, status, headers):
        self.status, self.headers, self.body = status, headers, b""

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Complaint(f"status {self.status} with a body that is no JSON ({error}): {self.body[:200]}") from None

    def events(self):
        """The JSON of each event of a stream; its end has to be whole."""
        if not self.body.endswith(b"\n\n"):
            raise Complaint(f"a stream that ends within an event: …{self.body[-200:]}")
        out = []
        for event in self.body[:-2].split(b"\n\n"):
            if event.startswith(b":"):  # a comment, which keeps the connection alive
                continue
            data = [line[6:] for line in event.split(b"\n") if line.startswith(b"data: ")]
            if len(data) != 1:
                raise Complaint(f"an event without data: {event[:200]}")
            out.append(None if data[0] == b"[DONE]" else json.loads(data[0]))
        return out


def request_bytes(method, path, body=b"", host="127.0.0.1", headers=()):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Wire:
    """One connection to the server."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.is_open = True

    @classmethod
    async def open(cls, port, user=0, narrow=False):
        """Users are told apart by their address, of which the loopback has many. A narrow connection
        has small buffers, so that the server feels at once that nobody reads."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if narrow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.bind((f"127.0.{user // 200}.{1 + user % 200}", 0))
            await loop.sock_connect(sock, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock, limit=4096 if narrow else PIECE)
        except BaseException:
            sock.close()
            raise
        return cls(reader, writer)

    async def send(self, data):
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise Closed(f"the server closed while it was sent to: {error}") from None

    async def read_head(self):
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise Closed(f"the server closed without an answer, after {error.partial[:100]}") from None
        except OSError as error:
            raise Closed(f"the server cut the connection before its answer: {error}") from None
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return Answer(int(lines[0].split(" ")[1]), headers)

    async def pieces(self, answer):
        """The body of an answer as it comes; an error if it ends too early."""
        try:
            if answer.headers.get("transfer-encoding") == "chunked":
                while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                    yield (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            else:
                left = int(answer.headers.get("content-length", 0))
                while left > 0:
                    piece = await self.reader.read(min(left, PIECE))
                    if not piece:
                        raise Closed("the server closed within an answer")
                    left -= len(piece)
                    yield piece
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Closed(f"the server closed within an answer: {error}") from None

    async def read_answer(self, pause=None):
        """`pause` is awaited before each piece."""
        answer = await self.read_head()
        parts = []
        if pause:
            await pause()
        async for piece in self.pieces(answer):
            parts.append(piece)
            if pause:
                await pause()
        answer.body = b"".join(parts)
        if answer.headers.get("connection", "").lower() == "close":
            await self.close()
        return answer

    async def read_to_end(self):
        """All until the server closes."""
        data = b""
        try:
            while piece := await self.reader.read(PIECE):
                data += piece
        except OSError:
            pass  # a reset is an end too
        return data

    def half_close(self):
        try:
            self.writer.write_eof()
        except OSError:
            pass

    async def close(self):
        if self.is_open:
            self.is_open = False
            self.writer.close()
            try:
                await self.writer.wait_closed()
            except OSError:
                pass

    def abort(self):
        """Ends the connection by a reset, with all that was not read."""
        if self.is_open:
            self.is_open = False
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()


async def ask(port, method, path, body=None, user=0):
    """One request on a connection of its own."""
    wire = await Wire.open(port, user)
    try:
        data = b"" if body is None else json.dumps(body).encode()
        await wire.send(request_bytes(method, path, data))
        return await wire.read_answer()
    finally:
        await wire.close()


async def read_metrics(port):
    """Prometheus' values by name, and by name and labels."""
    values = {}
    for line in (await ask(port, "GET", "/metrics")).body.decode().splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
            short = name.split("{")[0]
            if short != name:
                values[short] = values.get(short, 0) + float(value)
    return values
