"""One engine of bench/peers.py: llama-cpp-python or ik-llama-cpp-python, through the C interface.

    peer_worker.py llama.cpp|ik|ik-repack MODEL.gguf --threads N --context N

Answers each line of JSON on standard input with one on standard output:

    {"do": "prefill", "tokens": 512, "seed": 3}          -> {"seconds": 1.2}
    {"do": "decode", "tokens": 32, "depth": 4096}        -> {"seconds": 0.4}

A prefill begins with an empty cache and ends with the logits of the last token. A decode is timed
from the first to the last of `tokens` single steps, after `depth` tokens and one more that stand in
the cache; what the cache has of them from the last decode stays there.
"""

import argparse
import ctypes
import json
import os
import sys
import time

CHUNK = 512  # n_batch and n_ubatch, as in llama-bench


def token_id(i, seed, vocab):
    return (i * 7919 + seed * 104729 + 13) % vocab


class LlamaCpp:
    """llama_cpp of llama-cpp-python."""

    def __init__(self, path, threads, context):
        import llama_cpp as api

        self.api = api
        self.quiet = api.llama_log_callback(lambda *_: None)
        api.llama_log_set(self.quiet, ctypes.c_void_p(0))
        api.llama_backend_init()
        self.model = api.llama_model_load_from_file(path.encode(), api.llama_model_default_params())
        params = api.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = CHUNK
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self.ctx = api.llama_init_from_model(self.model, params)
        self.memory = api.llama_get_memory(self.ctx)
        self.vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.info = api.llama_print_system_info().decode()

    def truncate(self, tokens):
        self.api.llama_memory_seq_rm(self.memory, 0, tokens, -1)

    def synchronize(self):
        self.api.llama_synchronize(self.ctx)

    def logits(self, row):
        return self.api.llama_get_logits_ith(self.ctx, row)[0]


class IkLlamaCpp:
    """ik_llama_cpp of ik-llama-cpp-python, which binds fewer functions than its library has."""

    def __init__(self, path, threads, context, repack):
        from ik_llama_cpp import _ctypes_api as api

        self.api = api
        self.lib = api._lib
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
            lambda *_: None)
        self.lib.llama_log_set(self.quiet, None)
        api.llama_backend_init()
        params = api.llama_model_default_params()
        params.repack_tensors = repack
        self.model = api.llama_model_load_from_file(path.encode(), params)
        params = api.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = CHUNK
        params.n_threads = params.n_threads_batch = threads
        self.ctx = api.llama_init_from_model(self.model, params)
        self.vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.lib.llama_kv_cache_seq_rm.argtypes = [
            ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]
        self.lib.llama_synchronize.argtypes = [ctypes.c_void_p]
        self.lib.llama_print_system_info.restype = ctypes.c_char_p
        self.info = self.lib.llama_print_system_info().decode()

    def truncate(self, tokens):
        self.lib.llama_kv_cache_seq_rm(self.ctx, 0, tokens, -1)

    def synchronize(self):
        self.lib.llama_synchronize(self.ctx)

    def logits(self, row):
        return self.api.llama_get_logits_ith(self.ctx, row)[0]


class Worker:
    def __init__(self, engine):
        self.engine = engine
        self.batches = []
        self.held = 0  # tokens of seed 0 in the cache; -1: others

    def fill(self, begin, end, seed):
        """The tokens [begin, end) of the sequence `seed` as batches; logits of the last."""
        borders = list(range(begin, end, CHUNK))
        while len(self.batches) < len(borders):
            self.batches.append(self.engine.api.llama_batch_init(CHUNK, 0, 1))
        filled = self.batches[:len(borders)]
        for at, batch in zip(borders, filled):
            batch.n_tokens = min(CHUNK, end - at)
            for i in range(batch.n_tokens):
                batch.token[i] = token_id(at + i, seed, self.engine.vocab)
                batch.pos[i] = at + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = at + i + 1 == end
        return filled

    def run(self, batches):
        for batch in batches:
            status = self.engine.api.llama_decode(self.engine.ctx, batch)
            if status != 0:
                raise RuntimeError(f"llama_decode failed with {status}")
        self.engine.synchronize()
        self.engine.logits(batches[-1].n_tokens - 1)

    def prefill(self, tokens, seed):
        self.held = -1
        self.engine.truncate(0)
        batches = self.fill(0, tokens, seed)
        start = time.perf_counter()
        self.run(batches)
        return time.perf_counter() - start

    def decode(self, tokens, depth):
        before = depth + 1
        kept = min(self.held, before) if self.held > 0 else 0
        self.engine.truncate(kept)
        if kept < before:
            self.run(self.fill(kept, before, 0))
        self.held = before
        start = time.perf_counter()
        for i in range(before, before + tokens):
            self.run(self.fill(i, i + 1, 0))
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=["llama.cpp", "ik", "ik-repack"])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--context", type=int, required=True)
    arguments = parser.parse_args()
    # The libraries print to standard output too; the answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    begin = time.perf_counter()
    if arguments.engine == "llama.cpp":
        engine = LlamaCpp(arguments.model, arguments.threads, arguments.context)
    else:
        engine = IkLlamaCpp(arguments.model, arguments.threads, arguments.context,
                            arguments.engine == "ik-repack")
    worker = Worker(engine)
    loaded = {"load_seconds": time.perf_counter() - begin, "info": engine.info}
    print(json.dumps(loaded), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prefill":
            seconds = worker.prefill(request["tokens"], request["seed"])
        else:
            seconds = worker.decode(request["tokens"], request["depth"])
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    main()
