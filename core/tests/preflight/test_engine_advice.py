"""Advice on a missing engine: the right build for the machine, and never beside a backend that it conflicts with."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from llem.config.section import Section
from llem.preflight.engines import CONTAINERS, engine_command, engine_remedy
from llem.specs.backend import BackendSpec
from llem.specs.kinds import BACKENDS, RUNNERS

HERE, ABSENT = ("json",), ("no_such_engine_at_all",)


def backend(name: str, *, requires: Sequence[str], conflicts: Sequence[str] = (), **more: Any) -> BackendSpec:
    return BackendSpec(
        name=name,
        api_version=1,
        summary="",
        config=Section,
        engine="x:X",
        requires=tuple(requires),
        conflicts=frozenset(conflicts),
        **more,
    )


def registry(*backends: BackendSpec, containers: bool = False) -> Any:
    """The part of a registry that the advice reads."""
    runners = {"boxes": SimpleNamespace(location="container")} if containers else {}
    return {BACKENDS: {spec.name: spec for spec in backends}, RUNNERS: runners}


BIG = backend("big", requires=ABSENT, install="pip install big", cpu_install="pip install big-cpu", image="big:1")
OLD = backend("old", requires=HERE, conflicts=("big",))


@pytest.mark.parametrize(("has_gpu", "command"), [(True, "pip install big"), (False, "pip install big-cpu")])
def test_the_next_command_brings_the_build_for_this_machine(has_gpu: bool, command: str) -> None:
    assert engine_command(BIG, registry(BIG), has_gpu=has_gpu) == command


def test_a_remedy_names_the_builds_for_both_kinds_of_machine() -> None:
    assert engine_remedy(BIG, registry(BIG)) == "pip install big, or on a machine without a GPU: pip install big-cpu."


def test_where_one_build_serves_every_machine_it_is_the_command() -> None:
    one = backend("one", requires=ABSENT, install="pip install one")
    assert engine_command(one, registry(one), has_gpu=False) == "pip install one"
    assert engine_remedy(one, registry(one)) == "pip install one."


def test_an_author_who_names_no_command_leaves_the_name_of_the_distribution() -> None:
    one = backend("one", requires=ABSENT)
    assert engine_command(one, registry(one), has_gpu=False) == "pip install llem-one"
    assert engine_remedy(one, registry(one)) == "Install it, or use a container: runners.one."


@pytest.mark.parametrize("told_by", ["old", "big"])
def test_nothing_is_installed_beside_a_backend_that_it_conflicts_with(told_by: str) -> None:
    old = backend("old", requires=HERE, conflicts=("big",) if told_by == "old" else ())
    big = backend(
        "big",
        requires=ABSENT,
        install="pip install big",
        image="big:1",
        conflicts=("old",) if told_by == "big" else (),
    )
    known = registry(old, big)
    assert engine_command(big, known, has_gpu=True) == CONTAINERS
    assert engine_remedy(big, known).startswith(
        f"Not beside old: run it in its image ({CONTAINERS}) or install it in an env"
    )


def test_where_containers_are_at_hand_the_remedy_asks_for_no_installation() -> None:
    said = engine_remedy(BIG, registry(OLD, BIG, containers=True))
    assert "as a study does by itself" in said
    assert CONTAINERS not in said


def test_without_an_image_an_environment_of_its_own_is_left() -> None:
    big = backend("big", requires=ABSENT, install="pip install big")
    said = engine_remedy(big, registry(OLD, big, containers=True))
    assert said == "Not beside old: install it in an environment of its own (pip install big)."


def test_a_rival_that_cannot_run_here_is_none() -> None:
    absent = backend("old", requires=ABSENT, conflicts=("big",))
    assert engine_command(BIG, registry(absent, BIG), has_gpu=True) == "pip install big"
