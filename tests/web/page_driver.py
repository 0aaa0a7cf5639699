"""What the tests of the page share: the browser, what a reader does, what the page shows."""

import pathlib
import re
import time
import unittest

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PATIENCE_S = 60  # for what should take milliseconds, on a busy machine


def start_browser(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ]:
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


class PageTest(unittest.TestCase):
    """A fresh page for each test; at its end nothing may have complained or run that should not."""

    options = None  # of the command line
    server = None
    browser = None
    downloads = None  # the folder

    def setUp(self):
        self.server.key = ""
        self.server.requests.clear()
        self.expected_failures = 0  # responses with an error status, which the browser logs
        self.command(
            "Storage.clearDataForOrigin", origin=self.server.url.rstrip("/"), storageTypes="all"
        )
        self.command("Emulation.clearDeviceMetricsOverride")
        self.command("Emulation.setEmulatedMedia", features=[])
        self.browser.set_window_size(1200, 940)
        self.browser.get("about:blank")
        self.browser.get_log("browser")
        self.open()

    def tearDown(self):
        messages = [
            entry
            for entry in self.browser.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING")
        ]
        failures = [entry for entry in messages if entry["source"] == "network"]
        self.assertEqual([entry["message"] for entry in messages if entry not in failures], [])
        self.assertLessEqual(len(failures), self.expected_failures, failures)
        self.assertIsNone(self.script("return window.attacked ?? null"))

    # What a reader does

    def open(self, fragment=""):
        self.browser.get(self.server.url + fragment)
        self.wait(
            lambda: self.script("return document.getElementById('model')?.options.length > 0")
        )

    def reload(self):
        self.browser.refresh()
        self.wait(
            lambda: self.script("return document.getElementById('model')?.options.length > 0")
        )

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
        self.wait(
            lambda: self.script(
                "const all = [...document.querySelectorAll('.message.assistant')];"
                "return all.length > 0 && all.at(-1).ariaBusy === 'false'"
            )
        )

    def click(self, text, within=""):
        """The last button with this text or label."""
        self.wait(lambda: self.buttons(text, within))
        self.script(
            "arguments[0].scrollIntoView({block: 'center'})", self.buttons(text, within)[-1]
        )
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
        return self.script(
            "return [...document.querySelectorAll(arguments[1])].filter((e) =>"
            "  e.checkVisibility() && [e.textContent, e.ariaLabel].includes(arguments[0]))",
            text,
            f"{within} button",
        )

    def texts(self, selector):
        return self.script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector
        )

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
        if self.options.screenshots:
            self.script(
                "document.getElementById('scroller').scrollTop = 0; document.activeElement.blur()"
            )
            path = pathlib.Path(self.options.screenshots) / name
            self.browser.save_screenshot(str(path))
            self.assertLess(path.stat().st_size, 150_000, f"{name} is too large for the repository")
