"""Answers of a given form and tool calls, with the helpers of the official clients."""

import json
from typing import Literal

import openai
from client_case import ClientTest
from pydantic import BaseModel, Field
from server import MODEL


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=120)
    likes: list[Literal["rivers", "hills"]] = Field(max_length=3)


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 30}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}
ASK = "What is the weather in Paris?"


class FormsTest(ClientTest):
    def test_a_parsed_model(self):
        for seed in range(5):
            answer = self.openai.chat.completions.parse(
                model=MODEL, messages=[{"role": "user", "content": "Describe a person."}],
                response_format=Person, temperature=1, seed=seed, max_completion_tokens=200)
            self.assertIsInstance(answer.choices[0].message.parsed, Person)

    def test_a_stream_says_the_same(self):
        fields = dict(
            messages="Describe a person.", max_completion_tokens=200, temperature=1, seed=7,
            response_format={"type": "json_schema", "json_schema": {
                "name": "person", "schema": Person.model_json_schema(), "strict": True}})
        whole = self.chat(**fields).choices[0].message.content
        pieces = self.chat(**fields, stream=True)
        streamed = "".join(c.choices[0].delta.content or "" for c in pieces if c.choices)
        self.assertEqual(streamed, whole)
        Person.model_validate_json(whole)

    def test_other_forms(self):
        text = self.complete("Call me at", extra_body={"structured_outputs": {
            "regex": "[0-9]{3}-[0-9]{4}"}}, max_tokens=30).choices[0].text
        self.assertRegex(text, r"\A[0-9]{3}-[0-9]{4}\Z")
        text = self.chat("Is water wet?", extra_body={"structured_outputs": {
            "choice": ["yes", "no"]}}).choices[0].message.content
        self.assertIn(text, ("yes", "no"))
        answer = self.chat("Say something.", response_format={"type": "json_object"},
                           max_completion_tokens=300)
        if answer.choices[0].finish_reason == "stop":
            self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_what_is_not_enforced_is_refused(self):
        schema = {"type": "object", "properties": {"a": {"not": {}}}}
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(response_format={"type": "json_schema",
                                       "json_schema": {"name": "a", "schema": schema}})
        self.assertEqual(caught.exception.param, "response_format.json_schema.schema")
        self.assertIn("/properties/a/not", caught.exception.message)


class ToolsTest(ClientTest):
    def call(self, **fields):
        return self.chat(ASK, **{"tools": [WEATHER, TIME], "max_completion_tokens": 100,
                                 "parallel_tool_calls": False} | fields)

    def check_weather(self, call):
        self.assertEqual(call.function.name, "weather")
        arguments = json.loads(call.function.arguments)
        self.assertEqual(sorted(arguments), ["city", "unit"])
        self.assertIn(arguments["unit"], ("C", "F"))

    def test_a_named_call(self):
        choice = {"type": "function", "function": {"name": "weather"}}
        [answer] = self.call(tool_choice=choice).choices
        self.assertEqual((answer.finish_reason, answer.message.content), ("tool_calls", None))
        [call] = answer.message.tool_calls
        self.check_weather(call)

    def test_a_stream_says_the_same(self):
        fields = {"tool_choice": {"type": "function", "function": {"name": "weather"}}}
        [whole] = self.call(**fields).choices[0].message.tool_calls
        name, arguments, ids = "", "", set()
        for chunk in self.call(**fields, stream=True):
            for delta in chunk.choices[0].delta.tool_calls or []:
                self.assertEqual(delta.index, 0)
                ids |= {delta.id} - {None}
                name += delta.function.name or ""
                arguments += delta.function.arguments or ""
        self.assertEqual((name, arguments), (whole.function.name, whole.function.arguments))
        self.assertEqual(len(ids), 1)

    def test_a_required_call_is_one_of_the_tools(self):
        [call] = self.call(tool_choice="required").choices[0].message.tool_calls
        self.assertIn(call.function.name, ("weather", "time"))

    def test_no_call_is_made_where_none_may(self):
        answer = self.call(tool_choice="none").choices[0].message
        self.assertIsNone(answer.tool_calls)
        self.assertTrue(answer.content)

    def test_the_result_goes_back(self):
        [call] = self.call(tool_choice="required").choices[0].message.tool_calls
        messages = [{"role": "user", "content": ASK},
                    {"role": "assistant", "content": None, "tool_calls": [call.to_dict()]},
                    {"role": "tool", "tool_call_id": call.id, "content": "21 C and sunny"}]
        answer = self.chat(messages, tools=[WEATHER, TIME], max_completion_tokens=40)
        self.assertTrue(answer.choices[0].message.content or answer.choices[0].message.tool_calls)

    def test_anthropic(self):
        tool = {"name": "weather", "input_schema": WEATHER["function"]["parameters"]}
        fields = dict(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": ASK}],
                      tools=[tool], tool_choice={"type": "tool", "name": "weather",
                                                 "disable_parallel_tool_use": True},
                      extra_body={"temperature": 0})
        answer = self.anthropic.messages.create(**fields)
        self.assertEqual(answer.stop_reason, "tool_use")
        [block] = answer.content
        self.assertEqual((block.type, block.name), ("tool_use", "weather"))
        self.assertIn(block.input["unit"], ("C", "F"))
        with self.anthropic.messages.stream(**fields) as stream:
            [streamed] = stream.get_final_message().content
        self.assertEqual((streamed.name, streamed.input), (block.name, block.input))

    def test_responses(self):
        tool = {"type": "function"} | WEATHER["function"]
        fields = dict(model=MODEL, input=ASK, tools=[tool], tool_choice="required",
                      parallel_tool_calls=False, max_output_tokens=100, temperature=0)
        [item] = self.openai.responses.create(**fields).output
        self.assertEqual((item.type, item.name, item.status),
                         ("function_call", "weather", "completed"))
        with self.openai.responses.stream(**fields) as stream:
            [streamed] = stream.get_final_response().output
        self.assertEqual((streamed.name, streamed.arguments), (item.name, item.arguments))
