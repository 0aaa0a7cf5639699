#!/usr/bin/env python3
"""A server of the Model Context Protocol for tests: its one argument says how it behaves."""

import json
import os
import signal
import subprocess
import sys
import time

behaviour = sys.argv[1]
PAGES = {None: ["add", "echo", "fail"], "two": ["files.read", "parts", "env"], "three": ["sleep"]}


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def receive():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def answer(request, result):
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def text(*parts):
    return {"content": [{"type": "text", "text": part} for part in parts]}


def initialize(request):
    if behaviour == "refuse":
        send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -1, "message": "not you"}})
    elif behaviour == "old":
        answer(request, {"protocolVersion": "1999-01-01", "capabilities": {}})
    else:
        capabilities = {} if behaviour == "no tools" else {"tools": {"listChanged": True}}
        answer(request, {"protocolVersion": "2025-03-26", "capabilities": capabilities,
                         "serverInfo": {"name": "test", "version": "1"}})


def list_tools(request):
    cursor = request["params"].get("cursor")
    if behaviour == "endless pages":
        answer(request, {"tools": [], "nextCursor": "again"})
    elif behaviour == "many tools":
        schema = {"type": "object"}
        answer(request, {"tools": [{"name": f"t{i}", "inputSchema": schema} for i in range(513)]})
    elif behaviour == "no schema":
        answer(request, {"tools": [{"name": "add"}]})
    elif behaviour == "no list":
        answer(request, {"tools": 7})
    else:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        tools = [{"name": name, "description": f"Does {name}.", "inputSchema": schema}
                 for name in PAGES[cursor]]
        following = {None: "two", "two": "three", "three": None}[cursor]
        answer(request, {"tools": tools} | ({"nextCursor": following} if following else {}))


def misbehave(request):
    """Does what the name says instead of answering a call; False if the name says nothing."""
    if behaviour == "die":
        os._exit(3)
    elif behaviour == "hang":
        time.sleep(1000)
    elif behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    elif behaviour == "garbage":
        print("Server is ready!", flush=True)
    elif behaviour == "binary":
        os.write(1, b"\xff\x00\xfe\n")
    elif behaviour == "array":
        send([1, 2])
    elif behaviour == "no id":
        send({"jsonrpc": "2.0", "result": {}})
    elif behaviour == "no result":
        send({"jsonrpc": "2.0", "id": request["id"]})
    elif behaviour == "deep":
        print("[" * 1000000, flush=True)
    elif behaviour == "null error":
        send({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "parse error"}})
    elif behaviour == "close":
        os.close(1)
        time.sleep(1000)
    elif behaviour == "flood lines":
        while True:
            os.write(1, b'{"jsonrpc":"2.0","method":"notifications/message","params":{}}\n' * 1000)
    elif behaviour == "flood blanks":
        while True:
            os.write(1, b"\n" * 60000)
    elif behaviour == "flood bytes":
        while True:
            os.write(1, b"x" * 60000)
    elif behaviour == "orphan":
        subprocess.Popen(["sleep", "1000"], stderr=subprocess.DEVNULL)
        os._exit(4)
    else:
        return False
    return True


def call_tool(request):
    if misbehave(request):
        return
    name, arguments = request["params"]["name"], request["params"]["arguments"]
    if name == "add":
        answer(request, text(str(arguments["a"] + arguments["b"])))
    elif name == "echo":
        answer(request, text(arguments["text"]))
    elif name == "fail":
        answer(request, text("it went wrong") | {"isError": True})
    elif name == "env":
        answer(request, text(",".join(sorted(os.environ))))
    elif name == "sleep":
        time.sleep(arguments["seconds"])
        answer(request, text("slept"))
    elif name == "files.read":
        answer(request, {"content": [], "structuredContent": {"lines": 3}})
    elif name == "parts":
        answer(request, {"content": [
            {"type": "text", "text": "one"}, {"type": "image", "data": "AAAA"}, 7,
            {"type": "resource", "resource": {"uri": "file:///x", "text": "two"}},
            {"type": "resource_link", "uri": "file:///y"}]})
    else:
        send({"jsonrpc": "2.0", "id": request["id"],
              "error": {"code": -32602, "message": f"Unknown tool: {name}"}})


def chat(request):
    """What a lively server sends before it answers: it must all be taken, and some replied to."""
    send({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
    send({"jsonrpc": "2.0", "id": 9999, "result": {"content": []}})
    print("", flush=True)
    send({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    assert receive() == {"jsonrpc": "2.0", "id": "p", "result": {}}
    send({"jsonrpc": "2.0", "id": 5, "method": "roots/list"})
    assert receive()["error"]["code"] == -32601


def main():
    if behaviour == "exit":
        print("no licence", file=sys.stderr)
        sys.exit(7)
    if behaviour == "deaf":
        time.sleep(1000)
    request = receive()
    assert request["method"] == "initialize" and request["jsonrpc"] == "2.0"
    assert request["params"]["protocolVersion"] and request["params"]["clientInfo"]["name"] == "hachi"
    initialize(request)
    assert receive()["method"] == "notifications/initialized"
    print("ready", file=sys.stderr, flush=True)
    if behaviour == "talks first":
        for _ in range(3000):
            send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 100}})
    if behaviour == "stops reading":
        time.sleep(1000)
    while True:
        request = receive()
        if behaviour == "lively" and "id" in request:
            chat(request)
        if request["method"] == "tools/list":
            list_tools(request)
        elif request["method"] == "tools/call":
            call_tool(request)
        elif request["method"] == "notifications/cancelled":
            print(f"cancelled {request['params']['requestId']}", file=sys.stderr, flush=True)


main()
