"""The command line and the environment over a sweep: an axis gives way to the one value, and a note says so."""

from __future__ import annotations

from typing import Any

import pytest
from config_backends import BACKENDS

from llem.config.layers import LoadedStudy, load_study

BASE: dict[str, Any] = {"model": "random:tiny-llama", "backend": "testbed"}


def load(study: dict[str, Any], overrides: dict[str, Any] | None = None, **env: str) -> LoadedStudy:
    environ = {"XDG_CONFIG_HOME": "/nonexistent", **env}
    return load_study(document={**BASE, **study}, overrides=overrides, environ=environ, backends=BACKENDS)


@pytest.mark.parametrize("given", [{"overrides": {"dataset.n": 9}}, {"LLEM_DATASET_N": "9"}])
def test_a_swept_key_that_is_given_outside_replaces_its_axis_and_says_so(given: dict[str, Any]) -> None:
    loaded = load({"sweep": {"dataset.n": [1, 2], "dataset.seed": [0, 1]}}, **given)
    assert loaded.config.sweep == {"dataset.seed": [0, 1]}
    assert loaded.config.base["dataset"] == {"n": 9}
    assert list(loaded.notes) == [
        "the axis `dataset.n` of the sweep is replaced by the one value given outside the study file."
    ]


def test_an_override_of_another_key_leaves_the_sweep_alone() -> None:
    loaded = load({"sweep": {"dataset.n": [1, 2]}}, {"dataset.output_tokens": 9})
    assert loaded.config.sweep == {"dataset.n": [1, 2]}
    assert not loaded.notes


def test_the_user_file_is_below_the_study_and_replaces_no_axis(tmp_path: Any) -> None:
    user = tmp_path / "user.yaml"
    user.write_text("dataset: {n: 9}\n")
    document = {**BASE, "sweep": {"dataset.n": [1, 2]}}
    loaded = load_study(document=document, user_file=user, environ={}, backends=BACKENDS)
    assert loaded.config.sweep == {"dataset.n": [1, 2]}


def test_a_section_given_whole_replaces_the_axes_of_what_it_sets() -> None:
    loaded = load({"sweep": {"testbed.batch_size": [1, 2], "testbed.ignored": [0, 1]}}, {"testbed": {"batch_size": 4}})
    assert loaded.config.sweep == {"testbed.ignored": [0, 1]}
    assert loaded.config.base["testbed"] == {"batch_size": 4}


def test_a_model_given_outside_replaces_an_axis_of_models() -> None:
    loaded = load({"sweep": {"model": ["a", "b"], "dataset.n": [1, 2]}}, {"model": "c"})
    assert loaded.config.sweep == {"dataset.n": [1, 2]}
    assert loaded.config.base["model"] == {"source": "c"}


def test_a_part_of_a_swept_section_is_laid_over_each_of_its_values() -> None:
    loaded = load({"sweep": {"model": ["a", {"source": "b", "trust_remote_code": True}]}}, {"model.tokenizer": "t"})
    assert loaded.config.sweep["model"] == [
        {"source": "a", "tokenizer": "t"},
        {"source": "b", "trust_remote_code": True, "tokenizer": "t"},
    ]


def test_a_backend_given_outside_replaces_the_axis_of_backends() -> None:
    loaded = load({"sweep": {"backend": ["testbed", "other"]}}, {"backend": "other"})
    assert loaded.config.sweep == {}
    assert loaded.config.base["backend"] == "other"


def test_groups_lose_what_is_given_outside_and_what_is_then_the_same() -> None:
    groups = [{"dataset.n": 1, "dataset.seed": 0}, {"dataset.n": 2, "dataset.seed": 0}]
    loaded = load({"sweep": {"groups": groups}}, {"dataset.n": 9})
    assert loaded.config.sweep == {"groups": [{"dataset.seed": 0}]}
    assert "a group of the sweep varies less" in loaded.notes[0]
    assert (
        load({"sweep": {"groups": {"size": [{"dataset.n": 1}, {"dataset.n": 2}]}}}, {"dataset.n": 9}).config.sweep == {}
    )


def test_explicit_experiments_give_way_too() -> None:
    study = {"experiments": [{"dataset.n": 1, "dataset.seed": 3}, {"dataset": {"n": 5, "seed": 4}}]}
    loaded = load(study, {"dataset.n": 9})
    assert loaded.config.experiments[0] == {"dataset.seed": 3}
    assert loaded.config.experiments[1] == {"dataset": {"n": 9, "seed": 4}}
    assert [note.split(":")[0] for note in loaded.notes] == ["`experiments[0]`", "`experiments[1]`"]


def test_what_is_left_of_a_grid_beside_explicit_experiments_is_one_experiment() -> None:
    study = {"sweep": {"dataset.n": [1, 2]}, "experiments": [{"dataset.seed": 1}]}
    loaded = load(study, {"dataset.n": 9})
    assert loaded.config.sweep == {}
    assert loaded.config.experiments == [{"dataset.seed": 1}, {}]


def test_keys_of_the_study_change_no_sweep() -> None:
    loaded = load({"sweep": {"dataset.n": [1, 2]}}, {"execution.cycles": 3, "name": "x", "runners.testbed": "local"})
    assert loaded.config.sweep == {"dataset.n": [1, 2]}
    assert not loaded.notes


def test_loading_leaves_the_given_document_as_it_was() -> None:
    study = {"sweep": {"dataset.n": [1, 2]}, "experiments": [{"dataset": "synthetic", "dataset.input_tokens": 4}]}
    document = {**BASE, **study}
    before = repr(document)
    load_study(document=document, overrides={"dataset.n": 9}, environ={"XDG_CONFIG_HOME": "/none"}, backends=BACKENDS)
    assert repr(document) == before
