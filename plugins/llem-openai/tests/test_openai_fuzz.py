"""Mutants of all recordings: an answer that can be, or one paragraph; no traceback, no hang, no end of memory."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter

from bench.fuzz.mutations import mutant
from bench.fuzz.streams import read, recordings

MUTANTS = 600
HANG_S = 5.0


def test_no_mutant_of_a_stream_is_a_traceback_a_hang_or_an_impossible_record() -> None:
    found, told = recordings(), Counter[str]()
    names, others = list(found), list(found.values())
    for seed in range(MUTANTS):
        name = names[seed % len(names)]
        one = mutant(found[name], seed, others)
        began = time.process_time()
        try:
            told[read(one.data, seed)] += 1
        except Exception as error:
            raise AssertionError(f"mutant {seed} of {name} by {', '.join(one.steps)}: {error!r}") from error
        assert time.process_time() - began < HANG_S, f"mutant {seed} of {name} by {', '.join(one.steps)}"
    assert min(told["answered"], told["told"]) > MUTANTS / 10, "the mutants reach both"


def test_what_a_stream_takes_of_memory_has_a_bound() -> None:
    line = b"data: " + b"x" * (64 << 10)
    tracemalloc.start()
    try:
        assert read(line * 2_000, 3) == "told"
        assert read((line + b"\n") * 2_000, 3) == "told"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400 << 20, "the recording itself takes 131 MB of it, and a piece of it is read at a time"
