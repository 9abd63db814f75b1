"""Facts that an engine tells of itself: kept where it can be, left out with a word where it cannot."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llem.measure.engine_facts import believable_memory, believable_metrics, input_caveats
from llem.specs.backend import MemoryReading, Request, RequestRecord
from llem.specs.dataset import Message
from llem.specs.scenario import Answer


@pytest.mark.parametrize(
    "reading",
    [
        MemoryReading(None, None, None),
        MemoryReading(10.0, 12.0, "allocator"),
        MemoryReading(10.0, 10.0, "allocator"),
        MemoryReading(None, 12.0, "allocator"),
    ],
)
def test_memory_that_can_be_is_kept_without_a_word(reading: MemoryReading) -> None:
    assert believable_memory(reading) == (reading, [])


@pytest.mark.parametrize(
    ("allocated", "peak", "said"),
    [
        (0.0, 12.0, "allocated 0.0 MiB"),
        (10.0, 0.0, "peak 0.0 MiB"),
        (-1.0, None, "allocated -1.0 MiB"),
        (10.0, math.inf, "peak inf MiB"),
        (math.nan, 12.0, "allocated nan MiB"),
        (10.0, 5.0, "a peak of 5 MiB with 10 MiB allocated"),
    ],
)
def test_memory_that_cannot_be_is_null_and_told(allocated: Any, peak: Any, said: str) -> None:
    kept, (caveat,) = believable_memory(MemoryReading(allocated, peak, "allocator"))
    assert kept == MemoryReading(None, None, None)
    assert caveat.code == "memory_unseen"
    assert said in caveat.message


def test_a_count_that_is_no_finite_number_is_left_out_and_named() -> None:
    given: Any = {"steps": 3.0, "whole": 4, "share": math.nan, "much": math.inf, "flag": True, "word": "x"}
    kept, (caveat,) = believable_metrics(given)
    assert kept == {"steps": 3.0, "whole": 4.0}
    assert caveat.code == "engine_metrics_dropped"
    assert "4 of 6" in caveat.message
    assert "share = nan" in caveat.message
    assert believable_metrics({"steps": 3.0}) == ({"steps": 3.0}, [])


def passes(*counts: tuple[int, int]) -> list[Answer]:
    records = [[RequestRecord(i, n, 1, 0, 1, "length") for i, n in enumerate(one)] for one in counts]
    return [Answer(number, 1, 0, 1, [], one) for number, one in enumerate(records, 1)]


def test_a_prompt_has_the_same_length_in_every_pass() -> None:
    assert input_caveats(passes((5, 9), (5, 9))) == []
    (caveat,) = input_caveats(passes((5, 9), (5, 2)))
    assert caveat.code == "input_tokens_vary"
    assert "1 of 2 prompts" in caveat.message
    assert "prompt 1 with 2 and 9" in caveat.message


def test_a_chat_that_went_on_with_another_answer_is_another_prompt() -> None:
    def asked(answer: str, count: int) -> Answer:
        chat = (Message("user", "q"), Message("assistant", answer), Message("user", "q2"))
        record = RequestRecord(0, count, 1, 0, 1, "length")
        return Answer(1, 1, 0, 1, [Request(0, 1, messages=chat)], [record])

    assert input_caveats([asked("yes", 9), asked("certainly", 11)]) == []
    assert [one.code for one in input_caveats([asked("yes", 9), asked("yes", 11)])] == ["input_tokens_vary"]
