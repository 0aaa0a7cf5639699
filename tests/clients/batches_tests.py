"""/v1/files and /v1/batches with the official openai client; a server that dies in the middle."""

import io
import json
import tempfile

import openai
from client_case import QUESTION, ClientTest, KeyedTest, key_line, openai_client
from server import MODEL, Server, wait_for

ENDED = ("completed", "failed", "expired", "cancelled")


def chat_line(number, **fields):
    body = {"model": MODEL, "messages": QUESTION, "temperature": 1, "seed": number,
            "max_completion_tokens": 6}
    return {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions",
            "body": body | fields}


def upload(client, lines, name="lines.jsonl"):
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return client.files.create(file=(name, io.BytesIO(data)), purpose="batch")


def start(client, lines, endpoint="/v1/chat/completions", **fields):
    return client.batches.create(input_file_id=upload(client, lines).id, endpoint=endpoint,
                                 completion_window="24h", **fields)


def finished(client, batch):
    return wait_for(lambda: (now := client.batches.retrieve(batch.id)).status in ENDED and now,
                    "the batch has ended")


def lines_of(client, file_id):
    if not file_id:
        return []
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def num_done(server, batch):
    with openai_client(server) as client:
        return client.batches.retrieve(batch.id).request_counts.completed


class BatchesTest(ClientTest):
    def test_files(self):
        made = upload(self.openai, [chat_line(1)], "über.jsonl")
        self.assertEqual((made.object, made.purpose, made.filename),
                         ("file", "batch", "über.jsonl"))
        self.assertEqual(self.openai.files.retrieve(made.id), made)
        self.assertIn(made.id, [one.id for one in self.openai.files.list(purpose="batch")])
        text = self.openai.files.content(made.id).text
        self.assertEqual((json.loads(text), len(text)), (chat_line(1), made.bytes))
        self.assertTrue(self.openai.files.delete(made.id).deleted)
        for call in (self.openai.files.retrieve, self.openai.files.content,
                     self.openai.files.delete):
            with self.assertRaises(openai.NotFoundError):
                call(made.id)

    def test_many_files_are_listed_in_pages(self):
        made = [upload(self.openai, [chat_line(number)]).id for number in range(5)]
        listed = [one.id for one in self.openai.files.list(limit=2, order="asc")]
        self.assertEqual([one for one in listed if one in made], made)
        for one in made:
            self.openai.files.delete(one)

    def test_a_batch_answers_as_the_endpoint_does(self):
        lines = [chat_line(number) for number in range(6)]
        lines.append(chat_line(6, temperature=9))
        lines.append(chat_line(7, model="none"))
        batch = start(self.openai, lines, metadata={"a": "b"})
        self.assertEqual((batch.object, batch.metadata), ("batch", {"a": "b"}))
        done = finished(self.openai, batch)
        self.assertEqual(done.status, "completed")
        counts = done.request_counts
        self.assertEqual((counts.total, counts.completed, counts.failed), (8, 6, 2))
        answers = {one["custom_id"]: one for one in lines_of(self.openai, done.output_file_id)}
        self.assertEqual(set(answers), {f"line-{number}" for number in range(6)})
        for number in (0, 5):
            direct = self.openai.chat.completions.create(**chat_line(number)["body"])
            response = answers[f"line-{number}"]["response"]
            self.assertEqual(response["status_code"], 200)
            self.assertEqual(response["body"]["choices"][0]["message"]["content"],
                             direct.choices[0].message.content)
        errors = {one["custom_id"]: one["response"] for one in
                  lines_of(self.openai, done.error_file_id)}
        self.assertEqual({name: one["status_code"] for name, one in errors.items()},
                         {"line-6": 400, "line-7": 404})
        self.assertEqual(errors["line-6"]["body"]["error"]["param"], "temperature")

    def test_the_other_endpoints(self):
        for url, body in [("/v1/completions", {"prompt": "One, two,", "max_tokens": 2}),
                          ("/v1/embeddings", {"input": "a moth"}),
                          ("/v1/responses", {"input": "Say hello.", "max_output_tokens": 3})]:
            line = {"custom_id": "1", "method": "POST", "url": url, "body": {"model": MODEL} | body}
            done = finished(self.openai, start(self.openai, [line], url))
            [answer] = lines_of(self.openai, done.output_file_id)
            self.assertEqual((answer["custom_id"], answer["response"]["status_code"]), ("1", 200))

    def test_lines_that_are_wrong(self):
        twice = [chat_line(1), chat_line(1)]
        elsewhere = [chat_line(1), chat_line(2) | {"url": "/v1/embeddings"}]
        for lines in (twice, elsewhere, [{"custom_id": "1"}], []):
            with self.subTest(lines):
                done = finished(self.openai, start(self.openai, lines))
                self.assertEqual(done.status, "failed")
                self.assertTrue(done.errors.data[0].message)
        with self.assertRaises(openai.BadRequestError):
            self.openai.batches.create(input_file_id="file-none", endpoint="/v1/completions",
                                       completion_window="24h")
        with self.assertRaises(openai.NotFoundError):
            self.openai.batches.retrieve("batch_none")

    def test_one_that_is_cancelled_keeps_what_it_has(self):
        batch = start(self.openai, [chat_line(number, max_completion_tokens=200)
                                    for number in range(300)])
        wait_for(lambda: self.openai.batches.retrieve(batch.id).request_counts.completed > 0,
                 "a line is done")
        self.assertIn(self.openai.batches.cancel(batch.id).status, ("cancelling", "cancelled"))
        done = finished(self.openai, batch)
        self.assertEqual(done.status, "cancelled")
        self.assertIn(done.id, [one.id for one in self.openai.batches.list(limit=5)])
        counts = done.request_counts
        self.assertLess(counts.completed, 300)
        self.assertEqual(len(lines_of(self.openai, done.output_file_id)), counts.completed)


class RestartTest(ClientTest):
    def test_each_line_is_answered_once_whatever_happens_to_the_server(self):
        lines = [chat_line(number) for number in range(60)]
        with tempfile.TemporaryDirectory(prefix="hachi-restart-") as folder:
            options = ("--kv-cache", "256MB", "--max-batch", 4, "--data", f"{folder}/data")
            server = Server(*options, folder=folder)
            batch = start(openai_client(server), lines)
            for part in (8, 20, 32):
                wait_for(lambda: num_done(server, batch) >= part, "a part is done")
                server.kill()
                server = Server(*options, folder=folder)
            client = openai_client(server)
            end = finished(client, batch)
            answers = lines_of(client, end.output_file_id)
            self.assertEqual(server.stop()[0], 0)
        self.assertEqual((end.status, end.request_counts.completed), ("completed", 60))
        self.assertFalse(end.error_file_id)
        self.assertEqual(sorted(one["custom_id"] for one in answers),
                         sorted(line["custom_id"] for line in lines))
        texts = {one["custom_id"]: one["response"]["body"]["choices"][0]["message"]["content"]
                 for one in answers}
        for number in (0, 25, 59):
            direct = self.openai.chat.completions.create(**lines[number]["body"])
            self.assertEqual(texts[f"line-{number}"], direct.choices[0].message.content)


class OwnersTest(KeyedTest):
    @classmethod
    def key_lines(cls):
        return key_line("one", "one") + key_line("other", "other")

    def test_each_sees_its_own(self):
        one, other = (openai_client(self.server, key) for key in ("one", "other"))
        batch = start(one, [chat_line(1)])
        done = finished(one, batch)
        self.assertEqual(list(other.files.list()), [])
        self.assertEqual(list(other.batches.list()), [])
        for call, name in [(other.batches.retrieve, batch.id), (other.batches.cancel, batch.id),
                           (other.files.content, done.output_file_id),
                           (other.files.delete, done.input_file_id)]:
            with self.assertRaises(openai.NotFoundError):
                call(name)
