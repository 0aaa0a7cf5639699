"""The modules, hostile text, and the page with a real server behind it."""

import json
import time

from page_driver import PageTest
from scripted_server import ROOT


class ModuleTest(PageTest):
    def test_each_module(self):
        self.browser.get(self.server.url + "tests/unit.html")
        self.wait(lambda: self.script("return window.results ?? null"))
        results = self.script("return window.results")
        self.assertGreater(len(results), 50)
        self.assertEqual([result for result in results if result["problem"]], [])

    def test_each_module_is_fetched_with_the_page(self):
        page = (ROOT / "web" / "index.html").read_text()
        modules = {file.name for file in (ROOT / "web").glob("*.js")}
        self.assertEqual({name for name in modules if f'"page/{name}"' not in page}, set())


class AttackTest(PageTest):
    def test_nothing_that_is_written_runs(self):
        self.ask("attack")
        self.find(".thoughts summary").click()
        self.wait(lambda: self.all(".thoughts .prose table"))
        self.wait(lambda: self.all(".assistant > .prose .formula"))
        time.sleep(0.3)  # for what would load or run later
        self.assertEqual(
            self.all(
                ".message script, .message img, .message svg[onload], .message style, .message b"
            ),
            [],
        )
        links = {link.get_attribute("href") for link in self.all(".message a")}
        self.assertTrue(all(link.startswith("https://example.org/") for link in links), links)
        self.assertEqual(
            self.script(
                "return [...document.querySelectorAll('.message *')].filter((e) => "
                "[...e.attributes].some((a) => a.name.startsWith('on'))).length"
            ),
            0,
        )
        self.assertIn("<script>window.attacked = 'script'</script>", self.answer())
        self.assertEqual(
            self.script(
                "return performance.getEntriesByType('resource')"
                ".filter((entry) => !entry.name.startsWith(location.origin)).length"
            ),
            0,
        )

    def test_a_question_is_text(self):
        self.ask("<img src=x onerror=\"window.attacked='question'\">")
        self.assertEqual(self.all(".message img"), [])
        self.assertEqual(self.texts("#conversations a"), self.questions())

    def test_the_policy_holds(self):
        self.script(
            "const s = document.createElement('script');"
            "s.textContent = 'window.attacked = 1'; document.body.append(s)"
        )
        messages = [entry["message"] for entry in self.browser.get_log("browser")]
        self.assertTrue(any("Content Security Policy" in message for message in messages), messages)


class RealServerTest(PageTest):
    def setUp(self):
        if not self.options.url:
            self.skipTest("needs --url or --hachi")
        super().setUp()
        self.browser.get(self.options.url)
        self.wait(
            lambda: self.script("return document.getElementById('model')?.options.length > 0")
        )

    def test_the_model_answers(self):
        self.find("#settings").click()
        self.find("#set-max_completion_tokens").send_keys("50")  # a small model may go on and on
        self.click("Save", "#settings-dialog")
        self.ask("Say one word.")
        self.assertFalse(
            self.find(".assistant .error").is_displayed(), self.texts(".assistant .error")
        )
        self.assertRegex(self.texts(".stats")[-1], r"tokens")

    def is_answering(self):
        return not self.find("#stop").get_property("hidden")

    def stop(self):
        """Whether an answer was still coming. What is clicked as a user does may be gone by then."""
        return self.script(
            "const stop = document.getElementById('stop');"
            "if (stop.hidden) return false; stop.click(); return true"
        )

    def test_an_answer_is_stopped_and_continued(self):
        for _ in range(20):  # some stories are short
            self.click("New chat")
            self.ask("Tell me a very long story of a river.", finished=False)
            self.wait(lambda: len(self.answer()) > 40 or not self.is_answering())
            if self.stop():
                break
        self.wait_until_answered()
        begun = self.answer()
        self.click("Continue")
        self.wait(lambda: len(self.answer()) > len(begun) + 10 or not self.is_answering())
        self.stop()
        self.wait_until_answered()
        self.assertTrue(self.answer().startswith(begun[:40]), self.answer())
        self.assertFalse(self.find(".assistant .error").is_displayed())

    def test_a_call_that_has_to_come(self):
        parameters = {"type": "object", "properties": {}, "additionalProperties": False}
        tool = {"name": "get_weather", "parameters": parameters}
        self.find("#settings").click()
        tools = json.dumps([{"type": "function", "function": tool}])
        self.script("document.getElementById('set-tools').value = arguments[0]", tools)
        self.find("#set-tool_choice").send_keys("required")
        self.find("#set-max_completion_tokens").send_keys("200")
        self.click("Save", "#settings-dialog")
        self.ask("How is the weather?")
        for _ in range(20):  # a small model may call on and on, until its tokens are used up
            if "was broken off" not in self.texts(".call .state"):
                break
            self.click("Regenerate")
            self.wait_until_answered()
        self.assertFalse(self.find(".assistant .error").is_displayed())
        self.assertEqual(set(self.texts(".call summary code")), {"get_weather"})
        self.assertEqual(set(self.texts(".call .state")), {"waits for its result"})
        for field in self.all(".call textarea"):
            field.send_keys("It rains.")
            self.script("arguments[0].form.requestSubmit()", field)
        self.wait(lambda: len(self.all(".message.assistant")) == 2)
        self.wait_until_answered()
        self.assertFalse(self.all(".assistant .error")[-1].is_displayed())
