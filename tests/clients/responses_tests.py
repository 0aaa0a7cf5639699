"""/v1/responses with the official openai client."""

import openai
from client_case import QUESTION, ClientTest
from server import MODEL


class ResponsesTest(ClientTest):
    def respond(self, **fields):
        fields = {"model": MODEL, "input": "Name three rivers.", "temperature": 0,
                  "max_output_tokens": 12} | fields
        return self.openai.responses.create(**fields)

    def test_a_whole_response(self):
        answer = self.respond(metadata={"a": "b"})
        self.assertEqual((answer.object, answer.model), ("response", MODEL))
        self.assertTrue(answer.id.startswith("resp_"))
        self.assertEqual(answer.status, "incomplete")
        self.assertEqual(answer.incomplete_details.reason, "max_output_tokens")
        [message] = answer.output
        self.assertEqual((message.type, message.role, message.status),
                         ("message", "assistant", "incomplete"))
        self.assertEqual(answer.output_text, self.chat().choices[0].message.content)
        usage = answer.usage
        self.assertEqual((usage.output_tokens, usage.output_tokens_details.reasoning_tokens),
                         (12, 0))
        self.assertEqual(usage.total_tokens, usage.input_tokens + 12)
        self.assertEqual((answer.max_output_tokens, answer.metadata), (12, {"a": "b"}))

    def test_one_that_ends_by_itself(self):
        answer = self.respond(input="Say hello.", max_output_tokens=200)
        self.assertEqual((answer.status, answer.incomplete_details), ("completed", None))
        self.assertEqual(answer.output[0].status, "completed")

    def test_the_events_of_a_stream(self):
        fields = {"input": "Say hello.", "max_output_tokens": 200}
        events = list(self.respond(stream=True, **fields))
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        types = [event.type for event in events]
        num_deltas = types.count("response.output_text.delta")
        self.assertGreater(num_deltas, 3)
        self.assertEqual(types, [
            "response.created", "response.in_progress", "response.output_item.added",
            "response.content_part.added", *num_deltas * ["response.output_text.delta"],
            "response.output_text.done", "response.content_part.done",
            "response.output_item.done", "response.completed"])
        text = "".join(event.delta for event in events
                       if event.type == "response.output_text.delta")
        final = events[-1].response
        self.assertEqual((text, final.output_text), (self.respond(**fields).output_text, text))
        self.assertEqual(events[-4].text, text)
        self.assertEqual({event.item_id for event in events if hasattr(event, "item_id")},
                         {final.output[0].id})
        self.assertEqual({event.response.id for event in events if hasattr(event, "response")},
                         {final.id})
        self.assertGreater(final.usage.output_tokens, 3)

    def test_a_stream_that_is_cut(self):
        *_, last = self.respond(stream=True)
        self.assertEqual((last.type, last.response.status), ("response.incomplete", "incomplete"))

    def test_the_stream_helper_of_the_client(self):
        with self.openai.responses.stream(model=MODEL, input="Say hello.", temperature=0) as stream:
            text = "".join(event.delta for event in stream
                           if event.type == "response.output_text.delta")
            final = stream.get_final_response()
        whole = self.respond(input="Say hello.", max_output_tokens=200)
        self.assertEqual((text, final.output_text), (whole.output_text, text))

    def test_input_in_all_forms(self):
        plain = self.respond(instructions="Be brief.")
        items = self.respond(instructions="Be brief.", input=[
            {"type": "message", "role": "user",
             "content": [{"type": "input_text", "text": "Name three rivers."}]}])
        messages = self.respond(input=[{"role": "system", "content": "Be brief."}, *QUESTION])
        self.assertEqual(items.output_text, plain.output_text)
        self.assertEqual(messages.output_text, plain.output_text)
        self.assertEqual(plain.instructions, "Be brief.")
        # What came back goes in again.
        again = self.respond(input=[*QUESTION, *plain.output,
                                    {"role": "user", "content": "And a lake?"}])
        self.assertGreater(again.usage.input_tokens, messages.usage.input_tokens)

    def test_settings(self):
        answer = self.respond(reasoning={"effort": "none"}, text={"format": {"type": "text"}},
                              store=False, truncation="disabled", temperature=1, top_p=0,
                              parallel_tool_calls=False, extra_body={"seed": 4, "top_k": 3})
        self.assertEqual(answer.output_text, self.respond().output_text)
        self.assertEqual((answer.reasoning.effort, answer.top_p), ("none", 0))

    def test_logprobs(self):
        fields = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
        [part] = self.respond(**fields).output[0].content
        self.assertEqual("".join(one.token for one in part.logprobs), part.text)
        self.assertTrue(all(len(one.top_logprobs) == 2 for one in part.logprobs))
        streamed = [one.logprob for event in self.respond(stream=True, **fields)
                    if event.type == "response.output_text.delta" for one in event.logprobs]
        self.assertEqual(streamed, [one.logprob for one in part.logprobs])

    def test_what_is_refused(self):
        tool = {"type": "function", "name": "f f", "parameters": {}, "strict": True}
        for param, fields in [("previous_response_id", {"previous_response_id": "resp_1"}),
                              ("max_output_tokens", {"max_output_tokens": 0}),
                              ("tools[0].name", {"tools": [tool]}), ("background", {"background": True}),
                              ("input", {"input": []}), ("truncation", {"truncation": "auto"}),
                              ("text.format.type", {"text": {"format": {"type": "xml"}}})]:
            with self.subTest(param):
                self.refused(openai.BadRequestError, param, self.respond, **fields)
        with self.assertRaises(openai.NotFoundError):
            self.openai.responses.retrieve("resp_1")
