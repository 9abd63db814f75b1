"""Mutations of what strangers wrote: `python -m bench.fuzzing`. No traceback, no hang over 5 s, no write outside of the study.

Streams of servers, study files, files of prompts and results folders, each through the readers that llem uses, in a process
of its own that is watched: one that dies or hangs counts, and the next mutant goes on. Each mutant has a number, and the same
number is the same mutant again: `python -m bench.fuzzing --target folders --seed 17`.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

from bench.fuzz import datasets, folders, streams, studies
from bench.fuzz.mutations import mutant
from bench.report import Figure, arguments, machine, publish

COUNTS = {"streams": 6_000, "studies": 5_000, "datasets": 5_000, "folders": 4_000}
QUICK = {"streams": 150, "studies": 60, "datasets": 150, "folders": 60}
HANG_S = 5.0
LOST_S = 30.0
"""Nothing is heard of a mutant for so long: its process is ended."""

Outcome = tuple[int, str, str]


def one(target: str, seed: int) -> str:
    """Make the mutant of a number and use it; returns what became of it, or raises what a user would have seen."""
    if target == "folders":
        found = folders.recordings()
        name = list(found)[seed % len(found)]
        return folders.read(name, folders.mutate(name, found[name], seed, list(found.values())), seed)
    module = {"streams": streams, "studies": studies, "datasets": datasets}[target]
    found = module.recordings()
    name = list(found)[seed % len(found)]
    read: Callable[[bytes, int], str] = module.read
    few = 1 + seed // len(found) % 4
    return read(mutant(found[name], seed, list(found.values()), most_steps=few).data, seed)


def _work(target: str, seeds: range, pipe: Connection) -> None:
    logging.disable()
    for seed in seeds:
        began = time.process_time(), time.monotonic()
        try:
            kind, text = one(target, seed), ""
        except folders.EscapeError as error:
            kind, text = "escapes", str(error)
        except BaseException:  # noqa: BLE001 - whatever it is, a user would have seen it
            kind, text = "tracebacks", traceback.format_exc()
        # On a busy machine the clock goes on while the process waits for its turn: what waits itself takes no time of its own.
        used, waited = time.process_time() - began[0], time.monotonic() - began[1]
        if used > HANG_S or (waited > HANG_S and used < waited / 100):
            kind, text = "hangs", f"{used:.1f} s of work in {waited:.1f} s"
        pipe.send((seed, kind, text))


def outcomes(target: str, count: int) -> Iterator[Outcome]:
    """Each mutant's number with what became of it."""
    following = 0
    if target == "folders":
        folders.recordings()  # made once, for every process that is forked from this one
    context = multiprocessing.get_context("fork")
    while following < count:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(target, range(following, count), theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            while ours.poll(LOST_S):
                outcome: Outcome = ours.recv()
                following = outcome[0] + 1
                yield outcome
            process.kill()
            yield following, "hangs", f"nothing was heard of it for {LOST_S:g} s"
            following += 1
        except EOFError:
            process.join()
            if following < count:
                yield following, "tracebacks", f"its process died ({process.exitcode})"
                following += 1
        finally:
            process.kill()
            process.join()


def main() -> int:
    """Run all mutants, print the failures and the table, publish the counts."""
    parser = arguments(__doc__)
    parser.add_argument("--target", choices=COUNTS, help="only this one")
    parser.add_argument("--seed", type=int, help="only this mutant, with its traceback")
    options = parser.parse_args()
    try:
        return _run(options)
    finally:
        folders.clear()


def _run(options: argparse.Namespace) -> int:
    if options.seed is not None:
        print(one(options.target, options.seed))
        return 0
    where, counts = machine(), QUICK if options.quick else COUNTS
    wanted = {options.target: counts[options.target]} if options.target else counts
    os.environ.pop("LLEM_DEBUG", None)
    bad: Counter[str] = Counter()
    total = 0
    for target, count in wanted.items():
        told: Counter[str] = Counter()
        for seed, kind, text in outcomes(target, count):
            told[kind] += 1
            if kind in ("tracebacks", "hangs", "escapes"):
                bad[kind] += 1
                print(f"{target} {seed}: {kind}: {text[-1500:]}", flush=True)
        total += count
        print(f"{target:<10}{count:>8,}  " + ", ".join(f"{k} {n:,}" for k, n in sorted(told.items())), flush=True)
    figures = {kind: Figure(bad[kind], "mutants", total, None) for kind in ("tracebacks", "hangs", "escapes")}
    publish("fuzzing", where, figures, options.json)
    return 1 if sum(bad.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
