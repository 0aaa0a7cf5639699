"""What the tasks here count."""


def has_answer(doc, text):
    return doc["choices"][doc["answer"]].casefold() in text.casefold()


def process_ending(doc, results):
    return {"has_answer": float(has_answer(doc, results[0]))}
