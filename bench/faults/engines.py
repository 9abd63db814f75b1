"""Engines that answer in a way that cannot be, through the checks that the worker puts to every answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bench.faults.kinds import FAILED, Kind, Told
from llem.measure.contract import ContractError, check_answer, check_batches, check_report
from llem.measure.engine_facts import believable_memory, believable_metrics, input_caveats
from llem.measure.latency import latency, latency_caveats, timings
from llem.results.models import Latency
from llem.specs.backend import LoadReport, MemoryReading, Request, RequestRecord
from llem.specs.caveat import Caveat
from llem.specs.scenario import Answer

MS = 1_000_000
VOCABULARY = 1000
ASKED = [Request(id=i, output_tokens=4, prompt_token_ids=(5, 6, 7)) for i in range(4)]


def record(request: Request, released_ns: int, **changes: Any) -> RequestRecord:
    """An honest record: four tokens, 10 ms apart."""
    honest = RequestRecord(
        id=request.id,
        input_tokens=3,
        output_tokens=4,
        start_ns=released_ns + MS,
        end_ns=released_ns + 41 * MS,
        finish="length",
        token_ns=tuple(released_ns + 10 * MS * i for i in range(1, 5)),
        output_token_ids=(1, 2, 3, 4),
    )
    return replace(honest, **changes)


Change = Callable[[RequestRecord, int], RequestRecord]


def answers(
    change: Change, *, records: Callable[[list[RequestRecord]], list[RequestRecord]] = list, slack_ns: int = 0
) -> list[Answer]:
    """Four batches of two, 42 ms each and the slack, of which each record is changed; by record and the batch's release."""
    found = []
    for number in range(4):
        released_ns = number * 100 * MS
        batch = ASKED[number % 2 * 2 :][:2]
        given = records([change(record(request, released_ns), released_ns) for request in batch])
        found.append(
            Answer(1 + number // 2, 1 + number % 2, released_ns, released_ns + 42 * MS + slack_ns, batch, given)
        )
    return found


def told(found: Sequence[Answer]) -> Told:
    """The worker's verdict on these answers."""
    try:
        for answer in found:
            check_answer("engine", answer, VOCABULARY)
    except ContractError as error:
        return Told(said=[(FAILED, str(error))])
    rows = timings(found)
    caveats: list[Caveat] = [*latency_caveats(rows, found), *input_caveats(found)]
    figures: Latency = latency(rows, found)
    for name in ("ttft_s", "itl_s", "tpot_s", "e2e_s"):
        spread = getattr(figures, name)
        if spread is not None and spread.p50 <= 0:
            return Told(said=[("zero", f"{name} of {spread.p50} s")])
    return Told(said=[(caveat.code, caveat.message) for caveat in caveats])


def _refused(call: Callable[[], Any]) -> Told:
    try:
        _, caveats = result if isinstance(result := call(), tuple) else (None, [])
    except ContractError as error:
        return Told(said=[(FAILED, str(error))])
    return Told(said=[(caveat.code, caveat.message) for caveat in caveats])


def _kind(name: str, code: str, word: str, happen: Callable[[], Told]) -> Kind:
    return Kind(who="engine", name=name, code=code, word=word, happen=happen)


def _record(name: str, code: str, word: str, **changes: Any) -> Kind:
    return _kind(name, code, word, lambda: told(answers(lambda r, _: replace(r, **changes))))


def _times(name: str, code: str, word: str, change: Change) -> Kind:
    return _kind(name, code, word, lambda: told(answers(change)))


def _report(name: str, word: str, **changes: Any) -> Kind:
    honest = LoadReport(vocab_size=1000, devices=["cpu"], parameters=10, active_parameters=10, versions={})
    return _kind(name, FAILED, word, lambda: _refused(lambda: check_report("engine", replace(honest, **changes))))


ALL = [
    _times(
        "all tokens at one instant",
        "token_times_unseen",
        "one instant",
        lambda r, t: replace(r, token_ns=(t + 40 * MS,) * 4),
    ),
    _times(
        "tokens in pairs of one instant, three of four gaps 0",
        "token_times_grouped",
        "gaps between tokens are zero",
        lambda r, t: replace(r, token_ns=(t + 10 * MS, *(t + 40 * MS,) * 3)),
    ),
    _times(
        "a first token in the nanosecond of its release",
        "token_times_unseen",
        "in which it was asked for",
        lambda r, t: replace(r, start_ns=t, token_ns=(t, *(r.token_ns or ())[1:])),
    ),
    _times(
        "a record that ends when it starts",
        "request_times_contradict",
        "look at the clock",
        lambda r, t: replace(r, start_ns=t + MS, end_ns=t + MS, token_ns=(t + MS,) * 4),
    ),
    _times("a record that ends before it starts", FAILED, "not in order", lambda r, t: replace(r, end_ns=t)),
    _times(
        "tokens in 2 µs of a batch of 42 ms",
        "request_times_contradict",
        "by the load",
        lambda r, t: replace(r, start_ns=t, end_ns=t + 2000, token_ns=(t + 500, t + 1000, t + 1500, t + 2000)),
    ),
    _times(
        "times of another clock",
        FAILED,
        "between the release and now",
        lambda r, t: replace(r, start_ns=r.start_ns + 10**18, end_ns=r.end_ns + 10**18),
    ),
    _times(
        "times that run backwards",
        FAILED,
        "run backwards",
        lambda r, t: replace(r, token_ns=tuple(reversed(r.token_ns or ()))),
    ),
    _record("records with times in seconds", FAILED, "no whole number", start_ns=0.1),
    _record("more tokens than asked", FAILED, "at most 4", output_tokens=5, token_ns=None, output_token_ids=None),
    _record(
        "fewer tokens than fixed length asks",
        FAILED,
        "exactly 4",
        output_tokens=3,
        token_ns=None,
        output_token_ids=None,
    ),
    _record("no tokens", FAILED, "0 output tokens", output_tokens=0, token_ns=None, output_token_ids=None),
    _record("ids beyond the vocabulary", FAILED, "outside of the vocabulary", output_token_ids=(1, 2, 3, 1000)),
    _record("ids of 2^70", FAILED, "outside of the vocabulary", output_token_ids=(1, 2, 3, 2**70)),
    _record("negative ids", FAILED, "outside of the vocabulary", output_token_ids=(-1, 2, 3, 4)),
    _record("ids that are no whole numbers", FAILED, "no whole number", output_token_ids=(1.5, 2, 3, 4)),
    _record("input tokens off by one", FAILED, "4 input tokens", input_tokens=4),
    _record("counts that are NaN", FAILED, "nan", output_tokens=float("nan")),
    _record("an id for each token but one", FAILED, "3 output token ids", output_token_ids=(1, 2, 3)),
    _kind(
        "a batch that comes back with fewer records",
        FAILED,
        "is missing from",
        lambda: told(answers(lambda r, _: r, records=lambda found: found[:1])),
    ),
    _kind(
        "a request that is answered twice",
        FAILED,
        "is 2 times in",
        lambda: told(answers(lambda r, _: r, records=lambda found: [*found, found[0]])),
    ),
    _kind(
        "an answer that nobody asked for",
        FAILED,
        "was not asked",
        lambda: told(answers(lambda r, _: r, records=lambda found: [*found, replace(found[0], id=77)])),
    ),
    _kind(
        "input tokens that change from pass to pass",
        "input_tokens_vary",
        "differently from pass to pass",
        lambda: _varying(),
    ),
    _kind(
        "a request that no batch holds",
        FAILED,
        "is missing from",
        lambda: _refused(lambda: check_batches("engine", ASKED, [ASKED[:3]])),
    ),
    _report("a model of 0 parameters", "0 parameters", parameters=0),
    _report("a model on no device", "no device", devices=[]),
    _kind(
        "a peak of memory of 0",
        "memory_unseen",
        "0",
        lambda: _refused(lambda: believable_memory(MemoryReading(5.0, 0.0, "allocator"))),
    ),
    _kind(
        "a peak below what is held",
        "memory_unseen",
        "peak",
        lambda: _refused(lambda: believable_memory(MemoryReading(500.0, 5.0, "allocator"))),
    ),
    _kind(
        "a count that is NaN",
        "engine_metrics_dropped",
        "no finite number",
        lambda: _refused(lambda: believable_metrics({"preemptions": float("nan")})),
    ),
]


def _varying() -> Told:
    asked = [replace(request, prompt="a b c", prompt_token_ids=None) for request in ASKED]
    found = [
        replace(
            answer,
            requests=[asked[r.id] for r in answer.requests],
            records=[replace(r, input_tokens=2 + answer.pass_number) for r in answer.records],
        )
        for answer in answers(lambda r, _: r)
    ]
    return told(found)
