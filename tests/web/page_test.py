"""The chat page in a real browser, headless: what a reader does, and what the page then shows and sends.

    page_test.py [--url URL] [--screenshots FOLDER] [unittest's arguments]

The API answers by script (scripted_server.py). With --url the page's files come from that running
server, and one more test asks the model behind it. Needs Debian's chromium and chromium-driver, and
requirements.txt.
"""

import argparse
import json
import pathlib
import re
import sys
import tempfile
import time
import unittest

from scripted_server import ROOT, ScriptedServer
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

OPTIONS = argparse.Namespace(url="", screenshots="")
PATIENCE_S = 20  # for what should take milliseconds, on a busy machine


def start_browser(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--hide-scrollbars", "--force-color-profile=srgb"]:
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="hachi-page-", ignore_cleanup_errors=True)
        cls.downloads = pathlib.Path(cls.temporary.name)
        cls.server = ScriptedServer(page=OPTIONS.url).start()
        cls.browser = start_browser(cls.downloads)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.shutdown()
        cls.temporary.cleanup()

    def setUp(self):
        self.server.key = ""
        self.server.requests.clear()
        self.expected_failures = 0  # responses with an error status, which the browser logs
        self.command("Storage.clearDataForOrigin", origin=self.server.url.rstrip("/"), storageTypes="all")
        self.command("Emulation.clearDeviceMetricsOverride")
        self.command("Emulation.setEmulatedMedia", features=[])
        self.browser.set_window_size(1200, 940)
        self.browser.get("about:blank")
        self.browser.get_log("browser")
        self.open()

    def tearDown(self):
        messages = [entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        failures = [entry for entry in messages if entry["source"] == "network"]
        self.assertEqual([entry["message"] for entry in messages if entry not in failures], [])
        self.assertLessEqual(len(failures), self.expected_failures, failures)
        self.assertIsNone(self.script("return window.attacked ?? null"))

    # What a reader does

    def open(self, fragment=""):
        self.browser.get(self.server.url + fragment)
        self.wait(lambda: self.script("return document.getElementById('model')?.options.length > 0"))

    def reload(self):
        self.browser.refresh()
        self.wait(lambda: self.script("return document.getElementById('model')?.options.length > 0"))

    def type(self, text):
        box = self.find("#message")
        for index, line in enumerate(text.split("\n")):
            if index:
                box.send_keys(Keys.SHIFT, Keys.ENTER)
                box.send_keys(Keys.NULL)
            box.send_keys(line)

    def ask(self, text, finished=True):
        self.type(text)
        self.find("#message").send_keys(Keys.ENTER)
        if finished:
            self.wait_until_answered()

    def wait_until_answered(self):
        self.wait(lambda: self.script(
            "const all = [...document.querySelectorAll('.message.assistant')];"
            "return all.length > 0 && all.at(-1).ariaBusy === 'false'"))

    def click(self, text, within=""):
        """The last button with this text or label."""
        self.wait(lambda: self.buttons(text, within))
        self.script("arguments[0].scrollIntoView({block: 'center'})", self.buttons(text, within)[-1])
        self.buttons(text, within)[-1].click()

    def press(self, *keys):
        chain = ActionChains(self.browser)
        for key in keys[:-1]:
            chain.key_down(key)
        chain.send_keys(keys[-1])
        for key in reversed(keys[:-1]):
            chain.key_up(key)
        chain.perform()

    # What the page shows

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def command(self, name, **parameters):
        return self.browser.execute_cdp_cmd(name, parameters)

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def buttons(self, text, within=""):
        return [button for button in self.all(f"{within} button") if button.is_displayed() and
                text in (button.text, button.get_attribute("aria-label"))]

    def texts(self, selector):
        return self.script("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector)

    def answer(self):
        return self.texts(".message.assistant > .prose")[-1]

    def versions(self):
        return [text.strip("‹›\n") for text in self.texts(".branches")]

    def questions(self):
        return self.texts(".message.user > .prose")

    def focused(self):
        return self.script("return document.activeElement.id || document.activeElement.textContent")

    def wait(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except (StaleElementReferenceException, IndexError):
                pass
            time.sleep(0.02)
        self.fail("This did not come true: " + re.sub(r"\s+", " ", self.source_of(condition)))

    @staticmethod
    def source_of(condition):
        code = condition.__code__
        lines = pathlib.Path(code.co_filename).read_text().splitlines()
        return lines[code.co_firstlineno - 1]

    def screenshot(self, name):
        if OPTIONS.screenshots:
            self.script("document.getElementById('scroller').scrollTop = 0; document.activeElement.blur()")
            path = pathlib.Path(OPTIONS.screenshots) / name
            self.browser.save_screenshot(str(path))
            self.assertLess(path.stat().st_size, 150_000, f"{name} is too large for the repository")


class ModuleTest(PageTest):
    def test_each_module(self):
        if OPTIONS.url:
            self.skipTest("the modules are tested from web/")
        self.browser.get(self.server.url + "tests/unit.html")
        self.wait(lambda: self.script("return window.results ?? null"))
        results = self.script("return window.results")
        self.assertGreater(len(results), 50)
        self.assertEqual([result for result in results if result["problem"]], [])

    def test_each_module_is_fetched_with_the_page(self):
        page = (ROOT / "web" / "index.html").read_text()
        modules = {file.name for file in (ROOT / "web").glob("*.js")}
        self.assertEqual({name for name in modules if f'"page/{name}"' not in page}, set())


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
        self.assertEqual(self.server.requests[-1], {
            "model": "hachi-scripted", "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": "Hello\nworld"}]})
        stats = self.texts(".stats")[-1]
        self.assertRegex(stats, r"^[\d.]+ tokens/s · 6 tokens · first after [\d.]+ s · 17 read \(8 kept\)$")
        self.assertEqual(self.find("#announcer").get_attribute("textContent"),
                         "The answer is complete. You said: Hello\nworld")

    def test_thoughts_are_in_a_fold(self):
        self.ask("think", finished=False)
        self.wait(lambda: self.texts(".thoughts summary")[-1].startswith("Thinking…"))
        self.wait_until_answered()
        self.assertRegex(self.texts(".thoughts summary")[-1], r"^Thought for [\d.]+ s · 20 tokens$")
        self.assertFalse(self.script("return document.querySelector('.thoughts').open"))
        self.assertEqual(self.script("return document.querySelector('.thoughts .prose').childNodes.length"), 0)
        self.find(".thoughts summary").click()
        self.wait(lambda: self.all(".thoughts .prose .katex"))
        self.assertEqual(self.texts(".thoughts .prose strong"), ["weigh"])
        self.assertEqual(self.answer(), "It is five.")
        # Thoughts are not sent back.
        self.ask("And?")
        self.assertEqual([message["content"] for message in self.server.requests[-1]["messages"]],
                         ["think", "It is **five**.", "And?"])

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
        self.assertGreater(self.script("return document.querySelector('.formula.display').offsetHeight"), 45)
        self.wait(lambda: self.script("return document.fonts.check('16px KaTeX_Main')"))
        self.wait(lambda: self.all("code .hljs-keyword"))
        self.assertIn("def", self.texts("code .hljs-keyword"))

    def test_code_is_copied(self):
        self.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        self.ask("rich")
        self.click("Copy code")
        self.wait(lambda: self.texts("figcaption button") == ["Copied"])
        copied = self.browser.execute_async_script(
            "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))")
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
        begun = self.answer()
        self.assertNotIn("word119", begun)
        self.assertIn("stopped", self.texts(".stats")[-1])
        self.wait(lambda: self.server.disconnects > 0)
        self.click("Continue")
        self.wait(lambda: self.find("#stop").is_displayed())
        self.wait_until_answered()
        body = self.server.requests[-1]
        self.assertEqual(body["messages"][-1], {"role": "assistant", "content": begun})
        self.assertTrue(body["continue_final_message"])
        self.assertEqual(self.answer(), " ".join(f"word{i}" for i in range(120)))

    def test_a_long_answer_stays_cheap(self):
        self.script("window.slowest = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())"
                    "  window.slowest = Math.max(window.slowest, entry.duration); }).observe({type: 'longtask'})")
        self.ask("long")
        self.assertIn("Part 49.", self.answer())
        self.assertEqual(len(self.all(".assistant .prose p")), 50)
        print(f"\nlongest task while a long answer streamed: {self.script('return window.slowest')} ms", file=sys.stderr)

    def test_scrolling_follows_until_the_reader_scrolls_up(self):
        at_end = ("const s = document.getElementById('scroller');"
                  "return s.scrollHeight - s.scrollTop - s.clientHeight < 60")
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


class ConversationTest(PageTest):
    def titles(self):
        return self.texts("#conversations a")

    def test_reload_finds_the_conversation(self):
        self.ask("think")
        self.click("Regenerate")
        self.wait_until_answered()
        self.reload()
        self.wait(lambda: self.questions() == ["think"])
        self.assertEqual(self.answer(), "It is five.")
        self.assertEqual(self.versions(), ["2/2"])
        self.assertEqual(self.titles(), ["think"])
        self.assertEqual(self.browser.title, "think – Hachi")

    def test_reload_in_the_middle_keeps_what_was_written(self):
        self.ask("slow", finished=False)
        self.wait(lambda: "word9" in self.answer())
        self.reload()
        self.wait(lambda: self.answer().startswith("word0 word1"))
        self.assertTrue(self.buttons("Continue"))

    def test_the_list(self):
        self.ask("apples and pears")
        self.press(Keys.CONTROL, Keys.SHIFT, "o")
        self.wait(lambda: self.questions() == [])
        self.ask("bread")
        self.assertEqual(self.titles(), ["bread", "apples and pears"])
        self.press(Keys.CONTROL, "k")
        self.assertEqual(self.focused(), "search")
        self.find("#search").send_keys("PEAR")
        self.assertEqual(self.titles(), ["apples and pears"])
        self.find("#search").send_keys(Keys.ENTER)
        self.wait(lambda: self.questions() == ["apples and pears"])
        self.find("#search").send_keys(Keys.BACKSPACE * 4)
        self.browser.back()
        self.wait(lambda: self.questions() == ["bread"])

    def test_rename_and_delete(self):
        self.ask("bread")
        self.script("document.querySelector('#conversations button').focus()")
        self.press(Keys.ENTER)
        self.find("#conversations input").send_keys("Cheese", Keys.ENTER)
        self.wait(lambda: self.titles() == ["Cheese"])
        self.assertEqual(self.texts("#title"), ["Cheese"])
        self.reload()
        self.wait(lambda: self.titles() == ["Cheese"])
        self.script("document.querySelectorAll('#conversations button')[1].focus()")
        self.press(Keys.ENTER)
        self.assertIn("Cheese", self.texts("#question")[0])
        self.click("Cancel", "#question-dialog")
        self.assertEqual(self.titles(), ["Cheese"])
        self.script("document.querySelectorAll('#conversations button')[1].click()")
        self.click("Delete", "#question-dialog")
        self.wait(lambda: self.titles() == [])
        self.reload()
        self.assertEqual(self.titles(), [])

    def test_export_and_import(self):
        self.ask("rich")
        self.click("Export this conversation")
        file = self.downloads / "conversation.json"
        self.wait(lambda: file.exists() and file.stat().st_size > 0)
        data = json.loads(file.read_text())
        self.assertEqual([data["format"], len(data["conversations"])], ["hachi-conversations", 1])
        data["conversations"][0]["title"] = "<img src=x onerror=\"window.attacked='title'\">"
        file.write_text(json.dumps(data))
        self.find("#import-file").send_keys(str(file))
        self.wait(lambda: len(self.titles()) == 2)
        self.assertIn(data["conversations"][0]["title"], self.titles())
        self.script("document.querySelector('#conversations a[title*=onerror]').click()")
        self.wait(lambda: self.texts("#title")[0].startswith("<img"))
        self.assertIn("The heat equation", self.answer())
        file.write_text("{")
        self.find("#import-file").send_keys(str(file))
        self.wait(lambda: self.texts("#notice") == ["This file is not JSON."])

    def test_two_conversations_at_once(self):
        self.ask("slow", finished=False)
        self.wait(lambda: "word1" in self.answer())
        self.click("New chat")
        self.ask("hello")
        self.assertEqual(self.answer(), "You said: hello")
        self.assertEqual(len(self.all(".running")), 1)
        self.click_conversation("slow")
        self.wait(lambda: "word20" in self.answer())
        self.click("Stop")
        self.wait_until_answered()

    def click_conversation(self, title):
        next(link for link in self.all("#conversations a") if link.text == title).click()


class SettingsTest(PageTest):
    def set(self, **settings):
        self.find("#settings").click()
        for name, value in settings.items():
            field = self.find(f"#set-{name}")
            if field.tag_name != "select":
                field.clear()
            field.send_keys(value)

    def save(self):
        self.click("Save", "#settings-dialog")

    def test_settings_are_in_the_request(self):
        self.set(system="Be brief.", temperature="0.7", top_p="0.9", top_k="40", min_p="0.05",
                 max_completion_tokens="100", seed="7", presence_penalty="0.1", frequency_penalty="-0.2",
                 repetition_penalty="1.1", stop="END", thinking="off")
        self.save()
        self.ask("one")
        body = self.server.requests[-1]
        self.assertEqual(body["messages"][0], {"role": "system", "content": "Be brief."})
        wanted = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "max_completion_tokens": 100,
                  "seed": 7, "presence_penalty": 0.1, "frequency_penalty": -0.2, "repetition_penalty": 1.1,
                  "stop": ["END"], "chat_template_kwargs": {"enable_thinking": False}}
        self.assertEqual({key: body.get(key) for key in wanted}, wanted)
        # They belong to this conversation, after a reload too; a new one has the server's defaults.
        self.reload()
        self.ask("two")
        self.assertEqual(self.server.requests[-1]["seed"], 7)
        self.click("New chat")
        self.ask("three")
        self.assertNotIn("seed", self.server.requests[-1])

    def test_settings_for_new_conversations(self):
        self.set(temperature="0.3")
        self.find("#settings-for-new").click()
        self.save()
        self.reload()
        self.ask("one")
        self.assertEqual(self.server.requests[-1]["temperature"], 0.3)

    def test_a_wrong_number_is_named(self):
        self.set(temperature="3")
        self.save()
        self.assertEqual(self.texts("#settings-problem"), ["Temperature goes from 0 to 2."])
        self.assertEqual(self.focused(), "set-temperature")
        self.press(Keys.ESCAPE)
        self.wait(lambda: self.focused() == "settings")

    def test_the_model_is_chosen(self):
        self.find("#model").send_keys("hachi-other")
        self.ask("one")
        self.assertEqual(self.server.requests[-1]["model"], "hachi-other")
        self.reload()
        self.assertEqual(self.find("#model").get_property("value"), "hachi-other")


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

    def test_error_inside_the_stream(self):
        self.ask("fail")
        self.assertEqual(self.error(), ["The model ran out of memory."])

    def test_server_gone(self):
        self.expected_failures = 1
        self.command("Network.enable")
        self.command("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        self.ask("hello")
        self.command("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        self.assertEqual(self.error(), ["The server does not answer. Is hachi serve still running?"])
        self.click("Try again")
        self.wait(lambda: self.answer() == "You said: hello")
        self.wait(lambda: not self.find(".message.assistant .error").is_displayed())

    def test_api_key(self):
        self.expected_failures = 4
        self.server.key = "secret"
        self.browser.get(self.server.url)
        self.wait(lambda: self.focused() == "key")
        self.find("#key").send_keys("wrong", Keys.ENTER)
        self.wait(lambda: self.find("#key").is_displayed() and "not known" in self.texts("#key-reason")[0])
        self.wait(lambda: self.find("#key").get_property("value") == "wrong")
        self.find("#key").clear()
        self.find("#key").send_keys("secret", Keys.ENTER)
        self.wait(lambda: self.all("#model option"))
        self.ask("hello")
        self.assertEqual(self.answer(), "You said: hello")
        self.reload()
        self.ask("again")
        self.assertEqual(self.answer(), "You said: again")


class AttackTest(PageTest):
    def test_nothing_that_is_written_runs(self):
        self.ask("attack")
        self.find(".thoughts summary").click()
        self.wait(lambda: self.all(".thoughts .prose table"))
        self.wait(lambda: self.all(".assistant > .prose .formula"))
        time.sleep(0.3)  # for what would load or run later
        self.assertEqual(self.all(".message script, .message img, .message svg[onload], .message style, .message b"), [])
        links = {link.get_attribute("href") for link in self.all(".message a")}
        self.assertTrue(all(link.startswith("https://example.org/") for link in links), links)
        self.assertEqual(self.script("return [...document.querySelectorAll('.message *')].filter((e) => "
                                     "[...e.attributes].some((a) => a.name.startsWith('on'))).length"), 0)
        self.assertIn("<script>window.attacked = 'script'</script>", self.answer())
        self.assertEqual(self.script("return performance.getEntriesByType('resource')"
                                     ".filter((entry) => !entry.name.startsWith(location.origin)).length"), 0)

    def test_a_question_is_text(self):
        self.ask("<img src=x onerror=\"window.attacked='question'\">")
        self.assertEqual(self.all(".message img"), [])
        self.assertEqual(self.texts("#conversations a"), self.questions())

    def test_the_policy_holds(self):
        self.script("const s = document.createElement('script'); s.textContent = 'window.attacked = 1'; document.body.append(s)")
        messages = [entry["message"] for entry in self.browser.get_log("browser")]
        self.assertTrue(any("Content Security Policy" in message for message in messages), messages)


class AppearanceTest(PageTest):
    def ground(self):
        return self.script("return getComputedStyle(document.body).backgroundColor")

    def contrast_problems(self):
        """Visible texts whose contrast with what is behind them is below WCAG's 4.5 (3 when large)."""
        return self.script("""
            const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
            const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
              return [...canvas.getImageData(0, 0, 1, 1).data]; };
            const light = (color) => { const [r, g, b] = rgba(color).map((v) => v / 255)
              .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
            const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
              if (rgba(c)[3] === 255) return c; } return 'white'; };
            const found = [];
            for (const e of document.querySelectorAll('body *')) {
              if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
              if (e.disabled || e.closest('.katex-mathml') || !e.getBoundingClientRect().width) continue;
              const style = getComputedStyle(e);
              const [a, b] = [light(style.color), light(behind(e))].sort((x, y) => y - x);
              const ratio = (a + 0.05) / (b + 0.05);
              if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
            }
            return found;""")

    def ask_for_all(self):
        self.ask("Explain the heat equation, with a table and code.")
        self.wait(lambda: self.all("code .hljs-keyword") and self.all(".formula.display .katex-html"))

    def test_dark_and_light(self):
        self.assertEqual(self.ground(), "rgb(255, 255, 255)")
        self.ask_for_all()
        self.assertEqual(self.contrast_problems(), [])
        self.screenshot("chat-page-light.png")
        self.click("Dark or light")
        self.assertEqual(self.ground(), "rgb(22, 24, 28)")
        self.find(".thoughts summary").click()
        self.wait(lambda: self.all(".thoughts .katex-html"))
        self.assertEqual(self.contrast_problems(), [])
        self.screenshot("chat-page-dark.png")
        self.find("#settings").click()
        self.assertEqual(self.contrast_problems(), [])
        self.reload()
        self.assertEqual(self.ground(), "rgb(22, 24, 28)")

    def test_the_systems_theme_holds_without_a_choice(self):
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.assertEqual(self.ground(), "rgb(22, 24, 28)")
        self.click("Dark or light")
        self.assertEqual(self.ground(), "rgb(255, 255, 255)")

    def test_a_phones_width(self):
        self.command("Emulation.setDeviceMetricsOverride", width=390, height=780, deviceScaleFactor=1, mobile=True)
        self.reload()
        self.assertFalse(self.find("#sidebar").is_displayed())
        self.ask_for_all()
        self.assert_no_sideways_scrolling(390)
        self.screenshot("chat-page-phone.png")
        self.click("Conversations")
        self.wait(lambda: self.find("#search").is_displayed())
        self.assert_no_sideways_scrolling(390)
        self.press(Keys.ESCAPE)
        self.wait(lambda: not self.find("#sidebar").is_displayed())
        self.click("Settings of this conversation")
        self.assert_no_sideways_scrolling(390)
        self.press(Keys.ESCAPE)
        self.command("Emulation.setDeviceMetricsOverride", width=320, height=600, deviceScaleFactor=1, mobile=True)
        self.assert_no_sideways_scrolling(320)

    def assert_no_sideways_scrolling(self, width):
        wide = self.script(
            "return [document.documentElement, document.getElementById('scroller'), ...document.querySelectorAll('dialog[open]')]"
            ".filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.id || e.tagName)")
        self.assertEqual(wide, [])
        self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), width)

    def test_the_keyboard_alone(self):
        self.assertEqual(self.focused(), "message")
        self.press("h")
        self.press("i")
        self.press(Keys.ENTER)
        self.wait(lambda: self.answer() == "You said: hi")
        self.wait_until_answered()
        self.press(Keys.ARROW_UP)
        self.wait(lambda: self.all(".edit textarea"))
        self.press("!")
        self.press(Keys.ENTER)
        self.wait(lambda: self.answer() == "You said: hi!")
        self.wait_until_answered()
        self.assertEqual(self.focused(), "message")
        self.press(Keys.CONTROL, "/")
        self.wait(lambda: self.find("#shortcuts-dialog").is_displayed())
        self.press(Keys.ESCAPE)
        self.wait(lambda: not self.find("#shortcuts-dialog").is_displayed())
        self.assertEqual(self.focused(), "message")
        # Backwards through the page: each stop is visible, and has a name and an outline.
        for _ in range(14):
            self.press(Keys.SHIFT, Keys.TAB)
            stop = self.script("""
                const e = document.activeElement;
                return {tag: e.tagName, name: e.ariaLabel || e.textContent.trim() || e.placeholder || e.title,
                        seen: e.checkVisibility(), outline: getComputedStyle(e).outlineStyle};""")
            if stop["tag"] != "BODY":
                self.assertTrue(stop["seen"] and stop["name"] and stop["outline"] != "none", stop)

    def test_each_control_has_a_name(self):
        self.ask("rich")
        nameless = self.script("""
            return [...document.querySelectorAll('button, input, select, textarea, summary, [tabindex="0"]')]
              .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)""")
        self.assertEqual(nameless, [])
        tree = self.command("Accessibility.getFullAXTree")["nodes"]
        roles = {node["role"]["value"] for node in tree if "role" in node}
        self.assertLessEqual({"banner", "main", "navigation", "log", "status", "form"}, roles)

    def test_skip_link(self):
        self.script("document.getElementById('skip').focus()")
        self.press(Keys.ENTER)
        self.assertEqual(self.focused(), "message")


class RealServerTest(unittest.TestCase):
    def test_the_model_answers(self):
        if not OPTIONS.url:
            self.skipTest("needs --url")
        browser = start_browser("/tmp")
        self.addCleanup(browser.quit)
        browser.get(OPTIONS.url)
        script = browser.execute_script
        self.wait(lambda: script("return document.getElementById('model')?.options.length > 0"))
        browser.find_element(By.ID, "message").send_keys("Say one word.", Keys.ENTER)
        self.wait(lambda: script("return document.querySelector('.assistant')?.ariaBusy === 'false'"))
        self.assertEqual(script("return document.querySelector('.assistant .error').textContent"), "")
        self.assertRegex(script("return document.querySelector('.assistant .stats').textContent"), r"^[\d.]+ tokens/s · \d|^1 tokens")

    def wait(self, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, "the server took too long")
            time.sleep(0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--url", default="")
    parser.add_argument("--screenshots", default="")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
