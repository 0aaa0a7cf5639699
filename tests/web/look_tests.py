"""Dark and light, a phone's width, the keyboard, names for screen readers."""

import pathlib

from page_driver import PageTest
from selenium.webdriver.common.keys import Keys

CONTRAST = (pathlib.Path(__file__).parent / "contrast.js").read_text()


class AppearanceTest(PageTest):
    def ground(self):
        return self.script("return getComputedStyle(document.body).backgroundColor")

    def contrast_problems(self):
        """Visible texts whose contrast with what is behind them is below WCAG's."""
        return self.script(CONTRAST)

    def ask_for_all(self):
        self.ask("Explain the heat equation, with a table and code.")
        self.wait(
            lambda: self.all("code .hljs-keyword") and self.all(".formula.display .katex-html")
        )

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

    def test_calls_in_both_themes_and_on_a_phone(self):
        self.ask("both")
        field = self.find(".call textarea")
        field.send_keys("rain")
        self.click("Send result", ".call:first-child")
        self.wait(lambda: self.texts(".call .state")[0] == "has its result")
        self.assertEqual(self.contrast_problems(), [])
        self.click("Dark or light")
        self.assertEqual(self.contrast_problems(), [])
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=320,
            height=600,
            deviceScaleFactor=1,
            mobile=True,
        )
        self.assert_no_sideways_scrolling(320)

    def test_the_systems_theme_holds_without_a_choice(self):
        self.command(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark"}],
        )
        self.assertEqual(self.ground(), "rgb(22, 24, 28)")
        self.click("Dark or light")
        self.assertEqual(self.ground(), "rgb(255, 255, 255)")

    def test_a_phones_width(self):
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=390,
            height=780,
            deviceScaleFactor=1,
            mobile=True,
        )
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
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=320,
            height=600,
            deviceScaleFactor=1,
            mobile=True,
        )
        self.assert_no_sideways_scrolling(320)

    def assert_no_sideways_scrolling(self, width):
        wide = self.script(
            "return [...document.querySelectorAll('html, #scroller, dialog[open]')]"
            ".filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.id || e.tagName)"
        )
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
                return {tag: e.tagName, name: e.ariaLabel || e.textContent.trim() || e.title,
                        seen: e.checkVisibility(), outline: getComputedStyle(e).outlineStyle};""")
            if stop["tag"] != "BODY":
                self.assertTrue(stop["seen"] and stop["name"] and stop["outline"] != "none", stop)

    def test_each_control_has_a_name(self):
        self.ask("both")
        self.ask("rich")
        nameless = self.script("""
            const selector = 'button, input, select, textarea, summary, [tabindex="0"]';
            return [...document.querySelectorAll(selector)]
              .filter((e) => !e.closest('details[hidden]'))
              .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
              .map((e) => e.outerHTML)""")
        self.assertEqual(nameless, [])
        tree = self.command("Accessibility.getFullAXTree")["nodes"]
        roles = {node["role"]["value"] for node in tree if "role" in node}
        self.assertLessEqual({"banner", "main", "navigation", "log", "status", "form"}, roles)

    def test_skip_link(self):
        self.script("document.getElementById('skip').focus()")
        self.press(Keys.ENTER)
        self.assertEqual(self.focused(), "message")
