"""The chat page with an API that answers by script, for tests of the page and for work on it.

    scripted_server.py [--port 8000] [--page URL]

The page comes from web/ and the libraries where Debian puts them, or with --page from a running
server. What the last message says chooses the answer:

    think      thoughts, then a short answer          rich     table, formulas, code, a task list
    slow       120 words, 10 ms a token               long     5,000 words as fast as they go
    attack     HTML, links and formulas that attack   echo X   X as it is
    busy       429 with Retry-After: 7                full     400, context too long
    break      the connection ends in the middle      fail     an error inside the stream
    weather    a call, in pieces                      both     two calls
    hostile    a call that attacks                    cut      a call that is broken off
    budget     thoughts that their budget ended       a result: a line with all results of the turn
    else: a line that says what was asked
"""

import argparse
import http.server
import json
import pathlib
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "cmake"))
import embed_files  # noqa: E402

MODELS = ["hachi-scripted", "hachi-other"]

THOUGHTS = "The user asks for a thought.\n\nSo I compute $a^2 + b^2 = c^2$ and **weigh** it."

RICH_THOUGHTS = r"""They want the heat equation with a table and code, so: the PDE first, then how to
step it.

The explicit scheme is stable only for $\alpha \Delta t \le \tfrac{1}{2} \Delta x^2$; that
belongs in the table.
"""

RICH = r"""## The heat equation

It says how the temperature $u(x, t)$ of a rod changes. (The rod costs between $5 and $6.)

\[
\frac{\partial u}{\partial t}
- \alpha \frac{\partial^2 u}{\partial x^2} = 0
\]

| scheme | order | stable for |
|:--|:-:|--:|
| explicit | 1 | $\alpha \Delta t \le \tfrac{1}{2} \Delta x^2$ |
| implicit | 1 | every $\Delta t$ |

```python
def step(u, r):
	# one explicit step, r = alpha dt / dx^2
	return [u[i] + r * (u[i - 1] - 2 * u[i] + u[i + 1]) for i in range(1, len(u) - 1)]
```

- [x] derive it
- [ ] solve it, see [the reference][1]

[1]: https://example.org/heat
"""

ATTACK = r"""<script>window.attacked = 'script'</script>

<img src=x onerror="window.attacked = 'onerror'"> and inline <b onclick="window.attacked = 1">bold</b>

[a link](javascript:window.attacked='link') [data](data:text/html,<script>alert(1)</script>)
[quotes](https://example.org/"onmouseover="window.attacked='quote') ![image](https://example.org/x.png)

<javascript:window.attacked='auto'> and [ref]

[ref]: javascript:window.attacked='ref'

$\href{javascript:window.attacked='tex'}{x}$ $\htmlStyle{color:red}{y}$
$\includegraphics{https://example.org/y.png}$
$\fcolorbox{red}{white}{z}$ $\pmb{b}$

```html"><script>window.attacked='fence'</script>
<img src=x onerror="window.attacked = 'code'">
```

<details open ontoggle="window.attacked='toggle'"><style>body{display:none}</style>

| <img src=x onerror=window.attacked='cell'> | b |
|--|--|
| `<script>` | <svg onload=window.attacked='svg'> |
"""


HOSTILE = "<img src=x onerror=\"window.attacked='call'\">"

# By the first word: the calls, their names and the text of their arguments.
CALLS = {
    "weather": [("get_weather", '{"city": "Köln", "days": [1, 2], "where": {}}')],
    "both": [("get_weather", '{"city": "Köln"}'), ("get_time", '{"zone":"CET"}')],
    "hostile": [(HOSTILE, json.dumps({HOSTILE: [HOSTILE, "</code></pre><script>"]}))],
    "cut": [("get_weather", '{"city": "Kö')],
}


def script_of(text):
    """(thoughts, answer, seconds between tokens) for the text of the last message."""
    word = text.split()[0].lower() if text.split() else ""
    if word == "think":
        return THOUGHTS, "It is **five**.", 0.03
    if word == "budget":
        return THOUGHTS, "Here it is.", 0.0
    if word in CALLS:
        return "", "", 0.03 if word == "weather" else 0.0
    if word == "rich" or "heat equation" in text:
        return RICH_THOUGHTS, RICH, 0.002
    if word == "slow":
        return "", " ".join(f"word{i}" for i in range(120)), 0.01
    if word == "long":
        return "", "\n\n".join(f"Part {i}. " + "A *word* and `code`. " * 25 for i in range(50)), 0.0
    if word == "attack":
        return ATTACK, ATTACK, 0.0
    if word == "echo":
        return "", text[5:], 0.0
    if word == "break":
        return "", "This answer ends in the", 0.0
    if word == "fail":
        return "", "This answer fails", 0.0
    return "", f"You said: {text}", 0.005


def tokens(text, size=4):
    return [text[i : i + size] for i in range(0, len(text), size)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each small answer waits 40 ms for the browser

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v1/models":
            if self.allowed():
                models = [{"id": name, "object": "model"} for name in MODELS]
                self.send_json(200, {"object": "list", "data": models})
        elif path.startswith("/tests/"):
            self.send_file(ROOT / "tests" / "web" / pathlib.Path(path).name)
        elif self.server.page:
            self.send_page_of(self.server.page, path)
        elif path in self.server.files:
            self.send_file(self.server.files[path])
        else:
            self.send_json(404, {"error": {"message": "There is no such page."}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.send_json(404, {"error": {"message": "There is no such endpoint."}})
            return
        self.server.requests.append(body)
        if not self.allowed():
            return
        messages = body["messages"]
        is_continued = messages[-1]["role"] == "assistant"
        text = messages[-2 if is_continued else -1]["content"]
        if messages[-1]["role"] == "tool":
            questions = [i for i, message in enumerate(messages) if message["role"] == "user"]
            turn = messages[questions[-1] :]
            text = "echo " + "; ".join(m["content"] for m in turn if m["role"] == "tool")
        if text.startswith("busy"):
            self.send_json(429, {"error": {"message": "Too many requests."}}, {"Retry-After": "7"})
        elif text.startswith("full"):
            self.send_json(
                400, {"error": {"message": "The prompt has 9000 tokens and the context 4096."}}
            )
        else:
            self.answer(text, messages[-1]["content"] if is_continued else "")

    def allowed(self):
        key = self.server.key
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self.send_json(401, {"error": {"message": "This key is not known."}})
            return False
        return True

    def answer(self, text, begun):
        thoughts, content, pause = script_of(text)
        thought_tokens, content_tokens = tokens(thoughts), tokens(content)
        if begun:
            thought_tokens, content_tokens = [], tokens(content[len(begun) :])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
            for token in thought_tokens:
                self.event({"choices": [{"index": 0, "delta": {"reasoning_content": token}}]})
                time.sleep(pause)
            for token in content_tokens:
                self.event({"choices": [{"index": 0, "delta": {"content": token}}]})
                time.sleep(pause)
            if text.startswith("break"):
                return
            if text.startswith("fail"):
                self.event(
                    {"error": {"message": "The model ran out of memory.", "type": "server_error"}}
                )
                return
            calls = CALLS.get(text.split(" ")[0], [])
            num_call_tokens = self.call(calls, pause)
            end = {"reasoning_truncated": True} if text.startswith("budget") else {}
            finish = "length" if text.startswith("cut") else "tool_calls" if calls else "stop"
            self.event({"choices": [{"index": 0, "delta": end, "finish_reason": finish}]})
            self.event(
                {
                    "choices": [],
                    "usage": {
                        "prompt_tokens": 17,
                        "completion_tokens": len(thought_tokens)
                        + len(content_tokens)
                        + num_call_tokens,
                        "prompt_tokens_details": {"cached_tokens": 8},
                        "completion_tokens_details": {"reasoning_tokens": len(thought_tokens)},
                    },
                }
            )
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server.disconnects += 1  # the page stopped the answer

    def call(self, calls, pause):
        """Returns the number of tokens."""
        count = 0
        for index, (name, arguments) in enumerate(calls):
            first = {"id": f"call_{index}", "type": "function"}
            pieces = [{**first, "function": {"name": name, "arguments": ""}}]
            pieces += [{"function": {"arguments": token}} for token in tokens(arguments)]
            for piece in pieces:
                delta = {"tool_calls": [{"index": index, **piece}]}
                self.event({"choices": [{"index": 0, "delta": delta}]})
                time.sleep(pause)
            count += len(pieces)
        return count

    def event(self, data):
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
        self.wfile.flush()

    def send_page_of(self, server, path):
        try:
            with urllib.request.urlopen(server + path) as page:
                names = ["Content-Type", "Content-Encoding", "Content-Security-Policy", "ETag"]
                headers = {name: page.headers[name] for name in names if page.headers[name]}
                self.send_bytes(200, page.read(), headers)
        except urllib.error.HTTPError as error:
            self.send_json(error.code, {"error": {"message": str(error)}})

    def send_file(self, path):
        self.send_bytes(
            200,
            path.read_bytes(),
            {
                "Content-Type": embed_files.CONTENT_TYPES[path.suffix],
                "Content-Security-Policy": self.server.policy,
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-cache",
            },
        )

    def send_json(self, status, data, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        self.send_bytes(status, json.dumps(data).encode(), headers)

    def send_bytes(self, status, data, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def policy_of_program():
    """kContentSecurityPolicy of src/server/page.h."""
    source = (ROOT / "src" / "server" / "page.h").read_text()
    declaration = source.split("kContentSecurityPolicy =")[1].split(";\n")[0]
    return "".join(declaration.split('"')[1::2])


class ScriptedServer(http.server.ThreadingHTTPServer):
    """`requests` holds the bodies that came, `key` the API key that is asked for ("": none)."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port=0, page=""):
        super().__init__(("127.0.0.1", port), Handler)
        self.page = page.rstrip("/")
        self.files = embed_files.files_of(ROOT / "web" / "assets.txt")
        self.policy = policy_of_program()
        self.requests = []
        self.disconnects = 0
        self.key = ""
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def start(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def handle_error(self, *_):
        pass  # a browser that closes a connection is none


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--page", default="")
    options = parser.parse_args()
    server = ScriptedServer(options.port, options.page)
    print(server.url, flush=True)
    server.serve_forever()
