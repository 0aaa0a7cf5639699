"""/v1/chat/completions with the official openai client."""

import openai
from client_case import QUESTION, ClientTest
from server import MODEL


def joined(chunks):
    """The texts of a stream's choices, what ended them, and its usage."""
    texts, ends, usage = {}, {}, None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                assert choice.index not in ends, "a choice ended twice"
                ends[choice.index] = choice.finish_reason
    return texts, ends, usage


class ChatTest(ClientTest):
    def text(self, *arguments, **fields):
        return self.chat(*arguments, **fields).choices[0].message.content

    def test_a_whole_answer(self):
        answer = self.chat()
        self.assertEqual((answer.object, answer.model), ("chat.completion", MODEL))
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        [choice] = answer.choices
        self.assertEqual((choice.index, choice.finish_reason, choice.logprobs), (0, "length", None))
        self.assertEqual(choice.message.role, "assistant")
        self.assertIn("river", choice.message.content.lower())
        usage = answer.usage
        self.assertEqual(usage.completion_tokens, 12)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertEqual(usage.completion_tokens_details.reasoning_tokens, 0)

    def test_an_answer_ends_by_itself(self):
        answer = self.chat("What is 2 + 2? Answer with one word.", max_completion_tokens=200)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertLess(answer.usage.completion_tokens, 200)

    def test_a_stream_has_the_whole_text(self):
        fields = {"temperature": 1, "seed": 7, "max_completion_tokens": 24}
        whole = self.chat(**fields)
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}, **fields))
        texts, ends, usage = joined(chunks)
        self.assertEqual(texts, {0: whole.choices[0].message.content})
        self.assertEqual(ends, {0: whole.choices[0].finish_reason})
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertGreater(len(chunks), 20)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(usage.total_tokens, whole.usage.total_tokens)
        without = list(self.chat(stream=True, **fields))
        self.assertEqual(joined(without)[0], texts)
        self.assertTrue(all(chunk.usage is None and chunk.choices for chunk in without))

    def test_the_stream_helper_of_the_client(self):
        fields = {"temperature": 0, "stop": ":"}
        with self.openai.chat.completions.stream(
                model=MODEL, messages=QUESTION, **fields) as stream:
            deltas = [event.delta for event in stream if event.type == "content.delta"]
            final = stream.get_final_completion()
        whole = self.text(max_completion_tokens=100, **fields)
        self.assertEqual("".join(deltas), whole)
        self.assertEqual(final.choices[0].message.content, whole)

    def test_several_choices(self):
        fields = {"n": 3, "temperature": 1, "seed": 11}
        answer = self.chat(**fields)
        texts = {choice.index: choice.message.content for choice in answer.choices}
        self.assertEqual(list(texts), [0, 1, 2])
        self.assertEqual(len(set(texts.values())), 3)
        self.assertEqual(answer.usage.completion_tokens, 36)
        self.assertEqual(joined(self.chat(stream=True, **fields))[0], texts)
        self.assertEqual(self.text(temperature=1, seed=11), texts[0])

    def test_a_seed_repeats_and_another_differs(self):
        one, same, other = (self.text(temperature=1, seed=seed) for seed in (3, 3, 4))
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)
        self.assertNotEqual(*(self.text(temperature=1.5) for _ in range(2)))

    def test_stop_texts(self):
        whole = self.text()
        stop = whole[10:14]
        before = whole[:whole.index(stop)]
        for given in (stop, ["never said", stop]):
            answer = self.chat(stop=given)
            self.assertEqual(answer.choices[0].message.content, before)
            self.assertEqual(answer.choices[0].finish_reason, "stop")
        texts, ends, _ = joined(self.chat(stop=stop, stream=True))
        self.assertEqual((texts, ends), ({0: before}, {0: "stop"}))

    def test_logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        [choice] = answer.choices
        tokens = choice.logprobs.content
        self.assertEqual(len(tokens), answer.usage.completion_tokens)
        said = b"".join(bytes(token.bytes) for token in tokens).decode()
        self.assertEqual(said, choice.message.content)
        for token in tokens:
            top = [one.logprob for one in token.top_logprobs]
            self.assertEqual((len(top), top), (3, sorted(top, reverse=True)))
            self.assertEqual((token.top_logprobs[0].token, top[0]), (token.token, token.logprob))
            self.assertLess(top[0], 0)
        streamed = [token for chunk in self.chat(logprobs=True, top_logprobs=3, stream=True)
                    for choice in chunk.choices if choice.logprobs
                    for token in choice.logprobs.content]
        self.assertEqual(streamed, tokens)

    def test_logit_bias(self):
        whole = self.text()
        first = self.tokens(whole)[0]
        self.assertFalse(self.text(logit_bias={first: -100}).startswith(whole[:3]))
        [moth] = self.tokens(" a")
        self.assertEqual(self.text(logit_bias={moth: 100}, max_completion_tokens=3), " a a a")

    def test_sampling_beyond_openai(self):
        greedy = self.text()
        hot = {"temperature": 2, "seed": 1}
        self.assertNotEqual(self.text(**hot), greedy)
        self.assertEqual(self.text(**hot, extra_body={"top_k": 1}), greedy)
        self.assertEqual(self.text(**hot, extra_body={"min_p": 1}), greedy)
        self.assertEqual(self.text(**hot, top_p=0), greedy)
        self.assertNotEqual(self.text(extra_body={"repetition_penalty": 5},
                                      max_completion_tokens=40),
                            self.text(max_completion_tokens=40))

    def test_penalties(self):
        [a] = self.tokens(" a")
        fields = {"logit_bias": {a: 18}, "max_completion_tokens": 12}
        plain = self.text(**fields).count(" a")
        self.assertLess(self.text(frequency_penalty=2, **fields).count(" a"), plain)
        self.assertEqual(self.text(presence_penalty=0, **fields).count(" a"), plain)

    def test_where_an_answer_ends(self):
        question = "What is 2 + 2? Answer with one word."
        short = self.chat(question, max_completion_tokens=100)
        length = short.usage.completion_tokens
        on = self.chat(question, max_completion_tokens=length + 10,
                       extra_body={"ignore_eos": True})
        self.assertEqual((on.choices[0].finish_reason, on.usage.completion_tokens),
                         ("length", length + 10))
        least = self.chat(question, max_completion_tokens=100,
                          extra_body={"min_tokens": length + 5})
        self.assertGreaterEqual(least.usage.completion_tokens, length + 5)
        second = self.tokens(self.text())[1]
        cut = self.chat(extra_body={"stop_token_ids": [second]})
        self.assertEqual((cut.choices[0].finish_reason, cut.usage.completion_tokens), ("stop", 1))

    def test_the_older_name_of_the_limit(self):
        answer = self.openai.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=2)
        self.assertEqual(answer.usage.completion_tokens, 2)

    def test_messages_in_all_forms(self):
        plain = [{"role": "system", "content": "Answer in capitals.\nBe brief."}, *QUESTION]
        parts = [{"role": "system", "content": [{"type": "text", "text": "Answer in capitals."},
                                                {"type": "text", "text": "Be brief."}]},
                 {"role": "user", "content": [{"type": "text", "text": "Name three rivers."}]}]
        one, other = self.chat(plain), self.chat(parts)
        self.assertEqual(one.usage.prompt_tokens, other.usage.prompt_tokens)
        self.assertEqual(one.choices[0].message.content, other.choices[0].message.content)
        # An answer of this client goes back as it is.
        answer = self.chat().choices[0].message
        again = self.chat([*QUESTION, answer, {"role": "user", "content": "And a lake?"}])
        self.assertGreater(again.usage.prompt_tokens, one.usage.prompt_tokens)

    def test_an_answer_is_continued(self):
        begun = {"role": "assistant", "content": "Three rivers are the Nile"}
        answer = self.chat([*QUESTION, begun], extra_body={
            "continue_final_message": True, "add_generation_prompt": False})
        text = answer.choices[0].message.content
        self.assertFalse(text.startswith("Three"))
        prompt = self.server.post("/tokenize", {
            "messages": [*QUESTION, begun], "add_generation_prompt": False,
            "continue_final_message": True})[1]["tokens"]
        self.assertEqual(self.complete(prompt, max_tokens=12).choices[0].text, text)

    def test_typed_marks_are_plain_text(self):
        typed = self.chat("<|im_end|>", max_completion_tokens=1).usage.prompt_tokens
        alone = self.chat("", max_completion_tokens=1).usage.prompt_tokens
        self.assertGreater(typed, alone + 3)

    def test_what_clients_send_along(self):
        answer = self.chat(user="u", metadata={"a": "b"}, service_tier="auto", verbosity="medium",
                           prompt_cache_key="k", safety_identifier="s", reasoning_effort="none",
                           response_format={"type": "text"}, modalities=["text"],
                           parallel_tool_calls=True)
        self.assertEqual(answer.choices[0].message.content, self.text())

    def test_the_raw_answer(self):
        raw = self.openai.chat.completions.with_raw_response.create(
            model=MODEL, messages=QUESTION, max_tokens=1)
        self.assertTrue(raw.headers["x-request-id"].startswith("req_"))
        self.assertEqual(raw.parse()._request_id, raw.headers["x-request-id"])

    def test_what_is_refused(self):
        bad = openai.BadRequestError
        tool = {"type": "function", "function": {"name": "f f", "parameters": {}}}
        for param, fields in [
                ("temperature", {"temperature": 2.5}),
                ("top_p", {"top_p": -0.1}),
                ("max_completion_tokens", {"max_completion_tokens": 0}),
                ("n", {"n": 0}),
                ("top_logprobs", {"top_logprobs": 3}),
                ("stop", {"stop": ""}),
                ("tools[0].function.name", {"tools": [tool]}),
                ("response_format.type", {"response_format": {"type": "xml"}}),
                ("stream_options", {"stream_options": {"include_usage": True}}),
                ("tempera", {"extra_body": {"tempera": 1}}),
                ("top_k", {"extra_body": {"top_k": "all"}})]:
            with self.subTest(param):
                self.refused(bad, param, self.chat, **fields)
        self.refused(bad, "messages", self.chat, [])
        self.refused(bad, "messages[0].role", self.chat, [{"role": "cat", "content": "meow"}])
        self.refused(bad, "messages[0].content[0].type", self.chat, [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
