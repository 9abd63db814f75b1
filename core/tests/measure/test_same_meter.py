"""One counter under two names is counted once and says why; two real ones are never merged, however alike their loads."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sim.meters import PACKAGE, WALL, Bench, Load, Meter

from llem.measure.same_meter import same_meters
from llem.measure.series import Track

BENCH = Bench(load=Load([(12, 10.0), (1e9, 68.0)]), seconds=32)
FIRST = Meter(device=PACKAGE, period_s=0.001, quantum_j=15.26e-6)
FEW = settings(deadline=None, max_examples=10, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def named(meter: Meter, id_: str) -> Meter:
    return replace(meter, device=replace(meter.device, id=id_))


@pytest.mark.parametrize("names", [("package-0-die-0", "package-0-die-1"), ("package-0", "package-1")])
def test_two_dies_that_mirror_one_counter_are_counted_once_and_the_result_says_why(names: tuple[str, str]) -> None:
    first, second = (named(FIRST, f"rapl:{name}") for name in names)
    found = BENCH.figures(first, replace(second, zero_j=5.0))
    assert found.energy.headline is not None
    assert found.energy.headline.mean_w == pytest.approx(68, rel=0.01)
    assert found.energy.headline.devices == [first.device.id]
    assert [d.same_as for d in found.energy.devices] == [None, first.device.id]
    (warning,) = found.warnings
    assert warning.code == "same_meter"
    assert f"counted once, as {first.device.id}" in warning.message


def test_dies_whose_names_are_alike_need_no_more_than_steady_power() -> None:
    steady = replace(BENCH, load=Load([(1e9, 68.0)]), jitter=0)
    dies = [named(replace(FIRST, quantum_j=1.0, period_s=0), f"rapl:package-0-die-{i}") for i in (0, 1)]
    assert [d.same_as for d in steady.figures(*dies).energy.devices] == [None, "rapl:package-0-die-0"]


@FEW
@given(st.integers(0, 10**6), st.floats(1e-4, 0.05), st.sampled_from([15.26e-6, 0.001, 0.015, 1.0]))
def test_two_sockets_with_nearly_the_same_load_are_added(seed: int, apart: float, quantum_j: float) -> None:
    first = replace(FIRST, quantum_j=quantum_j)
    second = named(replace(first, gain=1 + apart, zero_j=3.0), "rapl:package-1")
    found = replace(BENCH, seed=seed).figures(first, second)
    assert [d.same_as for d in found.energy.devices] == [None, None]
    assert found.energy.headline is not None
    assert found.energy.headline.mean_w == pytest.approx(136, rel=0.05)


def test_one_wattmeter_under_two_names_is_counted_once_and_two_are_added() -> None:
    def shown(seed: int) -> Meter:
        noise = {i: random.Random(f"{seed} {i}").gauss(0, 3) for i in range(4000)}
        device = replace(WALL, id=f"wall:{seed}")
        return Meter(device=device, power=lambda t, w: round(w + noise[round(t * 100)], 1))

    twice = [replace(shown(1), device=replace(WALL, id=id_)) for id_ in ("wall:0", "usb:7")]
    found = BENCH.figures(*twice)
    assert [d.same_as for d in found.energy.devices] == [None, "wall:0"]
    assert "same_meter" in [w.code for w in found.warnings]
    assert found.energy.headline is not None
    assert found.energy.headline.mean_w == pytest.approx(68, rel=0.02)
    assert [d.same_as for d in BENCH.figures(shown(1), shown(2)).energy.devices] == [None, None]
    steady = Meter(device=WALL, power_step_w=1.0)
    coarse = [replace(steady, device=replace(WALL, id=id_)) for id_ in ("wall:0", "usb:7")]
    assert [d.same_as for d in BENCH.figures(*coarse).energy.devices] == [None, None], "coarse ones agree by chance"


@pytest.mark.parametrize(("agreeing", "merged"), [(9, "rapl:package-0-die-0"), (7, None)])
def test_counters_that_differ_in_more_than_a_fifth_of_their_readings_are_two(agreeing: int, merged: str | None) -> None:
    """Of each ten readings the second shows so many as the first does, and in the others part of a step less."""
    tracks = [Track("powercap", named(FIRST, f"rapl:package-0-die-{i}").device) for i in (0, 1)]
    for number in range(200):
        for lag_j, track in zip((0.0, 0.0 if number % 10 < agreeing else 0.3), tracks, strict=True):
            track.append(number * 50_000_000, 3.0 * number - lag_j, None, {})
    first, second = tracks
    assert same_meters(tracks) == ({} if merged is None else {second.key: first.device.id})
    assert merged in (None, first.device.id)
