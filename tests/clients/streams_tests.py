"""Many at once, those who leave, and that the same is answered to the same question all the same."""

import asyncio
import json
import subprocess

import anthropic
import openai
from client_case import QUESTION, ClientTest
from server import MODEL, Server, wait_for

NUM_STREAMS = 16


def questions():
    """Bodies of NUM_STREAMS different requests, all drawn with a seed."""
    words = ("river", "moth", "lamp", "city", "stone", "song", "winter", "bread")
    return [{"model": MODEL, "temperature": 1, "seed": number, "max_completion_tokens": 12,
             "messages": [{"role": "user", "content": "Tell me " +
                           f"of a {words[number % 8]} " * (1 + number % 3) + "today."}]}
            for number in range(NUM_STREAMS)]


async def text_of(client, **fields):
    stream = await client.chat.completions.create(stream=True, **fields)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


class StreamsTest(ClientTest):
    def run_async(self, make):
        """What make(client) gives for a fresh asynchronous client."""
        async def go():
            async with openai.AsyncOpenAI(base_url=self.server.url + "/v1", api_key="none",
                                          max_retries=0) as client:
                return await make(client)
        return asyncio.run(go())

    def text_alone(self, fields):
        return self.openai.chat.completions.create(**fields).choices[0].message.content

    def test_the_same_alone_and_amid_others(self):
        async def all_at_once(client):
            return await asyncio.gather(*(text_of(client, **fields) for fields in questions()))
        together = self.run_async(all_at_once)
        self.assertEqual(len(set(together)), NUM_STREAMS)
        for fields, text in list(zip(questions(), together))[::3]:
            self.assertEqual(self.text_alone(fields), text)
        # In the other order, with all prefixes in the cache, and for the readers of another API.
        self.assertEqual(self.run_async(lambda client: asyncio.gather(
            *(text_of(client, **fields) for fields in questions()[::-1]))), together[::-1])

    def test_the_same_as_other_servers_and_the_program_itself(self):
        fields = questions()[1]
        here = self.text_alone(fields)
        for options in (["--no-prefix-cache", "--step-tokens", 64, "--prompt-tokens", 5],
                        ["--speculate", 4, "--threads", 1]):
            other = Server("--kv-cache", "256MB", "--access-log", "off", *options)
            try:
                status, answer = other.post("/v1/chat/completions", fields)
                self.assertEqual((status, answer["choices"][0]["message"]["content"]), (200, here))
            finally:
                self.assertEqual(other.stop()[0], 0)
        settings = ["-t", fields["temperature"], "--seed", fields["seed"], "-n", 12]
        run = subprocess.run([Server.hachi, "run", MODEL, "--json", *map(str, settings), "-p",
                              fields["messages"][0]["content"]], capture_output=True, check=True)
        self.assertEqual(json.loads(run.stdout)["text"], here)

    def test_anthropic_streams_at_once(self):
        async def text(client, question):
            async with client.messages.stream(
                    model=MODEL, max_tokens=12, messages=question["messages"],
                    extra_body={"temperature": 0}) as stream:
                return "".join([text async for text in stream.text_stream])

        async def go():
            async with anthropic.AsyncAnthropic(base_url=self.server.url, api_key="none",
                                                max_retries=0) as client:
                return await asyncio.gather(*(text(client, one) for one in questions()))
        texts = asyncio.run(go())
        self.assertTrue(all(texts))
        self.assertEqual(self.chat(questions()[5]["messages"]).choices[0].message.content, texts[5])

    def test_usage_counts_what_was_cached(self):
        prompt = "Which of these three is a river, and which a moth? " * 12
        first = self.complete(prompt, max_tokens=2).usage
        again = self.complete(prompt, max_tokens=2).usage
        self.assertEqual(first.prompt_tokens_details.cached_tokens, 0)
        cached = again.prompt_tokens_details.cached_tokens
        self.assertEqual(again.prompt_tokens, first.prompt_tokens)
        self.assertTrue(again.prompt_tokens - 64 <= cached < again.prompt_tokens)
        salted = self.complete(prompt, max_tokens=2, extra_body={"cache_salt": "mine"}).usage
        self.assertEqual(salted.prompt_tokens_details.cached_tokens, 0)

    def test_clients_that_leave_in_the_middle(self):
        before = self.server.metrics()["vllm:generation_tokens_total"]
        fields = {"max_completion_tokens": 4000, "extra_body": {"ignore_eos": True}}
        for left_after in (0, 1, 5):
            with self.chat(stream=True, **fields) as stream:
                for _ in zip(range(left_after), stream):
                    pass
            wait_for(self.server.is_idle, "the engine has stopped")
        with self.anthropic.messages.stream(model=MODEL, max_tokens=4000,
                                            messages=QUESTION) as stream:
            next(stream.text_stream)
        wait_for(self.server.is_idle, "the engine has stopped")
        done = self.server.metrics()["vllm:generation_tokens_total"] - before
        self.assertLess(done, 4000)  # of 16,000
        aborted = self.server.get("/metrics").decode()
        self.assertRegex(aborted, r'request_success_total\{.*"abort".*\} [1-9]')

    def test_one_that_leaves_without_a_stream(self):
        impatient = self.openai.with_options(timeout=0.3)
        with self.assertRaises(openai.APITimeoutError):
            impatient.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=4000,
                                              extra_body={"ignore_eos": True})
        wait_for(self.server.is_idle, "the engine has stopped")

    def test_some_leave_and_the_others_do_not_notice(self):
        async def go(client):
            async def leave(fields):
                stream = await client.chat.completions.create(
                    stream=True, **fields | {"max_completion_tokens": 4000})
                async for _ in stream:
                    break
                await stream.close()

            stay = [text_of(client, **fields) for fields in questions()[:6]]
            return await asyncio.gather(*stay, *map(leave, questions()[6:]))
        texts = self.run_async(go)[:6]
        self.assertEqual(texts[1], self.text_alone(questions()[1]))
        self.assertEqual(texts[4], self.text_alone(questions()[4]))
