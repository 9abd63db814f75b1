"""The dataset `synthetic_conversations`: turns that begin as the turn before, of exact lengths."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.measure.workload import build_requests
from llem.plugin_api import BACKENDS, DATASETS, SCENARIOS, DatasetConfig, DatasetError, Request, default_registry
from llem.specs.backend import LoadReport
from llem_serving.datasets.synthetic_conversations import NAME, load
from llem_serving.turns import sessions_of


def config(**fields: Any) -> DatasetConfig:
    return DatasetConfig(**{"name": NAME, "n": 12, "input_tokens": 100, **fields})


def requests(**fields: Any) -> list[Request]:
    registry = default_registry()
    document = {"name": NAME, "n": 12, "input_tokens": 100, "output_tokens": 4, **fields}
    whole = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(
        {"model": "random:tiny-llama", "backend": "testbed", "dataset": document}
    )
    report = LoadReport(vocab_size=1_000, special_token_ids=frozenset({0, 1}), devices=["cpu"])
    return build_requests(load(whole.dataset, ".").prompts, whole, report)


def ids(request: Request) -> tuple[int, ...]:
    return tuple(request.prompt_token_ids or ())


def test_each_turn_is_the_turn_before_and_as_much_again() -> None:
    conversations = sessions_of(requests())
    assert [len(turns) for turns in conversations] == [5, 5, 2], "the last one is cut short"
    for turns in conversations:
        assert [len(ids(turn)) for turn in turns] == [20, 40, 60, 80, 100][: len(turns)]
        for before, turn in pairwise(turns):
            assert ids(turn)[: len(ids(before))] == ids(before)


def test_a_prompt_is_not_cut_to_the_length_that_names_the_last() -> None:
    assert all(len(ids(one)) <= (one.max_input_tokens or 0) for one in requests())


def test_conversations_have_nothing_in_common() -> None:
    first = [ids(turns[0]) for turns in sessions_of(requests(n=50))]
    assert len({one[:3] for one in first}) == len(first) == 10


def test_it_is_registered_and_known_by_its_recipe() -> None:
    assert default_registry().find(DATASETS, NAME).loader.endswith("synthetic_conversations:load")
    plain = load(config(), "/nowhere")
    assert "66.7% of prompt tokens repeat the turn before" in plain.provenance
    assert (plain.name, plain.available, len(plain.prompts)) == (NAME, None, 12)
    assert plain.sha256 == load(config(n=3), ".").sha256
    others = [config(seed=1), config(input_tokens=50)]
    assert len({plain.sha256, *(load(other, ".").sha256 for other in others)}) == 3
    assert load(config(n=3), ".").prompts == plain.prompts[:3]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input_tokens": None}, r"dataset\.input_tokens"),
        ({"input_tokens": 512}, "multiple of 5, such as 510"),
        ({"input_tokens": 1}, "multiple of 5, such as 5"),
        ({"prefix_share": 0.5}, r"dataset\.prefix_share"),
    ],
)
def test_what_cannot_be_made_is_told(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=said) as told:
        load(config(**fields), ".")
    assert told.value.remedy
