"""Answers until they are records, passes, and what qualifies figures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request, RequestRecord, TokenEvent
from llem.specs.caveat import Caveat
from llem_engines.answers import Step, UnderWay, check_context, events
from llem_engines.caveats import EngineCaveats, Untold
from llem_engines.names import EngineNames
from llem_engines.passes import Passes
from llem_engines.reasons import reason_of

NAMES = EngineNames("Mill", "mill", ("mill",), "mill.log", "flour cache", "mill.sack")
CAVEATS = EngineCaveats(NAMES, "mill.cache: false", ", again.", "taken back", "Take fewer.")
ASKED = Request(id=5, output_tokens=3, prompt="x")


def an_answer() -> UnderWay:
    one = UnderWay(NAMES, ASKED, input_tokens=4)
    one.take([7], 10, None, cached=2)
    one.take([8, 9], 20, "length", cached=4)
    return one


async def told(steps: list[Step | BaseException]) -> tuple[list[TokenEvent], BaseException | None]:
    """The tokens that a stream of these steps gives out, and the error that ends it."""
    left: Iterator[Step | BaseException] = iter(steps)

    async def step() -> Step:
        found = next(left)
        if isinstance(found, BaseException):
            raise found
        return found

    given: list[TokenEvent] = []
    try:
        async for event in events(step):
            given.append(event)  # noqa: PERF401 - those before a failure are looked at too
    except BaseException as error:  # noqa: BLE001 - it is what is looked at
        return given, error
    return given, None


def test_a_record_has_the_time_of_each_token_and_the_first_word_on_the_cache() -> None:
    record = an_answer().record(1)
    assert (record.token_ns, record.output_token_ids, record.end_ns) == ((10, 20, 20), (7, 8, 9), 20)
    assert (record.cached_tokens, record.finish) == (2, "length")
    assert not UnderWay(NAMES, ASKED, 4).is_over


def test_an_answer_that_was_broken_off_has_no_record() -> None:
    one = an_answer()
    one.finish = "abort"
    with pytest.raises(
        LlemError, match=r"Mill ended prompt 5 with `abort` after 3 tokens\. mill\.log has what Mill said"
    ):
        one.record(1)


def test_the_last_token_of_a_stream_comes_with_the_record() -> None:
    record = an_answer().record(1)
    tokens = [TokenEvent(token, 10) for token in (7, 8, 9)]
    given, error = asyncio.run(told([tokens[:1], tokens[1:], (), record]))
    assert error is None
    assert [(one.token_id, one.record) for one in given] == [(7, None), (8, None), (9, record)]


@pytest.mark.parametrize("failure", [LlemError("broken."), asyncio.CancelledError()], ids=["error", "cancelled"])
def test_tokens_before_a_failure_are_given_out(failure: BaseException) -> None:
    given, error = asyncio.run(told([[TokenEvent(7, 10), TokenEvent(8, 10)], failure]))
    assert [one.token_id for one in given] == [7, 8]
    assert error is failure


def test_a_stream_that_is_closed_holds_nothing_up() -> None:
    async def one_token() -> list[int]:
        async def step() -> Step:
            return [TokenEvent(7, 10), TokenEvent(8, 10)]

        stream = events(step)
        first = await anext(stream)
        await stream.aclose()
        return [first.token_id]

    assert asyncio.run(one_token()) == [7]


def test_what_does_not_fit_into_the_context_is_refused() -> None:
    check_context(NAMES, [ASKED], [[1, 2]], 5)
    with pytest.raises(
        LlemError, match=r"prompt 5 of 3 tokens and its answer of 3 .* Mill's context of 5.*raise mill\.sack"
    ):
        check_context(NAMES, [ASKED], [[1, 2, 3]], 5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n  no stones.\nmore", "no stones"),
        ("1 validation error for Mill\nsize\n", "size"),
        ("size is small [type=value_error, input=1]", "size is small"),
        ("", "ValueError"),
    ],
)
def test_the_reason_is_the_first_line_that_says_something(text: str, reason: str) -> None:
    assert reason_of(ValueError(text)) == reason


def test_the_cache_is_emptied_before_prompts_come_again() -> None:
    emptied: list[bool] = []

    def forget() -> bool:
        emptied.append(len(emptied) > 0)
        return emptied[-1]

    asked = [Request(id=i, output_tokens=1, prompt="x") for i in range(2)]
    passes = Passes(True, forget)
    for _ in range(3):
        for request in asked:
            passes.before([request])
    assert emptied == [False, True]
    assert (passes.kept(), passes.kept()) == (1, 0)
    for others in (Passes(False, forget), Passes(True, None)):
        others.before(asked)
        others.before(asked)
    assert len(emptied) == 2


def test_caveats_of_the_start_are_told_once_and_counts_of_a_window_alone() -> None:
    untold = Untold(CAVEATS)
    start, sent = Caveat("setting_ignored", "one"), Caveat("prompts_cut", "two")
    untold.at_start([start])
    counts = {"preemptions": 3.0, "prefix_cache_hit_tokens": 320.0, "prefix_cache_queried_tokens": 1600.0}
    assert untold.tell(0, lambda: counts, sent) == [start, sent]
    untold.window_begins()
    kept, cached, taken_back = untold.tell(2, lambda: counts)
    assert (kept.code, cached.code, taken_back.code) == ("prefix_cache_kept", "prompt_cached", "preempted")
    assert cached.message == "320 of 1,600 prompt tokens (20.0%) came from Mill's flour cache, again."
    assert "its flour cache 2 times" in kept.message
    assert "were taken back and computed again 3 times in the window. Take fewer." in taken_back.message
    assert untold.tell(0, lambda: counts) == []


def test_a_setting_in_another_spelling_was_taken() -> None:
    from llem_vllm.config import VllmConfig

    half = VllmConfig.model_validate({"dtype": "half", "max_num_seqs": 4})
    assert CAVEATS.settings(half, {"max_num_seqs": 4}, "torch.float16") == []
    (caveat,) = CAVEATS.settings(half, {"max_num_seqs": 2}, "bfloat16")
    assert (
        "mill.dtype is half, and Mill runs with bfloat16; mill.max_num_seqs is 4, and Mill runs with 2."
        in caveat.message
    )
    assert isinstance(an_answer().record(0), RequestRecord)
