"""Asking, reading, stopping, branching, and what is shown when it fails."""

from page_driver import PageTest
from selenium.webdriver.common.keys import Keys


class AnswerTest(PageTest):
    def test_an_answer_is_streamed(self):
        self.ask("slow", finished=False)
        self.wait(lambda: "word3" in self.answer())
        self.assertNotIn("word119", self.answer())
        self.assertTrue(self.find("#stop").is_displayed())
        first = len(self.answer())
        self.wait(lambda: len(self.answer()) > first)
        self.click("Stop")
        self.wait_until_answered()

    def test_the_request_and_the_numbers(self):
        self.ask("Hello\nworld")
        self.assertEqual(self.answer(), "You said: Hello\nworld".replace("\n", " "))
        self.assertEqual(
            self.server.requests[-1],
            {
                "model": "hachi-scripted",
                "stream": True,
                "stream_options": {"include_usage": True},
                "messages": [{"role": "user", "content": "Hello\nworld"}],
            },
        )
        stats = self.texts(".stats")[-1]
        self.assertRegex(stats, r"6 tokens · first after [\d.]+ m?s · 17 read \(8 kept\)$")
        self.assertEqual(
            self.find("#announcer").get_attribute("textContent"),
            "The answer is complete. You said: Hello\nworld",
        )

    def test_thoughts_are_in_a_fold(self):
        self.ask("think", finished=False)
        self.wait(lambda: self.texts(".thoughts summary")[-1].startswith("Thinking…"))
        self.wait_until_answered()
        label = self.texts(".thoughts summary")[-1]
        self.assertRegex(label, r"^Thought for [\d.]+ s · 20 tokens$")
        self.assertFalse(self.script("return document.querySelector('.thoughts').open"))
        self.assertEqual(
            self.script("return document.querySelector('.thoughts .prose').childNodes.length"), 0
        )
        self.find(".thoughts summary").click()
        self.wait(lambda: self.all(".thoughts .prose .katex"))
        self.assertEqual(self.texts(".thoughts .prose strong"), ["weigh"])
        self.assertEqual(self.answer(), "It is five.")
        # Thoughts are not sent back.
        self.ask("And?")
        self.assertEqual(
            [message["content"] for message in self.server.requests[-1]["messages"]],
            ["think", "It is **five**.", "And?"],
        )

    def test_formula_table_and_code(self):
        self.ask("rich")
        self.wait(lambda: self.all(".formula.display .katex-html"))
        self.assertEqual(len(self.all("td .katex")), 2)
        self.assertEqual(self.texts("th"), ["scheme", "order", "stable for"])
        self.assertIn("(The rod costs between $5 and $6.)", self.answer())
        self.assertEqual(self.texts(".prose h4"), ["The heat equation"])
        self.assertEqual(len(self.all("li input[type=checkbox]")), 2)
        self.assertEqual(self.find(".prose li a").get_attribute("href"), "https://example.org/heat")
        # KaTeX sets its heights through style properties; without them the fraction would collapse.
        self.assertGreater(
            self.script("return document.querySelector('.formula.display').offsetHeight"), 45
        )
        self.wait(lambda: self.script("return document.fonts.check('16px KaTeX_Main')"))
        self.wait(lambda: self.all("code .hljs-keyword"))
        self.assertIn("def", self.texts("code .hljs-keyword"))

    def test_code_is_copied(self):
        self.command(
            "Browser.grantPermissions",
            permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
        )
        self.ask("rich")
        self.click("Copy code")
        self.wait(lambda: self.texts("figcaption button") == ["Copied"])
        copied = self.browser.execute_async_script(
            "navigator.clipboard.readText().then(arguments[0], (e) => arguments[0](String(e)))"
        )
        self.assertTrue(copied.startswith("def step(u, r):\n\t# one explicit step"), copied)
        self.assertTrue(copied.endswith("range(1, len(u) - 1)]"), copied)

    def test_code_is_copied_without_a_clipboard_object(self):
        self.script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        self.ask("echo `code`")
        self.click("Copy the message", ".assistant")
        self.wait(lambda: "Copied" in self.texts(".assistant footer button"))
        self.find("#message").send_keys(Keys.CONTROL, "v")
        self.assertEqual(self.find("#message").get_property("value"), "`code`")

    def test_stop_and_continue(self):
        self.ask("slow", finished=False)
        self.wait(lambda: "word3" in self.answer())
        self.find("#message").send_keys(Keys.ESCAPE)
        self.wait_until_answered()
        self.assertNotIn("word119", self.answer())
        self.assertIn("stopped", self.texts(".stats")[-1])
        self.wait(lambda: self.server.disconnects > 0)
        self.click("Continue")
        self.wait(lambda: self.find("#stop").is_displayed())
        self.wait_until_answered()
        body = self.server.requests[-1]
        self.assertEqual(body["messages"][-1]["role"], "assistant")
        self.assertTrue(body["messages"][-1]["content"].startswith("word0 word1"))
        self.assertTrue(body["continue_final_message"])
        self.assertEqual(self.answer(), " ".join(f"word{i}" for i in range(120)))

    def test_a_long_answer(self):
        self.ask("long")
        self.assertIn("Part 49.", self.answer())
        self.assertEqual(len(self.all(".assistant .prose p")), 50)

    def test_scrolling_follows_until_the_reader_scrolls_up(self):
        at_end = (
            "const s = document.getElementById('scroller');"
            "return s.scrollHeight - s.scrollTop - s.clientHeight < 60"
        )
        self.ask("long")
        self.wait(lambda: self.script(at_end))
        self.ask("slow", finished=False)
        self.wait(lambda: "word9" in self.answer())
        self.assertTrue(self.script(at_end))
        self.script("document.getElementById('scroller').scrollTop = 300")
        self.wait(lambda: self.find("#to-end").is_displayed())
        self.wait(lambda: "word20" in self.answer())
        self.assertEqual(self.script("return document.getElementById('scroller').scrollTop"), 300)
        self.find("#to-end").click()
        self.wait(lambda: self.script(at_end))
        self.click("Stop")
        self.wait_until_answered()


class BranchTest(PageTest):
    def test_edit_makes_a_branch(self):
        self.ask("one")
        self.click("Edit", ".user")
        box = self.find(".edit textarea")
        self.assertEqual(box.get_property("value"), "one")
        box.send_keys(" more", Keys.ENTER)
        self.wait(lambda: self.answer() == "You said: one more")
        self.wait_until_answered()
        self.assertEqual(self.questions(), ["one more"])
        self.assertEqual(self.versions(), ["2/2"])
        self.click("The version before")
        self.assertEqual([self.questions(), self.answer()], [["one"], "You said: one"])
        self.assertEqual(self.focused(), "›")

    def test_regenerate_makes_a_branch(self):
        self.ask("one")
        self.ask("two")
        self.click("Regenerate", ".message:nth-child(2)")
        self.wait_until_answered()
        self.assertEqual(self.questions(), ["one"])
        self.assertEqual(len(self.server.requests[-1]["messages"]), 1)
        self.click("The version before")
        self.assertEqual(self.questions(), ["one", "two"])
        self.click("The next version")
        self.assertEqual(self.questions(), ["one"])

    def test_a_cancelled_edit_changes_nothing(self):
        self.ask("one")
        self.click("Edit", ".user")
        self.find(".edit textarea").send_keys(" more", Keys.ESCAPE)
        self.assertEqual([self.questions(), self.focused()], [["one"], "Edit"])


class ErrorTest(PageTest):
    def error(self):
        return self.texts(".message.assistant .error p")

    def test_busy(self):
        self.expected_failures = 2
        self.ask("busy")
        self.assertEqual(self.error(), ["The server is busy. Try again in 7 s."])
        self.click("Try again")
        self.wait(lambda: len(self.server.requests) == 2)
        self.wait_until_answered()

    def test_context_too_long(self):
        self.expected_failures = 1
        self.ask("full")
        self.assertEqual(self.error(), ["The prompt has 9000 tokens and the context 4096."])

    def test_broken_connection(self):
        self.ask("break")
        self.assertEqual(self.error(), ["The connection broke off before the answer was complete."])
        self.assertEqual(self.answer(), "This answer ends in the")

    def test_another_try_after_a_part_begins_a_version(self):
        self.ask("break")
        self.click("Try again")
        self.wait(lambda: self.versions() == ["2/2"])
        self.assertEqual(
            self.server.requests[-1]["messages"], [{"role": "user", "content": "break"}]
        )
        self.wait_until_answered()
        self.assertTrue(self.buttons("Continue"))

    def test_error_inside_the_stream(self):
        self.ask("fail")
        self.assertEqual(self.error(), ["The model ran out of memory."])

    def test_server_gone(self):
        self.expected_failures = 1
        self.command("Network.enable")
        self.command(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=0,
            uploadThroughput=0,
        )
        self.ask("hello")
        self.command(
            "Network.emulateNetworkConditions",
            offline=False,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )
        self.assertEqual(
            self.error(), ["The server does not answer. Is hachi serve still running?"]
        )
        self.click("Try again")
        self.wait(lambda: self.answer() == "You said: hello")
        self.wait(lambda: not self.find(".message.assistant .error").is_displayed())

    def test_api_key(self):
        self.expected_failures = 4
        self.server.key = "secret"
        self.browser.get(self.server.url)
        self.wait(lambda: self.focused() == "key")
        self.find("#key").send_keys("wrong", Keys.ENTER)
        self.wait(
            lambda: self.find("#key").is_displayed() and "not known" in self.texts("#key-reason")[0]
        )
        self.wait(lambda: self.find("#key").get_property("value") == "wrong")
        self.find("#key").clear()
        self.find("#key").send_keys("secret", Keys.ENTER)
        self.wait(lambda: self.all("#model option"))
        self.ask("hello")
        self.assertEqual(self.answer(), "You said: hello")
        self.reload()
        self.ask("again")
        self.assertEqual(self.answer(), "You said: again")
