"""What the browser keeps: conversations and settings."""

import json

from page_driver import PageTest
from selenium.webdriver.common.keys import Keys


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
        self.set(
            system="Be brief.",
            temperature="0.7",
            top_p="0.9",
            top_k="40",
            min_p="0.05",
            max_completion_tokens="100",
            seed="7",
            presence_penalty="0.1",
            frequency_penalty="-0.2",
            repetition_penalty="1.1",
            stop="END",
            thinking="off",
        )
        self.save()
        self.ask("one")
        body = self.server.requests[-1]
        self.assertEqual(body["messages"][0], {"role": "system", "content": "Be brief."})
        wanted = {
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 40,
            "min_p": 0.05,
            "max_completion_tokens": 100,
            "seed": 7,
            "presence_penalty": 0.1,
            "frequency_penalty": -0.2,
            "repetition_penalty": 1.1,
            "stop": ["END"],
            "chat_template_kwargs": {"enable_thinking": False},
        }
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
