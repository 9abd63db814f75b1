"""Prompt tokens from a cache beside those that repeat: what repeats is counted, and a share that differs is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.plugin_api import Answer, Message, Request, RequestRecord
from llem_serving.in_flight import Exchange
from llem_serving.prefix_cache import CODE, CacheShares, PrefixMemory, cache_shares

OPEN, CLOSE = 100, 200
SAID = (Message("system", "s"), Message("user", "q"))
LATER = (*SAID, Message("assistant", "a"), Message("user", "q2"))


def record(number: int, tokens: int, cached: Any = None, output: int = 3) -> RequestRecord:
    return RequestRecord(number, tokens, output, start_ns=1, end_ns=2, finish="length", cached_tokens=cached)


def exchange(
    request: Request,
    tokens: int | None,
    sent_ns: int,
    cached: Any = None,
    arrived_ns: int = OPEN,
    text: str | None = None,
) -> Exchange:
    """An exchange, answered where it has a number of prompt tokens."""
    found = Exchange(0, request, arrived_ns, sent_ns=sent_ns, ended_ns=sent_ns + 1, text=text)
    if tokens is not None:
        found.answer = Answer(1, 1, arrived_ns, sent_ns + 1, [request], [record(request.id, tokens, cached)])
    return found


def ids(number: int, tokens: list[int]) -> Request:
    return Request(number, 3, prompt_token_ids=tokens)


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=8))
def test_blocks_of_ids_repeat_as_far_as_one_earlier_prompt_goes(prompts: list[list[int]]) -> None:
    memory = PrefixMemory()
    whole = [[block] * 16 for block in range(3)]
    earlier: list[list[int]] = []
    for number, blocks in enumerate(prompts):
        request = ids(number, [one for block in blocks for one in whole[block]] + [9] * (number % 16))
        common = [
            next(
                (n for n, (a, b) in enumerate(zip(blocks, other, strict=False)) if a != b), min(len(blocks), len(other))
            )
            for other in earlier
        ]
        assert memory.known(request) == 16 * max(common, default=0)
        memory.add(request, None)
        earlier.append(blocks)


def test_a_prompt_that_is_cut_is_known_by_what_is_sent() -> None:
    memory = PrefixMemory()
    memory.add(Request(0, 3, prompt_token_ids=[1] * 64, max_input_tokens=32), None)
    assert memory.known(ids(1, [1] * 64)) == 32


def test_a_chat_goes_on_from_the_longest_earlier_one() -> None:
    memory = PrefixMemory()
    later = Request(1, 3, messages=LATER)
    assert memory.known(later) == 0
    memory.add(Request(0, 3, messages=SAID), record(0, 40), "another answer")
    assert memory.known(later) == 40
    memory.add(Request(0, 3, messages=SAID), record(0, 40), "a")
    assert memory.known(later) == 43
    memory.add(later, record(1, 60))
    assert memory.known(later) == 60
    assert memory.known(Request(2, 3, messages=(Message("user", "q"),))) == 0


def test_a_text_is_known_whole() -> None:
    memory = PrefixMemory()
    memory.add(Request(0, 3, prompt="tell me"), record(0, 7))
    assert memory.known(Request(1, 3, prompt="tell me")) == 7
    assert memory.known(Request(2, 3, prompt="tell me more")) == 0


def test_requests_of_the_window_are_counted_and_earlier_ones_remembered() -> None:
    one, two, three = ids(0, [1] * 160), ids(1, [1] * 160 + [2] * 160), ids(2, [3] * 160)
    warm = Answer(1, 1, 1, 2, [three], [record(2, 160)])
    found = cache_shares(
        [
            exchange(two, 320, sent_ns=120, cached=150),
            exchange(one, 160, sent_ns=50, cached=7, arrived_ns=40),
            exchange(three, 160, sent_ns=130),
            exchange(ids(3, [4] * 160), None, sent_ns=125),
            exchange(ids(4, [2] * 160), 160, sent_ns=210, cached=9, arrived_ns=CLOSE),
        ],
        [warm],
        OPEN,
        CLOSE,
    )
    assert found == CacheShares(
        input_tokens=480,
        repeated_tokens=320,
        told_input_tokens=320,
        told_repeated_tokens=160,
        cached_tokens=150,
        repeats=1,
    )
    assert found.repeated == pytest.approx(320 / 480)
    assert found.cached == pytest.approx(150 / 320)


@pytest.mark.parametrize("cached", [-1, 161, 3.0, "many"])
def test_a_count_that_cannot_be_is_none(cached: Any) -> None:
    found = cache_shares([exchange(ids(0, [1] * 160), 160, sent_ns=120, cached=cached)], [], OPEN, CLOSE)
    assert found.cached is None
    assert found.caveat is None


def shares(cached: int, repeated: int) -> CacheShares:
    return CacheShares(100_000, repeated, 100_000, repeated, cached, repeats=10)


@pytest.mark.parametrize("cached", [45_000, 50_000, 55_000])
def test_shares_that_agree_are_not_remarked_upon(cached: int) -> None:
    assert shares(cached, 50_000).caveat is None


def test_shares_that_differ_are_told_with_both_and_a_cause() -> None:
    less, more = shares(0, 50_000).caveat, shares(60_000, 10_000).caveat
    assert less is not None
    assert more is not None
    assert less.code == more.code == CODE
    assert "0.0%" in less.message
    assert "50.0%" in less.message
    assert "off, too small" in less.message
    assert "60.0%" in more.message
    assert "before this experiment" in more.message


def test_a_block_for_each_prompt_is_no_difference() -> None:
    # 100 prompts of 40 tokens that repeat whole: an engine with blocks of 16 has 32 of each at the most, or 16.
    assert CacheShares(4_000, 3_200, 4_000, 3_200, 1_600, repeats=100).caveat is None


def test_without_prompts_there_is_no_share() -> None:
    assert CacheShares().repeated is None
    assert CacheShares().cached is None
    assert CacheShares().caveat is None


def test_no_more_of_a_prompt_is_repeated_than_it_has() -> None:
    # The engine counts fewer tokens than the ids that were sent: it cut them.
    found = cache_shares(
        [exchange(ids(0, [1] * 160), 160, sent_ns=50), exchange(ids(1, [1] * 160), 100, sent_ns=60, cached=96)],
        [],
        OPEN - 60,
        CLOSE,
    )
    assert (found.repeated_tokens, found.told_repeated_tokens) == (100, 100)
