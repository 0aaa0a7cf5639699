"""/v1/completions with the official openai client."""

import math

import openai
from client_case import ClientTest
from server import MODEL

FRANCE = "The capital of France is"


class CompletionsTest(ClientTest):
    def test_a_prompt_in_all_forms(self):
        ids = self.tokens(FRANCE)
        whole = self.complete(FRANCE)
        self.assertEqual((whole.object, whole.model), ("text_completion", MODEL))
        self.assertTrue(whole.choices[0].text.startswith(" Paris"))
        self.assertEqual(whole.usage.prompt_tokens, len(ids))
        self.assertEqual(self.complete(ids).choices[0].text, whole.choices[0].text)
        other = "One, two, three,"
        for prompts in ([FRANCE, other], [ids, self.tokens(other)]):
            both = self.complete(prompts)
            self.assertEqual([choice.index for choice in both.choices], [0, 1])
            self.assertEqual([choice.text for choice in both.choices],
                             [whole.choices[0].text, self.complete(other).choices[0].text])

    def test_sixteen_tokens_if_nothing_is_said(self):
        answer = self.openai.completions.create(model=MODEL, prompt=FRANCE, temperature=0,
                                                extra_body={"ignore_eos": True})
        self.assertEqual(answer.usage.completion_tokens, 16)

    def test_a_stream_has_the_whole_text(self):
        fields = {"n": 2, "temperature": 1, "seed": 5, "max_tokens": 16}
        prompts = [FRANCE, "Once upon a time"]
        whole = self.complete(prompts, **fields)
        texts, ends = {}, {}
        chunks = list(self.complete(prompts, stream=True,
                                    stream_options={"include_usage": True}, **fields))
        for chunk in chunks:
            for choice in chunk.choices:
                texts[choice.index] = texts.get(choice.index, "") + choice.text
                if choice.finish_reason:
                    ends[choice.index] = choice.finish_reason
        self.assertEqual(texts, {choice.index: choice.text for choice in whole.choices})
        self.assertEqual(ends, {choice.index: choice.finish_reason for choice in whole.choices})
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(whole.usage.prompt_tokens,
                         sum(len(self.tokens(prompt)) for prompt in prompts))

    def test_echo(self):
        plain, echoed = self.complete(FRANCE), self.complete(FRANCE, echo=True)
        self.assertEqual(echoed.choices[0].text, FRANCE + plain.choices[0].text)
        alone = self.complete(FRANCE, echo=True, max_tokens=0)
        self.assertEqual(alone.choices[0].text, FRANCE)
        self.assertEqual(alone.usage.completion_tokens, 0)
        ids = self.complete(self.tokens(FRANCE), echo=True)
        self.assertEqual(ids.choices[0].text, echoed.choices[0].text)
        chunks = self.complete(FRANCE, echo=True, stream=True)
        self.assertEqual("".join(choice.text for chunk in chunks for choice in chunk.choices),
                         echoed.choices[0].text)

    def test_logprobs(self):
        [choice] = self.complete(FRANCE, logprobs=3).choices
        found = choice.logprobs
        self.assertEqual("".join(found.tokens), choice.text)
        self.assertEqual(len(found.tokens), 8)
        for token, logprob, top in zip(found.tokens, found.token_logprobs, found.top_logprobs):
            self.assertEqual(len(top), 3)
            self.assertEqual((max(top.values()), top[token]), (logprob, logprob))
        self.assertEqual([choice.text[offset:offset + len(token)]
                          for offset, token in zip(found.text_offset, found.tokens)], found.tokens)

    def test_logprobs_of_a_prompt(self):
        [choice] = self.complete(FRANCE + " Rome", echo=True, logprobs=1, max_tokens=0).choices
        found = choice.logprobs
        self.assertEqual("".join(found.tokens), FRANCE + " Rome")
        self.assertEqual((found.token_logprobs[0], found.top_logprobs[0]), (None, None))
        # The last one as the distribution after the same prompt has it.
        [after] = self.complete(FRANCE, logprobs=1, max_tokens=1).choices
        self.assertEqual(found.top_logprobs[-1][" Paris"], after.logprobs.token_logprobs[0])
        self.assertLess(found.token_logprobs[-1], after.logprobs.token_logprobs[0])
        # The same in a stream, and with an answer behind it; the cache changes none.
        for streamed in (False, True):
            pieces = self.complete(FRANCE + " Rome", echo=True, logprobs=1, max_tokens=4,
                                   stream=streamed)
            pieces = pieces if streamed else [pieces]
            logprobs = [value for piece in pieces for choice in piece.choices if choice.logprobs
                        for value in choice.logprobs.token_logprobs]
            self.assertEqual(logprobs[:len(found.tokens)], found.token_logprobs)
            self.assertEqual(len(logprobs), len(found.tokens) + 4)

    def test_the_token_that_ends_a_text_has_its_logprob(self):
        # lm-evaluation-harness counts on it: it leaves the last one out.
        for streamed in (False, True):
            pieces = self.complete("<|im_start|>Two plus three is five.", echo=True, logprobs=1,
                                   max_tokens=1, stream=streamed)
            choices = [choice for piece in (pieces if streamed else [pieces])
                       for choice in piece.choices]
            self.assertEqual(choices[-1].finish_reason, "stop")
            tokens = [token for one in choices if one.logprobs for token in one.logprobs.tokens]
            self.assertEqual(tokens, ["<|im_start|>", "Two", " plus", " three", " is", " five", ".",
                                      "<|im_end|>"])
            text = "".join(choice.text for choice in choices)
            self.assertEqual(text + "<|im_end|>", "".join(tokens))
            offsets = [at for one in choices if one.logprobs for at in one.logprobs.text_offset]
            self.assertEqual(offsets[-1], len(text))
        chat = self.chat("Say hello.", logprobs=True, max_completion_tokens=100)
        self.assertEqual(chat.choices[0].finish_reason, "stop")
        self.assertEqual("".join(one.token for one in chat.choices[0].logprobs.content),
                         chat.choices[0].message.content)

    def test_probabilities_are_some(self):
        [choice] = self.complete(FRANCE, logprobs=20, max_tokens=1).choices
        self.assertLess(sum(map(math.exp, choice.logprobs.top_logprobs[0].values())), 1.0001)
        self.assertGreater(sum(map(math.exp, choice.logprobs.top_logprobs[0].values())), 0.5)

    def test_what_is_refused(self):
        for param, fields in [("suffix", {"suffix": "."}), ("best_of", {"best_of": 3}),
                              ("logprobs", {"logprobs": 21}), ("max_tokens", {"max_tokens": -1}),
                              ("seed", {"extra_body": {"seed": 1.5}})]:
            with self.subTest(param):
                self.refused(openai.BadRequestError, param, self.complete, FRANCE, **fields)
        self.complete(FRANCE, suffix="", best_of=1)
        for prompt in ([], [[]], [[1], []]):
            with self.subTest(prompt), self.assertRaises(openai.BadRequestError):
                self.complete(prompt)
        for ids in ([10**6], [-1]):
            with self.subTest(ids):
                self.assertIn(str(ids[0]), str(self.refused_prompt(ids)))

    def refused_prompt(self, prompt):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(prompt)
        return caught.exception
