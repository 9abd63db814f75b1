"""Preflight's view of accelerators and places: who fails to tell, several makers, what concerns other machines only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from llem.accelerators.asking import accelerators_here, ask
from llem.accelerators.sharing import shares_here
from llem.builtin import llem_accelerators
from llem.plugins import Plugin, Registry
from llem.preflight import checks, devices
from llem.specs.accelerator import Accelerator, AcceleratorSpec
from llem.specs.check import Finding, PreflightContext
from llem.specs.kinds import ACCELERATORS, RUNNERS
from llem.specs.registry import HookKind
from llem.specs.runner import Location, RunnerSpec

PAIR = [Accelerator(id="X-1", kind="npu", model="X100"), Accelerator(id="X-2", kind="npu", model="X100")]


def pair() -> list[Accelerator]:
    return PAIR


def other() -> list[Accelerator]:
    return [Accelerator(id="Y-1", kind="gpu")]


def broken() -> list[Accelerator]:
    raise RuntimeError("the driver hangs")


def texts() -> list[str]:
    return ["X-1"]


def shown_x(ids: Any) -> Mapping[str, str]:
    return {"X_VISIBLE": ",".join(ids)}


def shown_y(ids: Any) -> Mapping[str, str]:
    return {"Y_VISIBLE": ",".join(ids)}


def maker(name: str, find: str, confine: str | None = None) -> AcceleratorSpec:
    way = None if confine is None else f"{__name__}:{confine}"
    return AcceleratorSpec(
        name=name, api_version=1, summary=name, find=f"{__name__}:{find}", confine=way, look=f"{name}-smi"
    )


X, Y = maker("x", "pair", "shown_x"), maker("y", "other", "shown_y")


class Makers(Registry):
    """The installed plugins, with these makers of accelerators and a runner of each location."""

    def __init__(self, *specs: AcceleratorSpec) -> None:
        super().__init__()
        self._makers = {spec.name: spec for spec in specs}

    def __getitem__(self, kind: HookKind[Any]) -> Mapping[str, Any]:
        if kind is ACCELERATORS:
            return self._makers
        return {**super().__getitem__(kind), **PLACES} if kind is RUNNERS else super().__getitem__(kind)

    def provider(self, kind: HookKind[Any], name: str) -> Plugin:
        return Plugin("x", "llem-x", "1.0") if kind is ACCELERATORS else super().provider(kind, name)


def runner(location: Location) -> RunnerSpec:
    return RunnerSpec(name=location, api_version=1, summary="", runner="nowhere:Runner", location=location)


PLACES = {location: runner(location) for location in ("here", "container", "elsewhere")}


def context(*specs: AcceleratorSpec, place: str = "local", **values: Any) -> PreflightContext:
    return PreflightContext(registry=Makers(*specs), runners={"testbed": place}, **values)


def told(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, f"{finding.message} {finding.remedy or ''}") for finding in findings]


def test_accelerators_are_listed_by_who_tells_of_them() -> None:
    assert told(devices.check_accelerators(context(X))) == [("ok", "accelerators by x: 2 × X100 ")]
    assert told(devices.check_accelerators(context())) == [("ok", "no accelerator is seen here (asked: nobody) ")]


@pytest.mark.parametrize(
    ("find", "why"), [("broken", "RuntimeError: the driver hangs"), ("texts", "TypeError: it returns a str")]
)
def test_one_who_fails_to_tell_is_a_warning_and_keeps_no_other_from_telling(find: str, why: str) -> None:
    (first, second) = told(devices.check_accelerators(context(maker("bad", find), X)))
    assert first[0] == "warning"
    assert why in first[1]
    assert "It comes from llem-x 1.0." in first[1]
    assert second == ("ok", "accelerators by x: 2 × X100 ")
    assert accelerators_here(Makers(maker("bad", find), X)) == PAIR


def test_a_package_that_is_missing_is_said_and_not_imported() -> None:
    (answer,) = ask(Makers(replace(X, requires=("a_package_of_nobody",))))
    assert (answer.accelerators, answer.trouble) == ((), "the package a_package_of_nobody is not installed")


def test_gpus_of_several_makers_are_not_shared_out_and_one_of_them_can_be_hidden() -> None:
    (found,) = told(devices.check_parallel(context(X, Y, parallel="by_gpu")))
    assert found[0] == "error"
    assert "2 by x, 1 by y" in found[1]
    assert "Y_VISIBLE= llem run" in found[1]
    assert not shares_here(Makers(X, Y)).ids


def test_accelerators_that_nobody_can_be_shown_alone_are_not_shared_out() -> None:
    fixed = maker("x", "pair")
    (found,) = told(devices.check_parallel(context(fixed, parallel="by_gpu")))
    assert "Those by x cannot be shown to one experiment and kept from another." in found[1]
    assert "x-smi" in found[1]
    assert not shares_here(Makers(fixed)).ids


def test_each_experiment_is_shown_its_own() -> None:
    shares = shares_here(Makers(X))
    assert list(shares.ids) == ["X-1", "X-2"]
    assert shares.shown(["X-2"]) == {"X_VISIBLE": "X-2"}
    assert shares.shown([]) == {}


@pytest.mark.parametrize(("place", "concerned"), [("here", True), ("container", True), ("elsewhere", False)])
def test_this_machines_clocks_and_cards_concern_only_what_runs_on_it(place: str, concerned: bool) -> None:
    planned = context(X, place=place)
    found = [
        *told(checks.check_governor(planned)),
        *told(checks.check_load(planned)),
        *told(devices.check_accelerators(planned)),
    ]
    assert (("ok", "no experiment runs on this machine: its clocks are in no figure ") not in found) is concerned
    assert (("ok", "no experiment runs on this machine: its load is in no figure ") not in found) is concerned
    assert (("ok", "accelerators by x: 2 × X100 ") in found) is concerned


def test_checks_of_one_preflight_share_a_look_and_those_of_another_do_not() -> None:
    looks: list[PreflightContext] = []

    def look(seen: PreflightContext) -> int:
        looks.append(seen)
        return len(looks)

    first = context(X)
    assert [first.once(look), first.once(look)] == [1, 1]
    assert replace(first).once(look) == 2
    assert context(X).once(look) == 3


def test_a_look_that_fails_is_made_anew() -> None:
    answers: list[Any] = [ValueError("not yet"), "seen"]

    def look(seen: PreflightContext) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    planned = context()
    with pytest.raises(ValueError, match="not yet"):
        planned.once(look)
    assert planned.once(look) == "seen"


def test_the_makers_that_llem_knows_can_be_shown_alone_and_leave_traces() -> None:
    for spec in llem_accelerators():
        assert spec.confine
        assert spec.device_files
        assert spec.libraries
