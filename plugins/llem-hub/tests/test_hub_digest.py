"""The digest of prompts, which tells one dataset from another whatever file it came in; and a dataset without an id."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.config.experiment import DatasetConfig
from llem.errors import DatasetError
from llem.specs.dataset import Message, Prompt
from llem_hub import hub_dataset
from llem_hub.hub_dataset import hash_of

HISTORY = (Message("system", "be short"), Message("user", "first"), Message("assistant", "ok"), Message("user", "last"))


def test_a_hub_dataset_without_an_id_says_that_it_needs_one() -> None:
    with pytest.raises(DatasetError, match="needs its id"):
        hub_dataset.load(DatasetConfig(name="hub"), "")


def test_two_chats_of_one_question_and_other_histories_are_two_datasets() -> None:
    one = [Prompt(messages=HISTORY)]
    other = [Prompt(messages=HISTORY[1:])]
    assert hash_of(one) != hash_of(other)


def texts(*found: str) -> list[Prompt]:
    return [Prompt(text=text) for text in found]


@given(st.lists(st.text(), max_size=5))
def test_the_digest_of_prompts_tells_where_one_ends(found: list[str]) -> None:
    assert hash_of(texts(*found)) == hash_of(texts(*found))
    assert hash_of(texts(*found, "")) != hash_of(texts(*found))
    whole = json.dumps(found)
    assert hash_of(texts(whole, "a\nb")) != hash_of(texts(whole, "a", "b"))
