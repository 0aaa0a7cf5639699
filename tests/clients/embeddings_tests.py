"""/v1/embeddings with the official openai client."""

import base64
import math
import struct

import openai
from client_case import ClientTest
from server import MODEL

WIDTH = 576  # of SmolLM2-135M


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


class EmbeddingsTest(ClientTest):
    def embed(self, text, **fields):
        return self.openai.embeddings.create(model=MODEL, input=text, **fields)

    def vectors(self, text, **fields):
        answer = self.embed(text, **fields)
        self.assertEqual([one.index for one in answer.data], list(range(len(answer.data))))
        return [one.embedding for one in answer.data]

    def test_both_encodings(self):
        answer = self.embed("a moth", encoding_format="float")
        self.assertEqual((answer.object, answer.model), ("list", MODEL))
        self.assertEqual(answer.usage.prompt_tokens, len(self.tokens("a moth")))
        [floats] = [one.embedding for one in answer.data]
        self.assertEqual(len(floats), WIDTH)
        self.assertAlmostEqual(dot(floats, floats), 1, places=5)
        text = self.server.post("/v1/embeddings", {"model": MODEL, "input": "a moth",
                                                   "encoding_format": "base64"})[1]
        raw = base64.b64decode(text["data"][0]["embedding"])
        # Nine digits, as JSON has them, are a float.
        numbers = list(struct.unpack(f"<{WIDTH}f", raw))
        self.assertEqual(numbers, [struct.unpack("<f", struct.pack("<f", x))[0] for x in floats])
        self.assertEqual(self.vectors("a moth"), [numbers])  # base64 is this client's own choice

    def test_input_in_all_forms(self):
        [moth], [lamp] = self.vectors("a moth"), self.vectors("the lamp")
        self.assertEqual(self.vectors(["a moth", "the lamp"]), [moth, lamp])
        ids = [self.tokens(text) for text in ("a moth", "the lamp")]
        self.assertEqual(self.vectors(ids), [moth, lamp])
        self.assertEqual(self.vectors(ids[0]), [moth])

    def test_dimensions(self):
        [whole] = self.vectors("a moth")
        [short] = self.vectors("a moth", dimensions=16)
        length = math.sqrt(dot(whole[:16], whole[:16]))
        for cut, one in zip(whole, short, strict=False):
            self.assertAlmostEqual(cut / length, one, places=5)
        self.assertEqual(len(short), 16)
        self.assertEqual(self.vectors("a moth", dimensions=WIDTH), [whole])

    def test_like_texts_are_near(self):
        cat, kitten, rates = self.vectors([
            "The cat sleeps on the warm sofa.", "A kitten is sleeping on the couch.",
            "The central bank raised its interest rates by half a point."])
        self.assertGreater(dot(cat, kitten), dot(cat, rates) + 0.02)
        self.assertGreater(dot(cat, kitten), dot(kitten, rates) + 0.02)

    def test_many_at_once_are_as_alone(self):
        texts = [f"{word} {number}" for word in ("moth", "lamp") for number in range(8)]
        alone = [self.vectors(text)[0] for text in texts[::5]]
        self.assertEqual(self.vectors(texts)[::5], alone)

    def test_what_is_refused(self):
        for param, text, fields in [
                ("input", "", {}), ("input", [], {}), ("input", ["a", ""], {}),
                ("dimensions", "a", {"dimensions": WIDTH + 1}),
                ("encoding_format", "a", {"encoding_format": "hex"}),
                ("temperature", "a", {"extra_body": {"temperature": 1}})]:
            with self.subTest(text, **fields):
                self.refused(openai.BadRequestError, param, self.embed, text, **fields)
