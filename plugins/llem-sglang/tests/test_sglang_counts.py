"""Counts of requests, and what qualifies figures. Nothing here needs SGLang."""

from __future__ import annotations

import time

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request
from llem_analysis.warning_codes import WARNINGS
from llem_sglang.caveats import CAVEATS
from llem_sglang.config import SglangConfig
from llem_sglang.counts import Counts
from llem_sglang.host import arrived_of
from llem_sglang.last_words import cause_in
from llem_sglang.messages import Arrived, Broken
from llem_sglang.names import SGLANG
from llem_sglang.under_way import UnderWay

S = 1_000_000_000
EFFECTIVE = {"max_running_requests": 64, "disable_radix_cache": True, "kv_cache_dtype": "auto"}


def test_requests_wait_until_their_first_token_and_run_until_their_last() -> None:
    now = time.monotonic_ns() - 100 * S
    counts = Counts()
    counts.figures(reset=True)
    counts._last_ns = now
    counts.sent({"a": 10, "b": 20}, now)
    counts.came(Arrived("a", (1,), now + 1 * S, cached=4))
    counts.came(Arrived("b", (1,), now + 2 * S, cached=0))
    counts.came(Arrived("a", (2,), now + 3 * S, retractions=2))
    counts.came(Arrived("a", (), now + 4 * S, retractions=2, finish="length"))
    counts.came(Arrived("b", (2,), now + 5 * S, finish="stop"))
    found = counts.figures(reset=True)
    # Running: nobody for 1 s, one for 1 s, two for 2 s, one for 1 s. Waiting: two, then one.
    assert found["running_mean"] == pytest.approx((0 + 1 + 4 + 1) / 5)
    assert found["waiting_mean"] == pytest.approx((2 + 1) / 5)
    assert (found["running_peak"], found["waiting_peak"]) == (2, 2)
    assert found["preemptions"] == 2
    assert found["prefix_cache_queried_tokens"] == 30
    assert found["prefix_cache_hit_share"] == pytest.approx(4 / 30)
    assert counts.figures() == {}


def test_what_sglang_does_not_tell_is_left_out_and_not_zero() -> None:
    counts = Counts()
    now = time.monotonic_ns()
    counts.sent({"a": 10}, now)
    counts.came(Arrived("a", (1,), now + 1000))
    counts.came(Arrived("a", (2,), now + 2000, finish="length"))
    assert "prefix_cache_hit_tokens" not in counts.figures()


def test_a_request_that_was_given_up_runs_no_longer() -> None:
    counts = Counts()
    now = time.monotonic_ns()
    counts.sent({"a": 1, "b": 1, "c": 1}, now)
    counts.came(Arrived("a", (1,), now + 1000))
    counts.given_up(["a", "b"], now + 2000)
    counts.came(Broken("c", "why", is_refused=False))
    counts.came(Arrived("a", (2,), now + 3000))
    assert (counts._running.now, counts._waiting.now) == (0, 0)


@pytest.mark.parametrize("repeats", [True, False])
def test_new_tokens_are_found_whether_or_not_an_output_repeats_the_others(repeats: bool) -> None:
    output = {"output_ids": [7, 8, 9] if repeats else [9], "meta_info": {"completion_tokens": 3, "cached_tokens": 5}}
    assert arrived_of("a", output, 2, 11) == Arrived("a", (9,), 11, cached=5)
    ended = {"output_ids": [9], "meta_info": {"completion_tokens": 3, "finish_reason": {"type": "length"}}}
    assert arrived_of("a", ended, 3, 12) == Arrived("a", (), 12, finish="length")


def test_tokens_that_are_counted_and_not_given_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="counts 2 new tokens and gives 1"):
        arrived_of("a", {"output_ids": [9], "meta_info": {"completion_tokens": 3}}, 1, 0)


@pytest.mark.parametrize("finish", ["abort", ""])
def test_an_answer_that_was_broken_off_is_no_answer(finish: str) -> None:
    one = UnderWay(SGLANG, Request(id=5, output_tokens=2, prompt="x"), input_tokens=3)
    one.arrive(Arrived("a", (1, 2), 10, cached=9, finish="length"))
    record = one.record(0)
    assert (record.finish, record.cached_tokens, record.end_ns) == ("length", 3, 10)
    one.finish = finish
    with pytest.raises(LlemError, match=r"ended prompt 5 with .* after 2 tokens"):
        one.record(0)


def test_an_answer_that_was_cut_for_want_of_room_is_no_answer() -> None:
    one = UnderWay(SGLANG, Request(id=5, output_tokens=8, prompt="x"), input_tokens=3)
    one.arrive(Arrived("a", (1, 2), 10, finish="length"))
    with pytest.raises(LlemError, match="cut the answer to 2"):
        one.record(0)


def test_options_that_sglang_took_need_no_word() -> None:
    asked = SglangConfig.model_validate({"max_running_requests": 64, "dtype": "half"})
    assert CAVEATS.settings(asked, EFFECTIVE, "float16") == []
    assert CAVEATS.settings(SglangConfig(), EFFECTIVE, "bfloat16") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_running_requests": 128}, "sglang.max_running_requests is 128, and SGLang runs with 64"),
        ({"dtype": "float16"}, "sglang.dtype is float16, and SGLang runs with bfloat16"),
    ],
)
def test_an_option_that_sglang_decided_otherwise_is_named_with_both(options: dict[str, object], said: str) -> None:
    (caveat,) = CAVEATS.settings(SglangConfig.model_validate(options), EFFECTIVE, "bfloat16")
    assert caveat.code == "setting_ignored"
    assert said in caveat.message


def test_what_the_cache_saved_and_what_was_done_twice_is_told_with_numbers() -> None:
    cached, taken_back = CAVEATS.counts(
        {"prefix_cache_hit_tokens": 320.0, "prefix_cache_queried_tokens": 1600.0, "preemptions": 3.0}
    )
    assert "320 of 1,600 prompt tokens (20.0%)" in cached.message
    assert "3 times" in taken_back.message
    (kept,) = CAVEATS.cache(2)
    assert {cached.code, taken_back.code, kept.code, "setting_ignored"} <= set(WARNINGS)
    assert CAVEATS.counts({}) == CAVEATS.cache(0) == []


def test_the_cause_is_the_error_that_the_log_names_last() -> None:
    log = "\n".join(
        (
            "[2026-11-30 01:02:03] Scheduler hit an exception: Traceback (most recent call last):",
            '  File "scheduler.py", line 1, in run',
            "RuntimeError: Cannot find any model weights with /x.",
            "",
            "[2026-11-30 01:02:04] Received sigquit from a child process. It usually means the child failed.",
        )
    )
    assert cause_in(log) == "RuntimeError: Cannot find any model weights with /x"
    assert cause_in("[2026-11-30 01:02:03] killed for memory\n") == "killed for memory"
    assert cause_in("\n") is None
