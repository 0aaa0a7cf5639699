"""Calls of tools: how they are shown, what becomes of their results, the settings for them."""

import json

from page_driver import PageTest
from scripted_server import CALLS, HOSTILE
from selenium.webdriver.common.keys import Keys

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}


class CallTest(PageTest):
    def names(self):
        return self.texts(".call summary code")

    def states(self):
        return self.texts(".call .state")

    def arguments(self):
        return self.texts(".call > pre")

    def answer_call(self, place, text):
        box = self.all(".call textarea")[place]
        box.send_keys(text)
        self.script("arguments[0].form.requestSubmit()", box)

    def sent(self):
        return self.server.requests[-1]["messages"]

    def test_a_call_is_streamed(self):
        self.ask("weather", finished=False)
        self.wait(lambda: self.states() == ["is being written…"])
        self.wait(lambda: self.arguments()[0].startswith('{\n  "city": '))
        self.assertNotIn("where", self.arguments()[0])
        self.assertEqual(self.all(".call textarea"), [])
        self.wait_until_answered()
        self.assertEqual(self.names(), ["get_weather"])
        self.assertEqual(self.states(), ["waits for its result"])
        whole = json.loads(CALLS["weather"][0][1])
        shown = json.dumps(whole, indent=2, ensure_ascii=False)
        self.assertEqual(self.arguments(), [shown])
        self.assertEqual(
            self.find("#announcer").get_attribute("textContent"),
            "The answer waits for the results of get_weather.",
        )
        # It folds by the keyboard.
        self.script("document.querySelector('.call summary').focus()")
        self.press(Keys.ENTER)
        self.assertFalse(self.find(".call pre").is_displayed())

    def test_a_result_goes_back_and_the_answer_goes_on(self):
        self.ask("weather")
        self.answer_call(0, "rain")
        self.wait(lambda: self.answer() == "rain")
        self.wait_until_answered()
        name, arguments = CALLS["weather"][0]
        call = {"id": "call_0", "type": "function"}
        self.assertEqual(
            self.sent(),
            [
                {"role": "user", "content": "weather"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{**call, "function": {"name": name, "arguments": arguments}}],
                },
                {"role": "tool", "tool_call_id": "call_0", "content": "rain"},
            ],
        )
        self.assertEqual(self.states(), ["has its result"])
        self.assertEqual(self.focused(), "message")
        # The next question brings the calls along.
        self.ask("And?")
        self.assertEqual(
            [message["role"] for message in self.sent()],
            ["user", "assistant", "tool", "assistant", "user"],
        )

    def test_two_calls_need_two_results(self):
        self.ask("both")
        self.assertEqual(self.names(), ["get_weather", "get_time"])
        self.answer_call(1, "noon")
        self.wait(lambda: self.states() == ["waits for its result", "has its result"])
        self.assertEqual(len(self.server.requests), 1)
        self.assertEqual(
            self.script("return document.activeElement.ariaLabel"), "Result of get_weather"
        )
        self.reload()
        self.wait(lambda: self.states() == ["waits for its result", "has its result"])
        self.answer_call(0, "rain")
        self.wait(lambda: self.answer() == "rain; noon")
        results = [message for message in self.sent() if message["role"] == "tool"]
        self.assertEqual([result["tool_call_id"] for result in results], ["call_0", "call_1"])
        self.wait_until_answered()

    def test_calls_without_results_are_left_out(self):
        self.ask("both")
        self.answer_call(1, "noon")
        self.ask("hello")
        calls = self.sent()[1]["tool_calls"]
        self.assertEqual([call["function"]["name"] for call in calls], ["get_time"])
        self.assertEqual(self.sent()[2]["content"], "noon")
        self.assertEqual(self.answer(), "You said: hello")

    def test_reload_keeps_calls_and_results(self):
        self.ask("weather")
        self.answer_call(0, "rain")
        self.wait(lambda: self.answer() == "rain")
        self.wait_until_answered()
        arguments = self.arguments()
        self.reload()
        self.wait(lambda: self.answer() == "rain")
        self.assertEqual([self.arguments(), self.states()], [arguments, ["has its result"]])
        self.assertEqual(self.texts(".call div pre"), ["rain"])

    def test_a_result_is_edited_into_a_version(self):
        self.ask("weather")
        self.answer_call(0, "rain")
        self.wait(lambda: self.answer() == "rain")
        self.wait_until_answered()
        self.click("Edit the result")
        self.answer_call(0, " and wind")
        self.wait(lambda: self.answer() == "rain and wind")
        self.wait_until_answered()
        self.assertEqual(self.versions(), ["2/2"])
        self.click("The version before")
        self.assertEqual([self.answer(), self.texts(".call div pre")], ["rain", ["rain"]])

    def test_the_answer_after_a_result_is_made_again(self):
        self.ask("weather")
        self.answer_call(0, "rain")
        self.wait(lambda: self.answer() == "rain")
        self.wait_until_answered()
        before = self.sent()
        self.click("Regenerate", ".message:last-child")
        self.wait_until_answered()
        self.assertEqual([self.sent(), self.versions()], [before, ["2/2"]])

    def test_an_edited_question_leaves_the_calls(self):
        self.ask("weather")
        self.click("Edit", ".user")
        self.find(".edit textarea").send_keys(Keys.BACKSPACE * 10, "hi", Keys.ENTER)
        self.wait(lambda: self.answer() == "You said: hi")
        self.wait_until_answered()
        self.assertEqual(self.all(".call"), [])
        self.click("The version before")
        self.assertEqual(self.states(), ["waits for its result"])

    def test_a_call_that_was_broken_off_takes_no_result(self):
        self.ask("cut")
        self.assertEqual(self.states(), ["was broken off"])
        self.assertEqual(self.all(".call textarea"), [])
        self.assertEqual(self.buttons("Continue"), [])
        self.assertTrue(self.buttons("Regenerate"))

    def test_a_call_that_is_stopped(self):
        self.ask("weather", finished=False)
        self.wait(lambda: self.arguments())
        self.click("Stop")
        self.wait_until_answered()
        self.assertEqual(self.states(), ["was broken off"])

    def test_hostile_calls_are_text(self):
        self.ask("hostile")
        self.assertEqual(self.names(), [HOSTILE])
        self.assertIn(json.dumps(HOSTILE), self.arguments()[0])
        self.answer_call(0, HOSTILE)
        self.wait(lambda: self.texts(".call div pre") == [HOSTILE])
        self.wait_until_answered()
        self.assertEqual(self.all(".message img, .message script"), [])

    def test_export_and_import(self):
        self.ask("both")
        self.answer_call(0, "rain")
        self.answer_call(0, "noon")
        self.wait(lambda: self.answer() == "rain; noon")
        self.wait_until_answered()
        self.click("Export this conversation")
        file = self.downloads / "conversation.json"
        self.wait(lambda: file.exists() and file.stat().st_size > 0)
        exported = file.read_text()
        self.find("#import-file").send_keys(str(file))
        self.wait(lambda: len(self.all("#conversations a")) == 2)
        self.all("#conversations a")[-1].click()
        self.wait(lambda: self.states() == ["has its result"] * 2)
        self.assertEqual(self.texts(".call div pre"), ["rain", "noon"])
        self.assertIn('"result": "noon"', exported)
        file.unlink()

    def test_thoughts_that_were_cut_say_so(self):
        self.ask("budget")
        self.assertRegex(self.texts(".thoughts summary")[-1], r"tokens · cut at the budget$")
        self.reload()
        self.wait(lambda: self.texts(".thoughts summary")[-1].endswith("cut at the budget"))


class ToolSettingsTest(PageTest):
    def save_tools(self, text, choice=""):
        self.find("#settings").click()
        self.script("document.getElementById('set-tools').value = arguments[0]", text)
        if choice:
            self.find("#set-tool_choice").send_keys(choice)
        self.click("Save", "#settings-dialog")

    def test_tools_are_in_the_request(self):
        self.find("#settings").click()
        self.find("#set-thinking_budget").send_keys("64")
        self.click("Save", "#settings-dialog")
        self.save_tools(json.dumps([WEATHER]), "required")
        self.ask("weather")
        body = self.server.requests[-1]
        self.assertEqual([body["tools"], body["tool_choice"]], [[WEATHER], "required"])
        self.assertEqual(body["thinking_budget"], 64)
        # Once there are results, an answer may follow.
        self.find(".call textarea").send_keys("rain")
        self.click("Send result")
        self.wait(lambda: self.answer() == "rain")
        self.wait_until_answered()
        body = self.server.requests[-1]
        self.assertEqual([body["tools"], body.get("tool_choice")], [[WEATHER], None])
        # They are kept with the conversation.
        self.reload()
        self.ask("weather")
        self.assertEqual(self.server.requests[-1]["tool_choice"], "required")
        self.click("New chat")
        self.ask("hello")
        self.assertNotIn("tools", self.server.requests[-1])

    def test_no_calls_are_wanted(self):
        self.save_tools(json.dumps([WEATHER]), "none")
        self.ask("hello")
        self.assertEqual(self.server.requests[-1]["tool_choice"], "none")

    def test_wrong_tools_are_named(self):
        for text, problem in [
            ("[{", "Tools are JSON: "),
            ('{"type": "function"}', "Tools are a JSON list"),
            (json.dumps([WEATHER, {"name": "f"}]), "Tool 2 is not"),
            ("<img src=x onerror=\"window.attacked='tools'\">", "Tools are JSON: "),
        ]:
            self.save_tools(text)
            self.assertTrue(self.texts("#settings-problem")[0].startswith(problem), problem)
            self.assertEqual(self.focused(), "set-tools")
            self.press(Keys.ESCAPE)
        self.ask("hello")
        self.assertNotIn("tools", self.server.requests[-1])
