"""A study of a curve that is searched: which of its rates it starts from, and what else of it gives way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.plugin_api import ConfigError, default_registry
from llem_serving.capacity.giving_way import giving_way

Given = Callable[..., dict[str, str]]
PLAIN: Mapping[str, Any] = {
    "model": "random:tiny-llama",
    "backend": "openai",
    "openai": {"base_url": "http://127.0.0.1:9/v1"},
    "measurement": {"scenario": "server"},
}


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """Writes a study with these sections, and returns the settings that replace something of it, with what is said."""

    def ask(*settings: str, **sections: Any) -> dict[str, str]:
        study = {**PLAIN, **sections}
        (tmp_path / "s.yaml").write_text(json.dumps(study))
        found = giving_way(tmp_path / "s.yaml", default_registry(), settings)
        return {one.setting: one.said for one in found.things}

    return ask


@pytest.mark.parametrize(
    ("sections", "first", "listed"),
    [
        ({"sweep": {"load.rate_rps": [4, 1, 2]}}, "2", "1, 2, 4"),
        ({"sweep": {"load.rate_rps": [0.5, 8]}}, "0.5", "0.5, 8"),
        ({"sweep": {"load.rate_rps": {"pow2": [1, 16]}, "dataset.output_tokens": [8, 16]}}, "4", "1, 2, 4, 8, 16"),
        (
            {"sweep": {"groups": [{"load.rate_rps": 3, "dataset.n": 4}, {"load.rate_rps": 6, "dataset.n": 8}]}},
            "3",
            "3, 6",
        ),
        ({"experiments": [{"load": {"rate_rps": 5}}, {"load": {"rate_rps": 7}}]}, "5", "5, 7"),
    ],
)
def test_rates_that_a_study_varies_give_way_to_their_middle(
    given: Given, sections: dict[str, Any], first: str, listed: str
) -> None:
    found = given(**sections)
    assert list(found) == [f"load.rate_rps={first}"]
    assert f"the rates of the study ({listed}) are left out" in found[f"load.rate_rps={first}"]


def test_many_rates_are_not_all_listed(given: Given) -> None:
    (said,) = given(sweep={"load.rate_rps": list(range(1, 21))}).values()
    assert "(1, 2, 3, …, 20)" in said


def test_a_rate_of_the_command_line_is_the_first(given: Given) -> None:
    assert given("load.rate_rps=3", sweep={"load.rate_rps": [1, 2]}) == {}


def test_notes_are_on_what_the_users_own_settings_replace(tmp_path: Path) -> None:
    study = {
        **PLAIN,
        "sweep": {"load.rate_rps": [1, 2], "dataset.n": [4, 8]},
        "execution": {"until": {"ci_width": "5 %"}},
    }
    (tmp_path / "s.yaml").write_text(json.dumps(study))
    asked = {
        (): [],
        ("dataset.n=4",): ["dataset.n"],
        ("load.rate_rps=3",): ["load.rate_rps"],
        ("execution.cycles=1",): ["execution.until"],
    }
    for settings, replaced in asked.items():
        notes = giving_way(tmp_path / "s.yaml", default_registry(), settings).notes
        assert [key for key in replaced if f"`{key}`" in notes[0]] == replaced
        assert len(notes) == len(replaced)


def test_cycles_and_until_give_way(given: Given) -> None:
    load = {"rate_rps": 2}
    assert list(given(load=load, execution={"cycles": 3})) == ["execution.cycles=1"]
    (said,) = given(load=load, execution={"until": {"ci_width": "5 %"}}).values()
    assert said.startswith("execution.until is left out")
    assert given(load=load) == {}


def test_what_the_command_line_asks_for_by_itself_is_left_to_be_refused(given: Given) -> None:
    assert given("execution.cycles=3", load={"rate_rps": 2}) == {}


def test_a_search_of_the_studys_own_does_not_keep_it_from_being_looked_at(given: Given) -> None:
    found = given(
        sweep={"load.rate_rps": [1, 2, 3]}, execution={"cycles": 2, "search": {"goal": "capacity", "high": 9}}
    )
    assert list(found) == ["load.rate_rps=2", "execution.cycles=1"]


def test_a_study_that_cannot_be_loaded_is_refused(given: Given) -> None:
    with pytest.raises(ConfigError, match="exclude one another"):
        given(load={"concurrency": 2}, sweep={"load.rate_rps": [1, 2]})
