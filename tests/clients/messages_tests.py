"""/v1/messages with the official anthropic client."""

import anthropic
from client_case import QUESTION, ClientTest
from server import MODEL


class MessagesTest(ClientTest):
    def message(self, messages=QUESTION, stream=False, **fields):
        """Temperature 0; the client has no name for it."""
        fields = {"model": MODEL, "max_tokens": 12, "extra_body": {"temperature": 0}} | fields
        return self.anthropic.messages.create(messages=messages, stream=stream, **fields)

    def count(self, **fields):
        fields = {"model": MODEL, "messages": QUESTION} | fields
        return self.anthropic.messages.count_tokens(**fields).input_tokens

    def test_a_whole_message(self):
        answer = self.message()
        self.assertEqual((answer.type, answer.role, answer.model), ("message", "assistant", MODEL))
        self.assertTrue(answer.id.startswith("msg_"))
        self.assertEqual((answer.stop_reason, answer.stop_sequence), ("max_tokens", None))
        [block] = answer.content
        self.assertEqual((block.type, block.text), ("text", self.chat().choices[0].message.content))
        self.assertEqual(answer.usage.output_tokens, 12)

    def test_one_that_ends_by_itself(self):
        answer = self.message([{"role": "user", "content": "Say hello."}], max_tokens=200)
        self.assertEqual(answer.stop_reason, "end_turn")

    def test_the_events_of_a_stream(self):
        events = list(self.message(stream=True))
        types = [event.type for event in events]
        num_deltas = types.count("content_block_delta")
        self.assertGreater(num_deltas, 3)
        self.assertEqual([one for one in types if one != "ping"], [
            "message_start", "content_block_start", *num_deltas * ["content_block_delta"],
            "content_block_stop", "message_delta", "message_stop"])
        text = "".join(event.delta.text for event in events
                       if event.type == "content_block_delta")
        self.assertEqual(text, self.message().content[0].text)
        end = events[-2]
        self.assertEqual((end.delta.stop_reason, end.usage.output_tokens), ("max_tokens", 12))

    def test_the_stream_helper_of_the_client(self):
        with self.anthropic.messages.stream(model=MODEL, messages=QUESTION, max_tokens=12,
                                            extra_body={"temperature": 0}) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual((text, final.content[0].text), (self.message().content[0].text, text))
        self.assertEqual((final.stop_reason, final.usage.output_tokens), ("max_tokens", 12))

    def test_the_system_prompt(self):
        said = "Answer in capitals.\nBe brief."
        plain = self.message(system=said)
        blocks = self.message(system=[
            {"type": "text", "text": line, "cache_control": {"type": "ephemeral"}}
            for line in said.split("\n")])
        self.assertEqual(blocks.content[0].text, plain.content[0].text)
        chat = self.chat([{"role": "system", "content": said}, *QUESTION])
        self.assertEqual(plain.content[0].text, chat.choices[0].message.content)
        self.assertNotEqual(plain.content[0].text, self.message().content[0].text)

    def test_messages_in_all_forms(self):
        parts = [{"role": "user", "content": [{"type": "text", "text": "Name three rivers."}]}]
        self.assertEqual(self.message(parts).content[0].text, self.message().content[0].text)
        answer = self.message()
        again = [*QUESTION, {"role": "assistant", "content": answer.content},
                 {"role": "user", "content": "And a lake?"}]
        self.assertGreater(self.count(messages=again), self.count() + 12)
        self.message(again)

    def test_an_answer_is_continued(self):
        whole = self.message(max_tokens=20).content[0].text
        begun = [*QUESTION, {"role": "assistant", "content": whole[:12]}]
        self.assertTrue(whole.startswith(whole[:12] + self.message(begun).content[0].text[:8]))

    def test_stop_sequences(self):
        whole = self.message().content[0].text
        stop = whole[10:14]
        answer = self.message(stop_sequences=["never said", stop])
        self.assertEqual((answer.stop_reason, answer.stop_sequence), ("stop_sequence", stop))
        self.assertEqual(answer.content[0].text, whole[:whole.index(stop)])
        *_, end, _ = self.message(stream=True, stop_sequences=[stop])
        self.assertEqual((end.delta.stop_reason, end.delta.stop_sequence), ("stop_sequence", stop))

    def test_thinking_of_a_model_that_does_not_think(self):
        plain = self.message(max_tokens=1030, stop_sequences=["."]).content[0].text
        for thinking in ({"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"},
                         {"type": "adaptive"}):
            answer = self.message(max_tokens=1030, stop_sequences=["."], thinking=thinking)
            self.assertEqual([block.type for block in answer.content], ["text"])
            self.assertEqual(answer.content[0].text, plain)

    def test_counting_tokens(self):
        usage = self.message().usage
        self.assertEqual(self.count(), usage.input_tokens + usage.cache_read_input_tokens)
        self.assertEqual(self.count(), self.chat().usage.prompt_tokens)
        self.assertEqual(self.count(system="word " * 50) - self.count(system="word " * 40), 10)

    def test_sampling(self):
        hot = {"temperature": 1, "top_k": 1}
        self.assertEqual(self.message(extra_body=hot).content[0].text,
                         self.message().content[0].text)
        self.assertEqual(self.message(extra_body={"temperature": 1, "top_p": 0}).content[0].text,
                         self.message().content[0].text)

    def test_what_is_refused(self):
        tool = {"name": "f f", "input_schema": {"type": "object"}}
        for words, fields in [("max_tokens", {"max_tokens": 0}), ("tools", {"tools": [tool]}),
                              ("temperature", {"extra_body": {"temperature": 1.5}}),
                              ("seed", {"extra_body": {"seed": 1}}),
                              ("budget_tokens", {"thinking": {"type": "enabled",
                                                              "budget_tokens": 12}}),
                              ("messages", {"messages": []})]:
            with self.subTest(words), self.assertRaises(anthropic.BadRequestError) as caught:
                self.message(**fields)
            self.assertEqual(caught.exception.body["type"], "error")
            self.assertEqual(caught.exception.body["error"]["type"], "invalid_request_error")
            self.assertIn(words, caught.exception.message)
        with self.assertRaises(anthropic.NotFoundError) as caught:
            self.message(model="none")
        self.assertEqual(caught.exception.body["error"]["type"], "not_found_error")
