"""Totals over devices: what is added, what never is, and which figure is the headline."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.energy import breakdown, gpus_in_use
from llem.results.models import DeviceEnergy, EnergyBreakdown, Tokens

TOKENS = Tokens(requests=4, input=100, output=50)
JOULES = st.floats(0, 1e6)


def device(id_: str, energy_j: float | None = 100.0, **changes: Any) -> DeviceEnergy:
    """A device's energy over a window of 10 s: a GPU measured by its counter unless said otherwise."""
    values: dict[str, Any] = {
        "device": id_,
        "name": id_,
        "scope": "gpu",
        "sampler": "nvml",
        "method": "counter",
        "energy_j": energy_j,
        "mean_w": None if energy_j is None else energy_j / 10,
    }
    return DeviceEnergy(**values | changes)


def package(id_: str, energy_j: float | None = 100.0, **changes: Any) -> DeviceEnergy:
    return device(id_, energy_j, **{"scope": "cpu", "sampler": "rapl"} | changes)


def estimate(energy_j: float | None = 100.0) -> DeviceEnergy:
    return device("estimate:cpu", energy_j, scope="cpu", sampler="estimate", method="estimate")


def totals(*devices: DeviceEnergy, used: list[str] | None = None, tokens: Tokens = TOKENS) -> EnergyBreakdown:
    return breakdown(devices, 10.0, tokens, used=used)


def test_gpus_are_added_and_each_stays_visible() -> None:
    found = totals(device("GPU-1", 100), device("GPU-2", 300))
    assert found.headline is not None
    assert found.headline.energy_j == 400
    assert found.headline.mean_w == 40
    assert found.headline.devices == ["GPU-1", "GPU-2"]
    assert [d.energy_j for d in found.devices] == [100, 300]


def test_a_gpu_that_the_experiment_does_not_use_is_not_added() -> None:
    found = totals(device("GPU-1", 100), device("GPU-2", 300), used=["GPU-1"])
    assert found.headline is not None
    assert found.headline.energy_j == 100
    assert len(found.devices) == 2


@given(JOULES, JOULES, JOULES, JOULES)
def test_what_a_device_contains_is_never_counted_twice(total: float, core: float, dram: float, psys: float) -> None:
    found = totals(
        package("rapl:package-0", total),
        package("rapl:package-0/core", core, contained_in="rapl:package-0"),
        package("rapl:package-0/dram", dram, scope="dram"),
        package("rapl:psys", psys, scope="host"),
    )
    assert {t.scope: t.energy_j for t in found.totals} == {"cpu": total, "dram": dram, "host": psys}
    assert all("core" not in name for t in found.totals for name in t.devices)


def test_a_core_zone_counts_where_its_package_is_not_there() -> None:
    found = totals(package("rapl:package-0/core", 30, contained_in="rapl:package-0"))
    assert [t.energy_j for t in found.totals] == [30]


@given(JOULES, JOULES)
def test_measured_and_estimated_energy_are_never_added(measured: float, guessed: float) -> None:
    found = totals(package("rapl:package-0", measured), estimate(guessed))
    assert {(t.method, t.energy_j) for t in found.totals} == {("counter", measured), ("estimate", guessed)}
    assert found.headline is not None
    assert found.headline.method == "counter"


def test_one_card_read_by_two_samplers_counts_once() -> None:
    found = totals(device("GPU-1", 100), device("GPU-1", 101, sampler="other"))
    assert found.headline is not None
    assert found.headline.energy_j == 100


def test_two_samplers_of_the_host_stand_apart() -> None:
    found = totals(package("rapl:package-0", 100), package("other:cpu", 90, sampler="other"))
    assert [t.energy_j for t in found.totals] == [100, 90]


def test_a_total_with_an_unmeasured_part_is_no_total() -> None:
    found = totals(device("GPU-1", 100), device("GPU-2", None))
    assert found.totals == []
    assert found.headline is None


def test_a_gpu_in_use_that_nobody_metered_leaves_no_headline() -> None:
    found = totals(device("GPU-1", 100), package("rapl:package-0", 50), used=["GPU-1", "GPU-9"])
    assert found.headline is None
    assert {t.scope for t in found.totals} == {"gpu", "cpu"}
    assert gpus_in_use(found.devices, ["GPU-1", "GPU-9"]) == ["GPU-1", "GPU-9"]


def test_without_gpus_in_use_the_cpu_is_the_headline() -> None:
    found = totals(device("GPU-1", 100), estimate(7), package("rapl:package-0", 50), used=["cpu"])
    assert found.headline is not None
    assert (found.headline.scope, found.headline.energy_j) == ("cpu", 50)


def test_an_estimate_is_the_headline_only_where_nothing_is_measured() -> None:
    found = totals(estimate(7), used=["cpu"])
    assert found.headline is not None
    assert found.headline.method == "estimate"


def test_where_nothing_was_read_there_is_no_headline() -> None:
    assert totals().headline is None
    assert totals(estimate(None)).headline is None


def test_a_total_of_counters_and_power_is_called_power() -> None:
    found = totals(device("GPU-1"), device("GPU-2", method="power"))
    assert found.headline is not None
    assert found.headline.method == "power"


def test_one_unreliable_device_makes_the_total_unreliable() -> None:
    found = totals(device("GPU-1"), device("GPU-2", unreliable=True))
    assert found.headline is not None
    assert found.headline.unreliable


def test_a_total_is_adjusted_only_where_each_device_is() -> None:
    both = totals(device("GPU-1", adjusted_j=60.0), device("GPU-2", adjusted_j=50.0)).headline
    one = totals(device("GPU-1", adjusted_j=60.0), device("GPU-2")).headline
    assert both is not None
    assert both.adjusted_j == 110
    assert one is not None
    assert one.adjusted_j is None


def test_figures_per_token_divide_by_what_was_counted() -> None:
    found = totals(device("GPU-1", 300)).headline
    assert found is not None
    assert found.j_per_output_token == 6
    assert found.j_per_token == 2
    assert found.j_per_request == 75


def test_without_output_tokens_there_is_no_figure_per_token() -> None:
    found = totals(device("GPU-1", 300), tokens=Tokens(requests=0, input=0, output=0)).headline
    assert found is not None
    assert (found.j_per_output_token, found.j_per_token, found.j_per_request) == (None, None, None)


@given(st.lists(JOULES, min_size=1, max_size=8), st.integers(1, 10**6), st.floats(0.01, 1e5))
def test_the_gross_identity_holds_in_every_total(joules: list[float], output: int, window_s: float) -> None:
    tokens = Tokens(requests=1, input=0, output=output)
    found = breakdown([device(f"GPU-{i}", j) for i, j in enumerate(joules)], window_s, tokens)
    for figure in found.totals:
        assert figure.j_per_output_token == pytest.approx(figure.mean_w / (output / window_s), rel=1e-9)


def test_where_only_a_host_meter_is_there_its_figure_is_the_headline() -> None:
    wall = device("wall:0", 620, scope="host", sampler="file-meter", method="power")
    for used in (["cpu"], ["GPU-1"], None):
        headline = totals(wall, used=used).headline
        assert headline is not None
        assert (headline.scope, headline.energy_j) == ("host", 620)
    beside = totals(wall, device("GPU-1", 100), package("rapl:package-0", 50), used=["GPU-1"])
    assert beside.headline is not None
    assert beside.headline.scope == "gpu"
    assert {t.scope: t.energy_j for t in beside.totals} == {"gpu": 100, "cpu": 50, "host": 620}, "and none is added"
    assert getattr(totals(wall, estimate(7), used=["cpu"]).headline, "scope", None) == "host", (
        "measured before estimated"
    )


def test_a_module_stands_for_its_gpu_where_that_has_no_meter_and_both_are_never_added() -> None:
    module = device("GPU-1/module", 700, scope="module")
    gpu = device("GPU-1", 400, contained_in="GPU-1/module")
    both = totals(gpu, module, used=["GPU-1"])
    assert both.headline is not None
    assert (both.headline.scope, both.headline.energy_j) == ("gpu", 400)
    assert {t.scope: t.energy_j for t in both.totals} == {"gpu": 400, "module": 700}
    alone = totals(module, used=["GPU-1"]).headline
    assert alone is not None
    assert (alone.scope, alone.energy_j) == ("module", 700)
