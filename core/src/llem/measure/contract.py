"""Checks that an engine kept its contract. What it broke would be a wrong figure, so the experiment fails and names it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

from llem.errors import PluginError
from llem.specs.backend import LoadReport, Request, RequestRecord
from llem.specs.caveat import Caveat
from llem.specs.scenario import Answer

_MOST = 2**63
"""Nanoseconds and counts are below it; beyond it they fit into no table."""

_LARGEST_VOCABULARY = 2**32
"""Of a model whose vocabulary is not known."""

_SPECIAL_TOKENS = 8_192
"""At most so many of a prompt stand for no letter of its text: a chat template may bring a long system prompt."""

_PER_BYTE = 4
"""A token stands for a byte of text or more, unless a tokenizer's normalization makes text longer; it never does by more."""


class ContractError(PluginError):
    """A backend answered in a way that its contract forbids."""

    def __init__(self, backend: str, what: str) -> None:
        super().__init__(
            f"the backend `{backend}` breaks its contract: {what}.",
            remedy="No figure of it can be trusted; report it to whoever maintains the backend.",
        )


def check_report(backend: str, report: object) -> LoadReport:
    """The report that `load` returned, if it is a LoadReport with devices and a vocabulary."""
    if not isinstance(report, LoadReport):
        raise ContractError(backend, f"load returned {type(report).__name__}, not LoadReport")
    if not report.devices and report.elsewhere is None:
        raise ContractError(backend, "load named no device")
    if report.devices and report.elsewhere is not None:
        raise ContractError(backend, f"load named devices of this machine for work that is done on {report.elsewhere}")
    if not all(_is_count(pid) and pid > 1 for pid in report.processes):
        raise ContractError(backend, f"load named {report.processes} for processes")
    for what, number in (
        ("a vocabulary of {} tokens", report.vocab_size),
        ("{} parameters", report.parameters),
        ("{} active parameters", report.active_parameters),
    ):
        if number is not None and (not _is_count(number) or number < 1):
            raise ContractError(backend, f"load named {what.format(number)}")
    return report


def check_caveats(backend: str, caveats: object) -> Sequence[Caveat]:
    """Caveats as `caveats` returned them, if each is a word and a paragraph, and no word comes twice."""
    if not isinstance(caveats, Sequence) or not all(isinstance(one, Caveat) for one in caveats):
        raise ContractError(backend, "caveats returned something else than a sequence of Caveat")
    for one in caveats:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", one.code):
            raise ContractError(backend, f"caveats gave the code {one.code!r}: lower case, digits and underscores")
        if not one.message.strip():
            raise ContractError(backend, f"caveats gave {one.code} without a message")
    if len({one.code for one in caveats}) < len(caveats):
        raise ContractError(backend, "caveats gave one code twice")
    return caveats


def check_batches(backend: str, requests: Sequence[Request], batches: Sequence[Sequence[Request]]) -> None:
    """Each request is in one batch, once, and no batch is empty."""
    if not all(len(batch) for batch in batches):
        raise ContractError(backend, "batches returned an empty batch")
    counts = Counter(request.id for batch in batches for request in batch)
    _same_ids(backend, "batches", [request.id for request in requests], counts)


def check_shape(backend: str, answer: Answer) -> None:
    """Check that an answer is a sequence of records. Cheap enough for the measured window."""
    called = _called(answer)
    if not isinstance(answer.records, Sequence):
        raise ContractError(backend, f"{called} returned {type(answer.records).__name__}, not a sequence of records")
    for record in answer.records:
        if not isinstance(record, RequestRecord):
            raise ContractError(backend, f"{called} gave {type(record).__name__}, not RequestRecord")


def check_answer(backend: str, answer: Answer, vocab_size: int | None = None) -> None:
    """Every request was answered once, with counts and times that can be true.

    Args:
        backend: its name, for messages.
        answer: one batch.
        vocab_size: as `load` named it; every token id is below it.
    """
    check_shape(backend, answer)
    called = _called(answer)
    for record in answer.records:
        for name in ("id", "input_tokens", "output_tokens", "start_ns", "end_ns"):
            if not _is_count(value := getattr(record, name)):
                raise ContractError(backend, f"{called} gave a record whose {name} is {value!r}, no whole number")
    counts = Counter(record.id for record in answer.records)
    _same_ids(backend, called, [request.id for request in answer.requests], counts)
    by_id = {request.id: request for request in answer.requests}
    for record in answer.records:
        for problem in _problems(by_id[record.id], record, answer, vocab_size):
            raise ContractError(backend, f"request {record.id} of {called}: {problem}")


def _called(answer: Answer) -> str:
    return "generate" if answer.stream_ns is None else "stream"


def _same_ids(backend: str, called: str, asked: Iterable[int], counts: Counter[int]) -> None:
    for request_id in asked:
        times = counts.pop(request_id, 0)
        if times != 1:
            found = "is missing from" if times == 0 else f"is {times} times in"
            raise ContractError(backend, f"request {request_id} {found} what {called} returned")
    if counts:
        raise ContractError(backend, f"{called} returned request {min(counts)}, which was not asked")


def _is_count(value: object) -> bool:
    """A whole number that tokens and nanoseconds can be; true, 1.0 and 2**70 are none."""
    return type(value) is int and -_MOST < value < _MOST


def _problems(request: Request, record: RequestRecord, answer: Answer, vocab_size: int | None) -> Iterable[str]:
    yield from _count_problems(request, record)
    yield from _id_problems(record, vocab_size)
    yield from _time_problems(record, answer)
    if answer.stream_ns is not None:
        pieces = record.output_tokens if record.piece_ns is None else len(record.piece_ns)
        if len(answer.stream_ns) != pieces:
            unit = "output tokens" if record.piece_ns is None else "pieces"
            yield f"{len(answer.stream_ns)} events for {pieces} {unit}"
        if answer.record_at != len(answer.stream_ns):
            yield "the record came before the last event"


def _count_problems(request: Request, record: RequestRecord) -> Iterable[str]:
    inputs, outputs = record.input_tokens, record.output_tokens
    if inputs < 1:
        yield f"{inputs} input tokens"
    if request.prompt_token_ids is not None:
        given = min(len(request.prompt_token_ids), request.max_input_tokens or len(request.prompt_token_ids))
        if inputs != given:
            yield f"{inputs} input tokens for a prompt of {given} token ids"
    # A chat template adds tokens of its own around a prompt that was cut.
    elif request.max_input_tokens is not None and not request.chat_template and inputs > request.max_input_tokens:
        yield f"{inputs} input tokens where the prompt is cut to {request.max_input_tokens}"
    yield from _length_problems(request, inputs)
    if not 1 <= outputs <= request.output_tokens:
        yield f"{outputs} output tokens where at most {request.output_tokens} were asked"
    if request.ignore_eos and outputs != request.output_tokens:
        yield f"{outputs} output tokens where exactly {request.output_tokens} were asked"
    if record.finish not in ("length", "stop"):
        yield f"finish {record.finish!r} is neither length nor stop"
    if record.output_token_ids is not None and len(record.output_token_ids) != outputs:
        yield f"{len(record.output_token_ids)} output token ids for {outputs} output tokens"
    if record.token_ns is not None and len(record.token_ns) != outputs:
        yield f"{len(record.token_ns)} token times for {outputs} output tokens"
    if record.piece_ns is not None and record.token_ns is not None:
        yield "times of tokens and of pieces, where pieces are for who cannot tell tokens"
    if record.piece_ns is not None and not 1 <= len(record.piece_ns) <= outputs:
        yield f"{len(record.piece_ns)} pieces for {outputs} output tokens"


def _id_problems(record: RequestRecord, vocab_size: int | None) -> Iterable[str]:
    limit = _LARGEST_VOCABULARY if vocab_size is None else vocab_size
    ids: Sequence[Any] = record.output_token_ids or ()
    for token in ids:
        if isinstance(token, bool) or not isinstance(token, Integral):
            yield f"token id {token!r} is no whole number"
        elif not 0 <= int(token) < limit:
            known = f"the vocabulary of {limit} that load named" if vocab_size is not None else "any vocabulary"
            yield f"token id {token} is outside of {known}"


def _length_problems(request: Request, inputs: int) -> Iterable[str]:
    """Bound on a text without its tokenizer: no tokenizer makes more of it than a few tokens a byte."""
    size = len(request.prompt.encode()) if request.prompt is not None else None
    if size is not None and inputs > _PER_BYTE * size + _SPECIAL_TOKENS:
        yield f"{inputs} input tokens for a prompt of {size} bytes"


def _time_problems(record: RequestRecord, answer: Answer) -> Iterable[str]:
    series = (record.token_ns, record.piece_ns, answer.stream_ns)
    strange = next((t for times in series for t in times or () if not _is_count(t)), None)
    if strange is not None:
        yield f"a token time of {strange!r}, which is no whole number of nanoseconds"
        return
    if not answer.released_ns <= record.start_ns <= record.end_ns <= answer.returned_ns:
        yield "start_ns and end_ns are not in order between the release and now"
    for times in series:
        if times and any(later < earlier for earlier, later in pairwise(times)):
            yield "token times run backwards"
        if times and not record.start_ns <= times[0] <= times[-1] <= answer.returned_ns:
            yield "token times lie outside the request's own"
    for times in (record.token_ns, record.piece_ns):
        if times and times[-1] > record.end_ns:
            yield "a token came after end_ns"
