"""What api's writers write, read with the official clients: answers with thoughts, a text and calls
of tools, from the files of tests/cases/wire (tests/api/wire_test.cc holds the writers to them)."""

import http.server
import json
import pathlib
import threading
import unittest

import anthropic
import openai

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "cases" / "wire"
THOUGHTS = "Köln first, then the time"
TEXT = "Let me see."
WEATHER = {"city": 'Köln "am Rhein"', "days": [1, 2], "unit": None}
CALLS = [("call_1", "get_weather", WEATHER), ("call_2", "now", {})]
QUESTION = [{"role": "user", "content": "Hi"}]


class Replay(http.server.BaseHTTPRequestHandler):
    """Answers each POST with the file of its endpoint, a stream if one is asked for."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.rsplit("/", 1)[-1].replace("completions", "chat")
        if request.get("reasoning_field") == "reasoning":
            name += "_reasoning"
        stream = request.get("stream", False)
        body = (FOLDER / (name + (".sse" if stream else ".json"))).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if stream else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class WireTest(unittest.TestCase):
    """The clients check each answer and each event against their types."""

    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Replay)
        cls.thread = threading.Thread(target=cls.server.serve_forever)
        cls.thread.start()
        url = f"http://127.0.0.1:{cls.server.server_port}"
        options = {"api_key": "none", "max_retries": 0, "_strict_response_validation": True}
        cls.openai = openai.OpenAI(base_url=url + "/v1", **options)
        cls.anthropic = anthropic.Anthropic(base_url=url, **options)

    @classmethod
    def tearDownClass(cls):
        cls.openai.close()
        cls.anthropic.close()
        cls.server.shutdown()
        cls.thread.join()
        cls.server.server_close()

    def check_chat(self, choice, reasoning):
        self.assertEqual(choice.finish_reason, "tool_calls")
        message = choice.message
        self.assertEqual((message.role, message.content), ("assistant", TEXT))
        self.assertEqual(getattr(message, reasoning), THOUGHTS)
        self.assertIs(message.reasoning_truncated, True)
        self.assertEqual([(call.id, call.function.name, json.loads(call.function.arguments))
                          for call in message.tool_calls], CALLS)
        self.assertEqual({call.type for call in message.tool_calls}, {"function"})

    def test_a_chat(self):
        for reasoning in ("reasoning_content", "reasoning"):
            fields = {"model": "m", "messages": QUESTION,
                      "extra_body": {"reasoning_field": reasoning}}
            answer = self.openai.chat.completions.create(**fields)
            self.check_chat(answer.choices[0], reasoning)
            with self.openai.chat.completions.stream(**fields) as stream:
                events = list(stream)
                final = stream.get_final_completion()
            self.check_chat(final.choices[0], reasoning)
            self.assertEqual(final.usage, answer.usage)
            done = [event for event in events
                    if event.type == "tool_calls.function.arguments.done"]
            self.assertEqual([(event.name, json.loads(event.arguments)) for event in done],
                             [call[1:] for call in CALLS])

    def test_the_chunks_of_a_chat(self):
        chunks = list(self.openai.chat.completions.create(model="m", messages=QUESTION,
                                                          stream=True))
        arguments = ["", ""]
        for chunk in chunks[:-1]:
            for call in chunk.choices[0].delta.tool_calls or []:
                arguments[call.index] += call.function.arguments
        self.assertEqual([json.loads(text) for text in arguments], [call[2] for call in CALLS])
        self.assertEqual(chunks[-2].choices[0].finish_reason, "tool_calls")
        self.assertIs(chunks[-2].choices[0].delta.reasoning_truncated, True)

    def check_message(self, message):
        self.assertEqual((message.stop_reason, message.stop_sequence), ("tool_use", None))
        thinking, text, *calls = message.content
        self.assertEqual((thinking.type, thinking.thinking), ("thinking", THOUGHTS))
        self.assertEqual((text.type, text.text), ("text", TEXT))
        self.assertEqual({call.type for call in calls}, {"tool_use"})
        self.assertEqual([(call.id, call.name, call.input) for call in calls], CALLS)
        self.assertEqual(message.usage.output_tokens, 12)

    def test_a_message(self):
        fields = {"model": "m", "max_tokens": 64, "messages": QUESTION}
        answer = self.anthropic.messages.create(**fields)
        self.check_message(answer)
        self.assertIs(answer.reasoning_truncated, True)
        with self.anthropic.messages.stream(**fields) as stream:
            events = list(stream)
            self.check_message(stream.get_final_message())
        pieces = [event for event in events if event.type == "input_json"]
        self.assertEqual(pieces[-1].snapshot, {})
        self.assertEqual("".join(piece.partial_json for piece in pieces[:-1]),
                         json.dumps(WEATHER, ensure_ascii=False))
        [end] = [event for event in events if event.type == "message_delta"]
        self.assertIs(end.delta.reasoning_truncated, True)

    def check_response(self, response):
        self.assertEqual((response.status, response.output_text), ("completed", TEXT))
        thoughts, message, *calls = response.output
        self.assertEqual((thoughts.type, thoughts.status), ("reasoning", "incomplete"))
        self.assertEqual(thoughts.content[0].text, THOUGHTS)
        self.assertEqual((message.type, message.status), ("message", "completed"))
        self.assertEqual({(call.type, call.status) for call in calls},
                         {("function_call", "completed")})
        self.assertEqual([(call.call_id, call.name, json.loads(call.arguments))
                          for call in calls], CALLS)
        self.assertEqual(response.tools[0].name, "get_weather")
        self.assertEqual((response.tool_choice, response.text.format.type),
                         ("required", "json_schema"))

    def test_a_response(self):
        fields = {"model": "m", "input": "Hi"}
        self.check_response(self.openai.responses.create(**fields))
        with self.openai.responses.stream(**fields) as stream:
            events = list(stream)
            self.check_response(stream.get_final_response())
        pieces = [event for event in events
                  if event.type == "response.function_call_arguments.delta"]
        self.assertEqual(json.loads(pieces[-2].snapshot), WEATHER)
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))


if __name__ == "__main__":
    unittest.main()
