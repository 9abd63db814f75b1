"""The generator of the built-in prompts gives the file that the core ships, and its grammar does what it says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.datasets import aienergyscore
from tools.prompts import build, lengths
from tools.prompts.grammar import Dice, Voice


def quantile(sizes: list[int], share: float) -> float:
    place = (len(sizes) - 1) * share / 100
    low, high = math.floor(place), math.ceil(place)
    return sizes[low] + (sizes[high] - sizes[low]) * (place - low)


def test_the_generator_makes_the_file_byte_for_byte() -> None:
    assert build.content() == aienergyscore.FILE.read_bytes()


def test_a_capital_rule_stays_and_others_return_only_when_all_were_said() -> None:
    voice = Voice({"Town": ["{name}"], "name": ["A", "B", "C"], "x": ["in {Town}"]}, Dice("seed"))
    assert voice.say("x") == voice.say("x")
    voice = Voice({"name": ["A", "B", "C"]}, Dice("seed"))
    assert {voice.say("name") for _ in range(3)} == {"A", "B", "C"}


def test_phrases_take_articles_capitals_numbers_and_choices() -> None:
    rules = {"n": ["owl"], "m": ["{a n}, {^n}, {7-7}, {1999-1999y}, {1999-1999}, <{n}|{n}>"]}
    assert Voice(rules, Dice("seed")).say("m") == "an owl, Owl, 7, 1999, 1,999, owl"


@given(st.text(max_size=20), st.integers(1, 50))
def test_dice_shuffle_every_number_once(seed: str, n: int) -> None:
    assert sorted(Dice(seed).shuffled(n)) == list(range(n))
    assert Dice(seed).shuffled(n) == Dice(seed).shuffled(n)


@pytest.mark.parametrize(("share", "characters"), lengths.QUANTILES.items())
def test_lengths_have_the_quantiles_of_the_genuine_set(share: float, characters: int) -> None:
    sizes = sorted(map(len, aienergyscore.prompts()))
    assert quantile(sizes, share) == characters
    assert sizes[min(int(len(sizes) * share / 100), len(sizes) - 1)] == characters
