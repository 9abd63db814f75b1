"""Mutants are had again by their seed, differ from what they came of, and every step does what it is called."""

from __future__ import annotations

import json
import random

import pytest

from bench.fuzz.mutations import HUGE, LARGEST, STEPS, mutant

GIVEN = b'data: {"usage": {"completion_tokens": 12}, "text": "caf\xc3\xa9"}\n\ndata: {"a": [1, 2]}\n\ndata: [DONE]\n\n'


def test_a_seed_names_one_mutant() -> None:
    again = [mutant(GIVEN, seed, (b"other",)) for seed in range(200)]
    assert again == [mutant(GIVEN, seed, (b"other",)) for seed in range(200)]
    assert len({found.data for found in again}) > 150


def test_no_mutant_is_larger_than_it_may_be() -> None:
    long = b"x" * LARGEST
    assert max(len(mutant(long, seed).data) for seed in range(30)) <= LARGEST


def test_every_step_comes_and_most_change_something() -> None:
    found = [mutant(GIVEN, seed) for seed in range(1_000)]
    assert {step for one in found for step in one.steps} == set(STEPS)
    assert sum(one.data != GIVEN for one in found) > 900


@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("data", [b"", b"\n", b"x", b"\xff"])
def test_a_step_bears_bytes_that_have_nothing_in_them(step: str, data: bytes) -> None:
    assert isinstance(STEPS[step](data, random.Random(1)), bytes)


@pytest.mark.parametrize(
    ("step", "holds"),
    [
        ("cut_off", lambda data: GIVEN.startswith(data)),
        ("huge_line", lambda data: len(data) == len(GIVEN) + HUGE),
        ("drop_line", lambda data: len(data.splitlines()) == len(GIVEN.splitlines()) - 1),
        ("reorder_lines", lambda data: sorted(data.splitlines()) == sorted(GIVEN.splitlines())),
        ("flip", lambda data: len(data) == len(GIVEN)),
        ("number", lambda data: data.count(b'"usage"') == 1),
    ],
)
def test_a_step_does_what_it_is_called(step: str, holds: object) -> None:
    assert callable(holds)
    assert all(holds(STEPS[step](GIVEN, random.Random(seed))) for seed in range(50))


def test_numbers_and_nesting_reach_where_a_parser_of_json_gives_up() -> None:
    def problem(data: bytes) -> str:
        try:
            json.loads(data)
        except (ValueError, RecursionError) as error:
            return type(error).__name__
        return ""

    given = b'{"a": [1, "x", 2.5]}'
    seen = {problem(STEPS[step](given, random.Random(seed))) for step in ("number", "deep") for seed in range(200)}
    assert {"", "JSONDecodeError", "RecursionError"} <= seen
