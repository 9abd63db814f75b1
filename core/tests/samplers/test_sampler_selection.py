"""The choice of samplers, and the reason why the others do not measure."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from llem.errors import PluginError, SamplerUnavailable
from llem.hookspecs import API_VERSION
from llem.plugins import Registry, default_registry
from llem.samplers.select import close_samplers, open_samplers
from llem.specs import kinds
from llem.specs.sampler import Device, Method, Reading, SamplerSpec, Scope

SETTINGS: Mapping[str, object] = {"cpu_tdp_w": None, "devices": None}


class Plain:
    """A sampler of one CPU; tells when it is closed."""

    scope: ClassVar[Scope] = "cpu"
    open_now: ClassVar[list[str]] = []

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        self.open_now.append(type(self).__name__)
        return [Device(id=type(self).__name__, name="a device", scope=self.scope, methods=frozenset({"counter"}))]

    def read(self) -> Sequence[Reading]:
        return []

    def environment(self) -> Mapping[str, object]:
        return {}

    def close(self) -> None:
        if type(self).__name__ in self.open_now:
            self.open_now.remove(type(self).__name__)


class Card(Plain):
    scope = "gpu"


class Refusing(Plain):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        super().open(settings)
        raise SamplerUnavailable("there is no meter.", remedy="Buy one.")


class Raising(Plain):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        raise ZeroDivisionError("a bug")


class Empty(Plain):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return []


class Clinging(Plain):
    def close(self) -> None:
        super().close()
        raise OSError("still in use")


SAMPLERS: dict[str, Any] = {c.__name__.lower(): c for c in (Plain, Card, Refusing, Raising, Empty, Clinging)}


class Table(Registry):
    """A registry of these samplers, and nothing else."""

    def __init__(self, *specs: SamplerSpec) -> None:
        super().__init__([], builtin=False)
        self._own = {spec.name: spec for spec in specs}

    def __getitem__(self, kind: Any) -> Any:
        return self._own if kind is kinds.SAMPLERS else super().__getitem__(kind)


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the samplers of this file loadable by a path, as an installed plugin's are."""
    module = types.ModuleType("llem_selection_samplers")
    module.__dict__.update(SAMPLERS)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Plain.open_now.clear()


def spec(name: str, *, methods: set[Method] | None = None, **changes: Any) -> SamplerSpec:
    values: dict[str, Any] = {
        "name": name,
        "api_version": API_VERSION,
        "summary": "of a test",
        "methods": frozenset(methods or {"counter"}),
        "scopes": frozenset({"cpu"}),
        "sampler": f"llem_selection_samplers:{name}",
    }
    return SamplerSpec(**values | changes)


def reasons(table: Table, names: Sequence[str] | None = None) -> dict[str, str | None]:
    """Name to reason, None for a sampler that is used."""
    opened, reports = open_samplers(table, names, SETTINGS)
    assert [o.name for o in opened] == [r.name for r in reports if r.used]
    close_samplers(opened)
    return {r.name: r.reason for r in reports}


def test_all_that_work_are_used_and_the_others_say_why() -> None:
    found = reasons(Table(spec("plain"), spec("refusing"), spec("raising"), spec("empty"), spec("card")))
    assert found == {
        "plain": None,
        "refusing": "there is no meter. Buy one.",
        "raising": "it fails to open: ZeroDivisionError: a bug.",
        "empty": "it found no device.",
        "card": None,
    }
    assert Plain.open_now == []


def test_reports_list_the_devices() -> None:
    opened, reports = open_samplers(Table(spec("plain")), None, SETTINGS)
    close_samplers(opened)
    assert reports[0].devices == ["Plain"]


def test_a_missing_package_is_named_with_how_to_install_it() -> None:
    found = reasons(Table(spec("plain", requires=("no_such_package_here",), install="pip install it")))
    assert found["plain"] is not None
    assert "no_such_package_here" in found["plain"]
    assert "pip install it" in found["plain"]


@pytest.mark.parametrize("path", ["no_such_package_here:Sampler", "llem_selection_samplers:Nothing", "not a path"])
def test_a_path_that_leads_nowhere_is_a_reason(path: str) -> None:
    found = reasons(Table(spec("plain", sampler=path)))
    assert found["plain"] is not None
    assert "cannot be loaded" in found["plain"]


def test_an_estimate_yields_to_a_measurement_of_the_same_scope() -> None:
    found = reasons(Table(spec("card"), spec("plain", yields_to=frozenset({"clinging"})), spec("clinging")))
    assert found == {"card": None, "plain": "not needed: `clinging` measures the same here", "clinging": None}
    assert Plain.open_now == []


def test_it_does_not_yield_to_another_scope_or_to_one_that_does_not_work() -> None:
    yielding = spec("plain", yields_to=frozenset({"card", "refusing"}))
    assert reasons(Table(yielding, spec("card"), spec("refusing")))["plain"] is None


def test_a_sampler_asked_for_by_name_never_yields() -> None:
    table = Table(spec("plain", yields_to=frozenset({"clinging"})), spec("clinging"))
    assert reasons(table, ["clinging", "plain"]) == {"clinging": None, "plain": None}


def test_exactly_the_named_ones_are_used_once_each() -> None:
    assert list(reasons(Table(spec("plain"), spec("card")), ["card", "card"])) == ["card"]


def test_a_named_sampler_that_does_not_work_is_an_error_that_leaves_none_open() -> None:
    with pytest.raises(SamplerUnavailable) as caught:
        open_samplers(Table(spec("plain"), spec("refusing")), ["plain", "refusing"], SETTINGS)
    assert str(caught.value) == (
        "measurement.samplers: the energy sampler `refusing` does not work here: there is no meter. Buy one."
    )
    assert Plain.open_now == []


def test_a_name_that_nobody_registered_is_an_error() -> None:
    with pytest.raises(PluginError, match="estimat"):
        open_samplers(default_registry(), ["estimat"], SETTINGS)


def test_llems_own_samplers_open_or_say_why() -> None:
    opened, reports = open_samplers(default_registry(), None, SETTINGS)
    close_samplers(opened)
    assert {"nvml", "rapl", "estimate"} <= {r.name for r in reports}
    assert all(r.reason for r in reports if not r.used)
    assert any(r.used for r in reports)


def test_a_sampler_on_request_is_not_even_opened_unless_it_is_named() -> None:
    table = Table(spec("card"), spec("raising", on_request=True), spec("plain", on_request=True))
    found = reasons(table)
    assert found.pop("card") is None
    assert all("measurement.samplers names it" in str(reason) for reason in found.values())
    opened, reports = open_samplers(table, ["plain"], SETTINGS)
    assert [(report.name, report.used) for report in reports] == [("plain", True)]
    close_samplers(opened)
