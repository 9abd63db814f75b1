"""Sessions of a load: turns follow answers and a time to think, with the recorded answers or the model's own."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from driven_load import SleepingEngine, driven, load_of
from hypothesis import given
from hypothesis import strategies as st

from llem.plugin_api import LlemError, Message, Request
from llem_serving.turns import sessions_of, until

USER, MODEL = "user", "assistant"


def chats(*lengths: int) -> list[Request]:
    """Sessions of so many turns, as the dataset gives them: each turn the chat so far, with recorded answers."""
    requests: list[Request] = []
    for session, turns in enumerate(lengths):
        said: list[Message] = [Message("system", f"s{session}")]
        for turn in range(turns):
            said.append(Message(USER, f"q{session}.{turn}"))
            requests.append(Request(id=len(requests), output_tokens=1, messages=tuple(said), session=session))
            said.append(Message(MODEL, f"recorded {session}.{turn}"))
    return requests


def alone(count: int) -> list[Request]:
    return [Request(id=one, output_tokens=1, prompt="hi") for one in range(count)]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), min_size=1, max_size=8))
def test_sessions_are_neighbours_of_one_number_and_others_stand_alone(kinds: list[tuple[bool, int]]) -> None:
    requests: list[Request] = []
    expected: list[list[int]] = []
    for number, (is_session, turns) in enumerate(kinds):
        ids = range(len(requests), len(requests) + (turns if is_session else 1))
        expected.append(list(ids))
        requests += [
            Request(id=one, output_tokens=1, prompt="x", session=number if is_session else None) for one in ids
        ]
    assert [[one.id for one in session] for session in sessions_of(requests)] == expected


def test_later_turns_arrive_when_the_answer_is_there_and_the_user_has_thought() -> None:
    course = driven(SleepingEngine(), chats(3, 1, 2), load_of(rate_rps=30, arrival="constant", think_s=0.02))
    later = [one for one in course.exchanges if one.before is not None]
    assert later
    assert course.turns == 2
    for one in later:
        assert one.before is not None
        assert one.before.ended_ns is not None
        assert one.arrived_ns == one.before.ended_ns + 20_000_000
        assert one.request.session == one.before.request.session
        assert one.request.id == one.before.request.id + 1
    first = [one for one in course.exchanges if one.before is None]
    gaps = {round((b.arrived_ns - a.arrived_ns) / 1e6) for a, b in pairwise(first)}
    assert gaps == {33}, "sessions arrive by the process, and not their later turns"
    assert [one.request.session for one in first] == [place % 3 for place in range(len(first))]


def test_recorded_answers_are_sent_as_the_dataset_has_them() -> None:
    requests, engine = chats(3), SleepingEngine()
    driven(engine, requests, load_of(rate_rps=10, arrival="constant"))
    assert {one.id for one in engine.asked} == {0, 1, 2}
    assert all(one == requests[one.id] for one in engine.asked)


@pytest.mark.parametrize("engine", [SleepingEngine(), SleepingEngine(text=None, decodes="said {}")])
def test_own_answers_take_the_place_of_recorded_ones(engine: SleepingEngine) -> None:
    driven(engine, chats(1, 3), load_of(rate_rps=10, arrival="constant", answers="own"))
    sent = {one.id: [(message.role, message.content) for message in one.messages or ()] for one in engine.asked}
    assert sent[1] == [("system", "s1"), (USER, "q1.0")]
    assert sent[2] == [*sent[1], (MODEL, "said 1"), (USER, "q1.1")]
    assert sent[3] == [*sent[2], (MODEL, "said 2"), (USER, "q1.2")]


def test_an_engine_that_tells_no_text_cannot_go_on_with_its_own_answers() -> None:
    with pytest.raises(LlemError, match=r"load\.answers") as told:
        driven(SleepingEngine(text=None), chats(2), load_of(rate_rps=30, answers="own", duration_s=3))
    assert "recorded" in (told.value.remedy or "")
    driven(SleepingEngine(text=None), chats(2), load_of(rate_rps=30))


def test_turns_of_token_ids_have_no_place_for_the_models_own_answers() -> None:
    turns = [Request(id=one, output_tokens=1, prompt_token_ids=[5] * (one + 1), session=0) for one in range(2)]
    with pytest.raises(LlemError, match="no messages") as told:
        driven(SleepingEngine(), turns, load_of(rate_rps=30, answers="own", duration_s=3))
    assert "recorded" in (told.value.remedy or "")
    driven(SleepingEngine(), turns, load_of(rate_rps=30))


def test_a_session_ends_with_a_turn_that_fails() -> None:
    course = driven(SleepingEngine(fails=frozenset({1})), chats(3), load_of(rate_rps=20, arrival="constant"))
    assert {one.request.id for one in course.exchanges} == {0, 1}
    assert all((one.error is not None) == (one.request.id == 1) for one in course.exchanges if one.ended_ns)


def test_users_walk_through_sessions_and_whoever_is_free_takes_the_next() -> None:
    course = driven(SleepingEngine(), chats(4, 1, 2), load_of(concurrency=2, think_s=0.005, duration_s=1))
    first = [one.request.session for one in course.exchanges if one.before is None]
    assert len(first) > 3
    assert first == [place % 3 for place in range(len(first))]
    times = [(one.arrived_ns, 1) for one in course.exchanges] + [
        (one.ended_ns, -1) for one in course.exchanges if one.ended_ns is not None
    ]
    count = most = 0
    for _, step in sorted(times):
        count += step
        most = max(most, count)
    assert most == 2
    whole = [one for one in course.exchanges if one.request.id == 3]
    assert whole, "the long session was walked to its end"
    assert all(one.before is not None and one.before.before is not None for one in whole)


def test_users_take_requests_that_stand_alone_in_the_order_of_the_dataset() -> None:
    course = driven(SleepingEngine(), alone(5), load_of(concurrency=2))
    asked = [one.request.id for one in course.exchanges]
    assert len(asked) > 5
    assert asked == [place % 5 for place in range(len(asked))]
    assert course.sessions == 0


def test_a_user_whose_request_failed_waits_before_asking_again() -> None:
    engine = SleepingEngine(answer_s=0.001, fails=frozenset(range(5)))
    course = driven(engine, alone(5), load_of(concurrency=2, duration_s=1.3))
    assert {one.error is not None for one in course.exchanges if one.ended_ns} == {True}
    assert 4 <= len(course.exchanges) <= 2 * 4


def test_sessions_are_counted() -> None:
    course = driven(SleepingEngine(), [*chats(2, 2), *alone(1)], load_of(rate_rps=30))
    assert course.sessions == 2


def test_an_instant_is_waited_for_also_where_the_loop_wakes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = asyncio.sleep

    async def early(seconds: float) -> None:
        await asleep(seconds / 2)

    async def waited() -> int:
        due_ns = time.monotonic_ns() + 20_000_000
        monkeypatch.setattr(asyncio, "sleep", early)
        await until(due_ns)
        return time.monotonic_ns() - due_ns

    assert asyncio.run(waited()) >= 0
