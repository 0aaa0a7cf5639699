"""What the soak asks, from a seed, and what has to be true of each answer."""

import json
import math
import random
import string

from soak_client import Complaint

WORDS = ("river", "lamp", "moth", "stone", "cloud", "paper", "horse", "seven", "green", "window", "salt",
         "bread", "under", "north", "quick", "letter", "garden", "silver", "winter", "morning")
ENDS = {"stop", "length"}


def expect(condition, what):
    if not condition:
        raise Complaint(what)


class Ask:
    """A request, the statuses that it may get, and check(Result) for 200."""

    def __init__(self, kind, path, body, check=None, statuses=(200, 429), code=None, method="POST"):
        self.kind, self.path, self.check, self.method = kind, path, check, method
        self.statuses, self.code = statuses, code
        self.takes_answer = False  # check(Answer) instead
        self.stream = isinstance(body, dict) and body.get("stream") is True
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class Choice:
    def __init__(self):
        self.text, self.finish, self.calls, self.logprobs = "", None, {}, []


class Result:
    """The same of an answer as a whole and as a stream."""

    def __init__(self, answer, stream):
        self.choices, self.usage = {}, None
        if not stream:
            self.raw = answer.json()
            for choice in self.raw.get("choices", []):
                self.take(choice, choice.get("message", choice))
            self.usage = self.raw.get("usage")
            return
        self.raw = answer.events()
        expect(self.raw and self.raw[-1] is None, "a stream without [DONE]")
        for event in self.raw[:-1]:
            expect("error" not in event, f"an error within a stream: {event}")
            for choice in event["choices"]:
                self.take(choice, choice.get("delta", choice))
            self.usage = event.get("usage") or self.usage

    def take(self, choice, message):
        into = self.choices.setdefault(choice["index"], Choice())
        expect(into.finish is None, "a choice that goes on after its end")
        into.text += message.get("text") or message.get("content") or ""
        into.finish = choice["finish_reason"]
        logprobs = choice.get("logprobs") or {}
        into.logprobs += logprobs.get("content") or logprobs.get("token_logprobs") or []
        for place, call in enumerate(message.get("tool_calls") or []):
            name, arguments = into.calls.get(call.get("index", place), ("", ""))
            function = call["function"]
            into.calls[call.get("index", place)] = (name + function.get("name", ""),
                                                    arguments + function.get("arguments", ""))


def matches(schema, value):
    """Whether a value is what a schema of random_schema() says."""
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema["type"]
    if kind == "object":
        properties = schema["properties"]
        return (isinstance(value, dict) and set(value) <= set(properties) and set(schema["required"]) <= set(value)
                and all(matches(properties[name], one) for name, one in value.items()))
    if kind == "array":
        return (isinstance(value, list) and schema["minItems"] <= len(value) <= schema["maxItems"]
                and all(matches(schema["items"], one) for one in value))
    if kind == "string":
        return isinstance(value, str) and len(value) <= schema["maxLength"]
    if kind == "integer":
        return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
    return isinstance(value, bool)


def random_schema(rng, depth=0):
    """One whose values are small, whatever is drawn."""
    kind = rng.choice(["object"] if depth == 0 else ["string", "integer", "boolean", "enum", "array", "object"])
    if kind == "enum":
        return {"enum": rng.sample(WORDS, 3)}
    if kind == "string":
        return {"type": "string", "maxLength": rng.randint(1, 8)}
    if kind == "integer":
        low = rng.randint(-50, 50)
        return {"type": "integer", "minimum": low, "maximum": low + rng.randint(0, 1000)}
    if kind == "array" and depth < 2:
        return {"type": "array", "items": random_schema(rng, 2), "minItems": rng.randint(0, 1), "maxItems": 2}
    if kind == "object" and depth < 2:
        names = rng.sample(WORDS, rng.randint(1, 3))
        return {"type": "object", "properties": {name: random_schema(rng, depth + 1) for name in names},
                "required": names[:rng.randint(1, len(names))], "additionalProperties": False}
    return {"type": "boolean"}


class Maker:
    """Makes requests for a server that has been looked at: Env says what it has."""

    def __init__(self, rng, env):
        self.rng, self.env = rng, env

    def form(self):
        """Mostly one of some that come again: a server remembers the grammars of forms up to a bound."""
        fresh = self.rng.random() < 0.1
        return random_schema(self.rng if fresh else random.Random(self.rng.randrange(40)))

    def text(self, words):
        return " ".join(self.rng.choices(WORDS, k=max(1, words)))

    def words_of(self, share):
        """Words that take at most that share of the context."""
        return int(share * self.env.context / self.env.tokens_per_word)

    def prompt(self):
        kind = self.rng.random()
        if kind < 0.5:
            return self.text(self.rng.randint(1, min(40, self.words_of(0.2))))
        if kind < 0.8:  # one of some beginnings that many share
            words = WORDS[self.rng.randrange(4):] * 200
            return " ".join(words[:self.words_of(0.3)]) + " " + self.text(self.rng.randint(1, 10))
        return self.text(self.words_of(self.rng.uniform(0.1, 0.5)))

    def limit(self):
        return self.rng.randint(1, self.env.answer_tokens)

    def base(self, **fields):
        rng = self.rng
        body = {"model": self.env.model, **fields}
        if rng.random() < 0.5:
            body["stream"] = True
            if rng.random() < 0.7:
                body["stream_options"] = {"include_usage": True}
        if rng.random() < 0.2:
            body["priority"] = rng.choice([-100, -1, 0, 1, 7])
        if rng.random() < 0.1:
            body["cache_salt"] = rng.choice("ab")
        return body

    def sampling(self):
        rng, out = self.rng, {}
        choices = {"temperature": [0, 0.3, 1, 2], "top_p": [0.1, 0.9, 1], "top_k": [-1, 1, 40], "min_p": [0, 0.1],
                   "repetition_penalty": [0.9, 1.2], "presence_penalty": [-1, 2], "frequency_penalty": [-1, 2],
                   "seed": [0, 1, -5, 2 ** 62], "stop": ["e", ["river", "\n"]], "stop_token_ids": [[5, 9]],
                   "logit_bias": [{"7": 5, "11": -100}], "min_tokens": [1], "ignore_eos": [True, False]}
        for name, values in choices.items():
            if rng.random() < 0.25:
                out[name] = rng.choice(values)
        return out

    def check_ends(self, number, limit, exact=False):
        def check(result):
            expect(sorted(result.choices) == list(range(number)), f"{len(result.choices)} choices of {number}")
            for choice in result.choices.values():
                expect(choice.finish in ENDS, f"finish_reason {choice.finish!r}")
            if result.usage:
                count = result.usage["completion_tokens"]
                expect(count <= number * limit, f"{count} tokens of at most {number * limit}")
                expect(not exact or count == number * limit, f"{count} tokens, asked for {number * limit}")
        return check

    def completion(self):
        limit, sampling = self.limit(), self.sampling()
        prompt = self.prompt() if self.rng.random() < 0.8 else [self.rng.randrange(1, 200) for _ in range(20)]
        exact = sampling.get("ignore_eos", False) and not {"stop", "stop_token_ids"} & set(sampling)
        return Ask("completion", "/v1/completions", self.base(prompt=prompt, max_tokens=limit, **sampling),
                   self.check_ends(1, limit, exact))

    def several(self):
        prompts = [self.text(self.rng.randint(1, 20)) for _ in range(self.rng.randint(1, 3))]
        n, limit = self.rng.randint(1, 3), self.limit()
        return Ask("several answers", "/v1/completions",
                   self.base(prompt=prompts, n=n, max_tokens=limit, **self.sampling()),
                   self.check_ends(n * len(prompts), limit))

    def logprobs(self):
        limit, chat = self.limit(), self.env.chat and self.rng.random() < 0.5
        ends = self.check_ends(1, limit, True)

        def check(result):
            ends(result)
            count = len(result.choices[0].logprobs)
            expect(count == limit, f"logprobs of {count} tokens, and there are {limit}")
        if chat:
            return Ask("logprobs", "/v1/chat/completions",
                       self.base(messages=self.messages(), max_tokens=limit, logprobs=True, ignore_eos=True,
                                 top_logprobs=self.rng.choice([0, 1, 20])), check)
        return Ask("logprobs", "/v1/completions",
                   self.base(prompt=self.text(8), max_tokens=limit, ignore_eos=True,
                             logprobs=self.rng.choice([0, 1, 20])), check)

    def wide(self):
        """One whose stream is longer than what lies between server and client."""
        limit = min(400, self.env.context // 3)
        return Ask("wide", "/v1/completions",
                   {"model": self.env.model, "prompt": self.text(3), "n": 2, "logprobs": 20, "stream": True,
                    "max_tokens": limit, "ignore_eos": True, "temperature": 1}, self.check_ends(2, limit))

    def going(self):
        """One that is still on its way when its head has been read."""
        return Ask("going on", "/v1/completions",
                   {"model": self.env.model, "prompt": self.text(3), "stream": True, "ignore_eos": True,
                    "max_tokens": self.env.context // 8}, self.check_ends(1, self.env.context // 8), (200,))

    def again(self):
        """One of a few requests with a seed, whose answer is a function of the request."""
        which = self.rng.randrange(6)
        body = self.base(prompt=" ".join(WORDS[which:] * (1 + 4 * (which % 3)))[:self.words_of(0.4) * 4],
                         max_tokens=self.env.answer_tokens, seed=which, temperature=(0, 0.8, 1.5)[which % 3],
                         ignore_eos=True)
        known = self.env.known_answers

        def check(result):
            text = result.choices[0].text
            if self.env.same:
                expect(known.setdefault(which, text) == text,
                       f"the answer to request {which} changed: {known[which]!r}, {text!r}")
        return Ask("the same again", "/v1/completions", body, check)

    def messages(self):
        rng, out = self.rng, []
        if rng.random() < 0.5:
            out.append({"role": "system", "content": "You are short. " + " ".join(WORDS[:rng.choice([2, 20])])})
        for _ in range(rng.randint(0, 2)):
            out += [{"role": "user", "content": self.text(6)}, {"role": "assistant", "content": self.text(4)}]
        return [*out, {"role": "user", "content": self.text(rng.randint(1, 30))}]

    def chat(self):
        limit, sampling = self.limit(), self.sampling()
        return Ask("chat", "/v1/chat/completions",
                   self.base(messages=self.messages(), max_tokens=limit, **sampling), self.check_ends(1, limit))

    def schema(self):
        schema = self.form()
        form = {"type": "json_schema", "json_schema": {"name": "form", "strict": True, "schema": schema}}

        def check(result):
            choice = result.choices[0]
            expect(choice.finish == "stop", f"an answer to a schema ended by {choice.finish}: {choice.text!r}")
            try:
                value = json.loads(choice.text)
            except ValueError:
                raise Complaint(f"an answer to a schema is no JSON: {choice.text!r}") from None
            expect(matches(schema, value), f"{value!r} does not match {schema!r}")
        return Ask("schema", "/v1/chat/completions",
                   self.base(messages=self.messages(), response_format=form, max_tokens=self.env.context // 2,
                             temperature=self.rng.choice([0, 1])), check)

    def choice(self):
        words = self.rng.sample(WORDS, 3)

        def check(result):
            expect(result.choices[0].text in words, f"{result.choices[0].text!r} is none of {words}")
        return Ask("choice", "/v1/completions",
                   self.base(prompt=self.text(5), structured_outputs={"choice": words}, max_tokens=64), check)

    def tools(self):
        name, schema = self.rng.choice(WORDS[:4]), self.form()
        tools = [{"type": "function", "function": {"name": name, "description": "For a test.", "parameters": schema}}]

        def check(result):
            calls = result.choices[0].calls
            expect(len(calls) == 1, f"{len(calls)} calls of a tool that had to be called once")
            expect(result.choices[0].finish in ("tool_calls", "stop"), f"ended by {result.choices[0].finish}")
            called, arguments = calls[0]
            expect(called == name, f"a call of {called!r}")
            expect(matches(schema, json.loads(arguments)), f"{arguments} does not match {schema!r}")
        return Ask("tools", "/v1/chat/completions",
                   self.base(messages=self.messages(), tools=tools, tool_choice="required",
                             parallel_tool_calls=False, max_tokens=self.env.context // 3), check)

    def anthropic(self):
        limit, stream = self.limit(), self.rng.random() < 0.5

        def check(answer):
            if stream:
                events = answer.events()
                expect(events[-1]["type"] == "message_stop", f"the last event is {events[-1]}")
                reason = next(one["delta"]["stop_reason"] for one in events if one["type"] == "message_delta")
            else:
                reason = answer.json()["stop_reason"]
            expect(reason in ("end_turn", "max_tokens"), f"stop_reason {reason!r}")
        body = {"model": self.env.model, "max_tokens": limit, "stream": stream,
                "messages": [{"role": "user", "content": self.text(9)}]}
        return self.plain(Ask("anthropic", "/v1/messages", body, check))

    def responses(self):
        limit, stream = self.limit(), self.rng.random() < 0.5

        def check(answer):
            if stream:
                last = answer.events()[-1]
                expect(last["type"] in ("response.completed", "response.incomplete"), f"the last event is {last}")
                status = last["response"]["status"]
            else:
                status = answer.json()["status"]
            expect(status in ("completed", "incomplete"), f"status {status!r}")
        body = {"model": self.env.model, "max_output_tokens": limit, "stream": stream, "input": self.text(9)}
        return self.plain(Ask("responses", "/v1/responses", body, check))

    @staticmethod
    def plain(ask):
        """With a check of the answer itself, whose stream is not that of choices."""
        ask.takes_answer = True
        return ask

    def embeddings(self):
        inputs = [self.text(self.rng.randint(1, 30)) for _ in range(self.rng.randint(1, 3))]

        def check(answer):
            data = answer.json()["data"]
            expect(len(data) == len(inputs), f"{len(data)} embeddings of {len(inputs)}")
            for one in data:
                expect(abs(math.hypot(*one["embedding"]) - 1) < 1e-3, "an embedding that is not of length 1")
        return self.plain(Ask("embeddings", "/v1/embeddings", {"model": self.env.model, "input": inputs}, check))

    def looks(self):
        """What costs no step of the engine."""
        text = self.text(20)
        if self.rng.random() < 0.5:
            path = self.rng.choice(["/health", "/metrics", "/v1/models", "/"])
            return self.plain(Ask("looks", path, b"", lambda answer: None, (200,), method="GET"))
        return self.plain(Ask("looks", "/tokenize", {"model": self.env.model, "prompt": text},
                              lambda answer: expect(answer.json()["count"] > 0, "no tokens"), (200,)))

    def too_long(self):
        words = self.text(int(1.5 * self.env.context / self.env.tokens_per_word) + 10)
        return Ask("too long", "/v1/completions", self.base(prompt=words, max_tokens=4),
                   statuses=(400,), code="context_length_exceeded")

    def invalid(self):
        good = {"model": self.env.model, "prompt": "a", "max_tokens": 2}
        bodies = [b"", b"{", b"[]", b"null", b'{"model": "\xff"}', b"[" * 100_000, {**good, "temperature": 9},
                  {**good, "unknown_field": 1}, {**good, "n": 0}, {**good, "max_tokens": -1}, {**good, "stop": [""]},
                  {**good, "prompt": ""}, {**good, "prompt": [2 ** 31 - 1]}, {**good, "logit_bias": {"x": 1}},
                  {**good, "structured_outputs": {"regex": "("}}, {**good, "structured_outputs": {"json": {"type": "?"}}},
                  {**good, "stream_options": {"include_usage": True}}, {"prompt": "a"}]
        if self.rng.random() < 0.2:
            path, statuses = self.rng.choice([("/v1/none", (404,)), ("/v1/models", (405,)),
                                              ("/v1/" + "".join(self.rng.choices(string.printable[:62], k=2000)), (404,))])
            return Ask("invalid", path, good, statuses=statuses)
        if self.rng.random() < 0.1:
            return Ask("invalid", "/v1/completions", {**good, "model": "none"}, statuses=(404,), code="model_not_found")
        return Ask("invalid", "/v1/completions", self.rng.choice(bodies), statuses=(400,))

    def any(self):
        kinds = {self.completion: 8, self.several: 2, self.logprobs: 2, self.again: 2, self.embeddings: 1,
                 self.looks: 2, self.too_long: 1, self.invalid: 2}
        if self.env.chat:
            kinds.update({self.chat: 5, self.anthropic: 1, self.responses: 1})
        if self.env.forms:
            kinds[self.choice] = 1
        if self.env.chat and self.env.forms:
            kinds.update({self.schema: 3, self.tools: 2})
        return self.rng.choices(list(kinds), list(kinds.values()))[0]()
