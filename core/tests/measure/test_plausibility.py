"""The gate: what cannot be is no figure, its cause is named with both numbers, and honest meters pass whatever they are like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from sim.meters import GPU, IDLE_THEN_WORK, PACKAGE, WALL, Bench, Load, Meter

from llem.measure.energy import window_energy
from llem.measure.plausibility import Said, judge
from llem.measure.series import Series, Track
from llem.measure.window_figures import WindowFigures, window_figures
from llem.results.models import DeviceEnergy, Tokens

FEW = settings(deadline=None, max_examples=10, phases=[Phase.explicit, Phase.reuse, Phase.generate])
"""Each case is an experiment of a thousand readings, so that few are drawn and none is made smaller."""

BENCH = Bench(load=IDLE_THEN_WORK)
CARD = Meter(device=GPU, period_s=0.1, noise=0.03)
POWER_CARD = CARD.lying(device=replace(GPU, methods=frozenset({"power"}), update_period_s=None))
RAPL = Meter(device=PACKAGE, period_s=0.001, quantum_j=15.26e-6)
ESTIMATE = Meter(
    device=replace(PACKAGE, id="estimate:cpu", methods=frozenset({"estimate"}), update_period_s=0.01, max_power_w=400)
)
TRUTH = pytest.approx(BENCH.truth_j, rel=0.01)


def codes(found: WindowFigures) -> list[str]:
    return [warning.code for warning in found.warnings]


def only(found: WindowFigures) -> DeviceEnergy:
    (device,) = found.energy.devices
    return device


def message(found: WindowFigures, code: str) -> str:
    return next(warning.message for warning in found.warnings if warning.code == code)


# What lies.


@pytest.mark.parametrize("value", [0.0, 4711.5])
def test_a_counter_that_stands_still_gives_way_to_power_and_both_numbers_are_told(value: float) -> None:
    found = BENCH.figures(CARD.lying(counter=lambda t, j: value))
    device = only(found)
    assert (device.method, device.counter_j, device.energy_j) == ("power", None, TRUTH)
    assert device.disagreement == 1.0, "a counter of 0 is a number, and disagrees with 3000 J"
    assert codes(found) == ["counter_stuck"]
    assert "Card (GPU-1)" in message(found, "counter_stuck")
    assert "counter 0 J and power 300" in message(found, "counter_stuck")
    assert found.energy.headline is not None
    assert found.energy.headline.method == "power"


@FEW
@given(st.floats(20.5, 27))
def test_a_counter_that_freezes_in_the_window_gives_way_to_power(at_s: float) -> None:
    found = BENCH.figures(CARD.lying(counter=lambda t, j: min(j, 1000 + BENCH.load.energy_j(at_s))))
    assert (only(found).method, only(found).energy_j) == ("power", TRUTH)
    assert codes(found) == ["counter_froze"]


@FEW
@given(st.floats(21, 24), st.floats(2, 5))
def test_a_counter_that_forgets_what_passed_meanwhile_has_frozen_too(at_s: float, for_s: float) -> None:
    held_j = 1000 + BENCH.load.energy_j(at_s)
    missed_j = BENCH.load.energy_j(at_s + for_s) - BENCH.load.energy_j(at_s)

    def counter(t: float, joules: float) -> float:
        return joules if t < at_s else max(held_j, joules - missed_j)

    assert codes(BENCH.figures(CARD.lying(counter=counter))) == ["counter_froze"]


@FEW
@given(st.floats(20.5, 29), st.floats(500, 1e12))
def test_a_counter_that_jumps_gives_way_to_power(at_s: float, by_j: float) -> None:
    found = BENCH.figures(CARD.lying(counter=lambda t, j: j + (by_j if t >= at_s else 0)))
    assert only(found).energy_j == TRUTH
    assert codes(found) == ["counter_jumped"]


@FEW
@given(st.floats(20.5, 29), st.floats(200, 1e4))
def test_a_counter_that_goes_back_gives_way_to_power(at_s: float, by_j: float) -> None:
    found = BENCH.figures(CARD.lying(counter=lambda t, j: j - (by_j if t >= at_s else 0)))
    assert only(found).energy_j == TRUTH
    assert codes(found) == ["counter_backwards"]


def test_a_counter_in_a_wrong_unit_is_told_by_the_limit_that_it_breaks() -> None:
    found = BENCH.figures(CARD.lying(counter=lambda t, j: j * 1000))
    assert only(found).energy_j == TRUTH
    assert codes(found) == ["energy_implausible"]
    assert "above 700 W" in message(found, "energy_implausible")
    unknown = replace(GPU, max_power_w=None)
    assert codes(BENCH.figures(CARD.lying(device=unknown, counter=lambda t, j: j * 1000))) == ["energy_implausible"]


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (lambda t, w: -w, "power_implausible"),
        (lambda t, w: w if t < 22 or t > 23 else -500.0, "power_implausible"),
        (lambda t, w: 0.0, "zero_energy"),
        (lambda t, w: w if t < 22 or t > 26 else 0.0, "power_implausible"),
        (lambda t, w: w * 1000, "power_implausible"),
        (lambda t, w: w if t < 22 else 300.125, "power_stuck"),
    ],
)
def test_power_that_cannot_be_is_no_figure(lie: Callable[[float, float], float], code: str) -> None:
    found = BENCH.figures(POWER_CARD.lying(power=lie))
    assert only(found).energy_j is None
    assert codes(found) == [code, "energy_unmeasured"]
    assert found.energy.headline is None
    beside = BENCH.figures(CARD.lying(power=lie))
    assert (only(beside).method, only(beside).energy_j) == ("counter", TRUTH)
    if code != "power_stuck":  # beside a counter it is judged by what that says
        assert codes(beside) == ["power_implausible"]


def test_power_that_kept_its_idle_value_while_the_counter_shows_work_is_stuck() -> None:
    found = BENCH.figures(CARD.lying(power=lambda t, w: 58.25))
    assert (only(found).method, only(found).energy_j) == ("counter", TRUTH)
    assert codes(found) == ["power_stuck"]


def test_a_sensor_that_saturates_for_the_whole_window_is_stuck_by_what_it_showed_before() -> None:
    found = BENCH.figures(POWER_CARD.lying(power=lambda t, w: min(w, 250.0)))
    assert only(found).energy_j is None
    assert codes(found) == ["power_stuck", "energy_unmeasured"]
    steady = replace(BENCH, load=Load([(1e9, 250.0)]))
    assert codes(steady.figures(POWER_CARD.lying(noise=0.0))) == [], "one that never showed noise may be a coarse one"


@pytest.mark.parametrize("last_s", [12, 25])
def test_where_the_readings_end_is_told_with_the_figure_that_is_missing(last_s: int) -> None:
    for meter, what in ((POWER_CARD, "power"), (RAPL, "energy")):
        found = BENCH.figures(meter.lying(silent=[(last_s, 99)]))
        assert only(found).energy_j is None
        where = f"{30 - last_s}.1 s before the end of the window" if last_s > 20 else "8.05 s older than the window"
        assert f"The last reading of its {what} is " in message(found, "energy_unmeasured")
        assert where.split(" s ")[1] in message(found, "energy_unmeasured")
    found = BENCH.figures(RAPL.lying(counter=lambda t, j: None if 22 < t < 23 else j))
    assert "20 of its readings in the window gave no energy" in message(found, "energy_unmeasured")
    found = BENCH.figures(RAPL.lying(counter=lambda t, j: None))
    assert "neither energy nor power at any time" in message(found, "energy_unmeasured")


def test_a_counter_without_power_that_forgets_what_passed_meanwhile_has_frozen() -> None:
    def counter(t: float, joules: float) -> float:
        return joules if t < 23 else max(1000 + BENCH.load.energy_j(23), joules - 900)

    for meter in (RAPL, CARD.lying(device=replace(GPU, methods=frozenset({"counter"})))):
        assert codes(BENCH.figures(meter.lying(counter=counter))) == ["counter_froze", "energy_unmeasured"]


@pytest.mark.parametrize(("for_s", "told"), [(0.15, []), (0.4, ["counter_froze", "energy_unmeasured"])])
def test_a_counter_stands_still_from_five_of_its_own_gaps_on(for_s: float, told: list[str]) -> None:
    bench = replace(BENCH, load=Load([(12, 5.0), (1e9, 300.0)]))
    held_j, missed_j = 1000 + bench.load.energy_j(23), 300 * for_s
    assert codes(bench.figures(RAPL.lying(counter=lambda t, j: j if t < 23 else max(held_j, j - missed_j)))) == told


@pytest.mark.parametrize(("zeros", "told"), [(2, []), (6, ["power_implausible", "energy_unmeasured"])])
def test_power_of_exactly_nothing_in_a_fiftieth_of_the_readings_is_no_figure(zeros: int, told: list[str]) -> None:
    until_s = 22 + zeros / BENCH.hz - 1e-3
    found = BENCH.figures(POWER_CARD.lying(power=lambda t, w: 0.0 if 22 <= t < until_s else w))
    assert codes(found) == told


@pytest.mark.parametrize(("steps", "told"), [(12, []), (24, ["counter_inconsistent"])])
def test_an_interval_of_a_few_steps_accuses_no_counter_of_what_was_read_beside_it(steps: int, told: list[str]) -> None:
    """Read once a second, with a step of 10 J in each: twelve leave room for 100 to 140 J, 24 for 220 to 260 J."""
    track = Track("meter", PACKAGE)
    for second in range(60):
        track.append(second * 1_000_000_000, 10.0 * second, None, {})
    start_ns, end_ns = 20_500_000_000, (20 + steps) * 1_000_000_000 + 500_000_000
    verdict = judge(track, start_ns, end_ns, Said(counter_j=15.0 * steps, power_j=None))
    assert [doubt.code for doubt in verdict.doubts] == told


def test_what_a_sampler_gave_that_is_no_reading_is_told_beside_a_figure_that_stands() -> None:
    series = BENCH.read(CARD)
    series.complaints["meter"] = "it gave nan for GPU-1"
    counted = Tokens(requests=1, input=1, output=1)
    found = window_figures(series, 20_000_000_000, 30_000_000_000, tokens=counted)
    assert codes(found) == ["reading_refused"]
    assert "sampler meter" in message(found, "reading_refused")
    assert "it gave nan for GPU-1" in message(found, "reading_refused")
    assert only(found).energy_j == TRUTH


@pytest.mark.parametrize(("gain", "zero_j", "code"), [(1.0, 0, None), (1.0, 100, None), (1.5, 0, True), (0.5, 0, True)])
def test_a_counter_read_closely_at_the_edges_is_the_one_that_is_sampled(gain: float, zero_j: float, code: Any) -> None:
    for meter in (RAPL, CARD):
        series = BENCH.read(meter)
        (track,) = series.tracks
        for at_s in (20, 30):
            tick = (at_s * 10**9, gain * (1000 + BENCH.load.energy_j(at_s)) + zero_j)
            series.edges[tick[0]] = {track.key: tick}
            track.ticks.append(tick)
        counted = Tokens(requests=1, input=1, output=1)
        found = window_figures(series, 20 * 10**9, 30 * 10**9, tokens=counted)
        if code is None:
            assert codes(found) == []
            assert only(found).counter_j == TRUTH
        else:
            assert "counter_inconsistent" in codes(found)
            assert f"rose by {gain * 3000:g} J" in message(found, "counter_inconsistent")
            assert only(found).counter_j is None
            assert only(found).energy_j == (None if meter is RAPL else TRUTH)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 49), st.integers(0, 19), st.integers(1500, 1640), st.integers(2500, 3000), st.booleans())
def test_an_honest_counter_between_its_ticks_is_not_accused_by_its_readings(
    read_ms: int, tick_ms: int, open_ms: int, close_ms: int, falling: bool
) -> None:
    """A counter that ticks each 20 ms and is read each 50 ms; its ticks beside both edges are known, power is steady or falls."""

    def joules(t: float) -> float:
        return 0.5 * min(t, 1600) + 0.1 * max(t - 1600, 0) if falling else 0.3 * t

    def shown(t: float) -> float:
        return joules((t - tick_ms) // 20 * 20 + tick_ms)

    track = Track("meter", replace(GPU, update_period_s=0.02, note="power field nvmlDeviceGetPowerUsage"))
    for t in range(read_ms, 4000, 50):
        track.append(t * 1_000_000, shown(t), None, {})
    asked = {}
    for t in (open_ms, close_ms):
        tick = (t - tick_ms) // 20 * 20 + tick_ms
        track.ticks.extend(((tick + more) * 1_000_000, joules(tick + more)) for more in (0, 20))
        asked[t * 1_000_000] = t * 1_000_000
    (found,) = window_energy(Series([track], hz=20, asked=asked), open_ms * 1_000_000, close_ms * 1_000_000)
    assert found.doubts == []
    assert found.counter_j == pytest.approx(joules(close_ms) - joules(open_ms), abs=8)


def test_two_readings_of_nothing_leave_no_figure() -> None:
    found = BENCH.figures(CARD.lying(counter=lambda t, j: 0.0, power=lambda t, w: 0.0))
    assert only(found).energy_j is None
    assert codes(found) == ["counter_stuck", "zero_energy", "energy_unmeasured"]


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (lambda t, j: 0.0, "counter_stuck"),
        (lambda t, j: min(j, 1000 + BENCH.load.energy_j(24)), "counter_froze"),
        (lambda t, j: j + (5_000 if t > 25 else 0), "counter_jumped"),
        (lambda t, j: j - (500 if t > 25 else 0), "counter_backwards"),
        (lambda t, j: j * 1000, "energy_implausible"),
    ],
)
def test_a_counter_without_power_is_judged_by_itself(lie: Callable[[float, float], float], code: str) -> None:
    found = BENCH.figures(RAPL.lying(counter=lie))
    assert only(found).energy_j is None
    assert codes(found) == [code, "energy_unmeasured"]


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (lambda t, j: 7.0, "zero_energy"),
        (lambda t, j: 2 * j, "energy_implausible"),
        (lambda t, j: -j, "counter_backwards"),
    ],
)
def test_an_estimate_goes_through_the_same_gate(lie: Callable[[float, float], float], code: str) -> None:
    found = BENCH.figures(ESTIMATE.lying(counter=lie))
    assert only(found).energy_j is None
    assert codes(found) == [code, "energy_unmeasured"]


def test_use_that_a_device_tells_proves_work_where_no_token_does() -> None:
    silent = POWER_CARD.lying(power=lambda t, w: 0.0)
    assert codes(BENCH.figures(silent, tokens=0)) == []
    found = BENCH.figures(silent.lying(utilization=lambda t: 80.0), tokens=0)
    assert codes(found) == ["zero_energy", "energy_unmeasured"]
    assert "in use for 80 %" in message(found, "zero_energy")


@pytest.mark.parametrize(("percent", "told"), [(4.9, []), (5.0, ["zero_energy", "energy_unmeasured"])])
def test_use_proves_work_from_a_twentieth_of_the_time_on(percent: float, told: list[str]) -> None:
    silent = POWER_CARD.lying(power=lambda t, w: 0.0, utilization=lambda t: percent)
    assert codes(BENCH.figures(silent, tokens=0)) == told


def test_a_device_beside_the_headline_that_gives_nothing_leaves_the_headline_whole() -> None:
    found = BENCH.figures(CARD, RAPL.lying(counter=lambda t, j: 0.0), used=["GPU-1"])
    assert codes(found) == ["counter_stuck", "scope_unmeasured"]
    assert found.energy.headline is not None
    assert found.energy.headline.scope == "gpu"


@pytest.mark.parametrize(("close_s", "until_s"), [(21.5, 20.9), (30, 21), (30, 21.8), (80, 22.5)])
def test_a_sampler_that_says_nothing_for_a_part_of_the_window_is_told_with_its_seconds(
    close_s: float, until_s: float
) -> None:
    bench = replace(BENCH, close_s=close_s, seconds=close_s + 5)
    found = bench.figures(POWER_CARD.lying(silent=[(20.3, until_s)]))
    assert "sampling_gap" in codes(found)
    assert f"of the window of {close_s - 20:.3g} s" in message(found, "sampling_gap")
    share = (until_s - 20.3) / (close_s - 20)
    assert only(found).unreliable is (share >= 0.09), "interpolated power is unreliable from a tenth of the window"
    assert "sampling_gap" not in codes(bench.figures(POWER_CARD))


# What is honest.

WATTS = st.floats(1, 690)
LOADS = st.builds(
    lambda idle, steps: Load([(15, idle), *steps, (1e9, steps[-1][1])]),
    st.floats(0.3, 80),
    st.lists(st.tuples(st.floats(0.5, 6), WATTS), min_size=1, max_size=5),
)
SEEDS = st.integers(0, 10**6)


RISE_AFTER_REST = Load(
    [
        (15, 14.9),
        (5.118921829571347, 256.7),
        (5.5042760983401555, 1.0),
        (1.0, 616.7),
        (2.920407555721769, 85.5),
        (1e9, 85.5),
    ]
)
"""The counter's step over the rise holds what was drawn after a stretch of the lowest power."""


@FEW
@example(RISE_AFTER_REST, 1_000_000, 0.2, 0.04000572445458318, 0.015)
@given(LOADS, SEEDS, st.sampled_from([0.0, 0.02, 0.1, 0.2]), st.floats(0, 0.1), st.sampled_from([0.0, 0.001, 0.015]))
def test_an_honest_card_is_never_marked(load: Load, seed: int, period_s: float, phase: float, quantum_j: float) -> None:
    bench = Bench(load=load, seed=seed)
    card = Meter(device=GPU, period_s=period_s, phase_s=phase, quantum_j=quantum_j, zero_j=5000)
    found = bench.figures(card)
    gate = [code for code in codes(found) if code not in ("short_window", "energy_disagreement")]
    assert gate == []
    assert only(found).method == "counter"
    # A window that opens where power falls: the counter tells up to a tick of what was drawn before it only inside of it.
    tick_j = period_s * max(watts for _, watts in load.steps)
    assert only(found).energy_j == pytest.approx(bench.truth_j, rel=0.04, abs=0.3 + tick_j)


@FEW
@given(LOADS, SEEDS, st.sampled_from([0.001, 0.0]), st.sampled_from([15.26e-6, 61e-6, 0.015, 0.1]))
def test_an_honest_counter_without_power_is_never_marked(
    load: Load, seed: int, period_s: float, quantum_j: float
) -> None:
    bench = Bench(load=load, seed=seed)
    found = bench.figures(RAPL.lying(period_s=period_s, quantum_j=quantum_j))
    assert set(codes(found)) <= {"short_window"}
    assert only(found).energy_j == pytest.approx(bench.truth_j, rel=0.02, abs=0.3)


def test_a_counter_without_power_that_shows_late_what_passed_meanwhile_is_honest() -> None:
    held_j = 1000 + BENCH.load.energy_j(23)
    found = BENCH.figures(RAPL.lying(counter=lambda t, j: held_j if 23 < t < 26 else j))
    assert codes(found) == []
    assert only(found).energy_j == TRUTH


def test_power_that_averages_what_the_counter_shows_as_it_comes_is_not_stuck() -> None:
    bench = replace(BENCH, load=Load([(12, 60.0), *[(5, 240.0), (5, 360.0)] * 3]))
    found = bench.figures(CARD.lying(power=lambda t, w: 60.0 if t < 12 else 300.0))
    assert codes(found) == []
    assert only(found).power_j == pytest.approx(bench.truth_j, rel=0.01)


def test_a_wattmeter_that_idles_at_a_few_of_its_steps_is_not_stuck() -> None:
    watts = (60.796350667612955, 123.1451186418966, 637.4953464916962, 1.0, 97.44037576514079, 1.9, 1.9)
    seconds = (15, 5.651204138107968, 5.175038431984666, 5.0, 3.9935705895267826, 3.238581445256326, 1e9)
    bench = Bench(load=Load(steps=list(zip(seconds, watts, strict=True))), seed=1278)
    wall = Meter(device=WALL, power_step_w=0.1, noise=0.0171505542664699, power_period_s=0.05)
    assert set(codes(bench.figures(wall))) <= {"short_window"}


@FEW
@given(LOADS, SEEDS, st.sampled_from([0.1, 1.0]), st.floats(0, 0.1), st.sampled_from([0.05, 0.5, 1.0]))
def test_an_honest_wattmeter_is_never_marked(
    load: Load, seed: int, step_w: float, noise: float, period_s: float
) -> None:
    bench = Bench(load=load, seed=seed)
    wall = Meter(device=WALL, power_step_w=step_w, noise=noise, power_period_s=period_s)
    assert set(codes(bench.figures(wall))) <= {"short_window"} | (
        {"zero_energy", "energy_unmeasured"} if bench.truth_j < 10 else set()
    )


@FEW
@given(SEEDS, st.floats(1, 15), st.floats(100, 600))
def test_a_counter_that_updates_slowly_is_not_stuck(seed: int, period_s: float, watts: float) -> None:
    bench = Bench(load=Load([(1e9, watts)]), seed=seed, open_s=60, close_s=90, seconds=95)
    found = bench.figures(CARD.lying(period_s=period_s, phase_s=period_s / 3))
    assert set(codes(found)) <= {"short_window"}
    assert only(found).energy_j == pytest.approx(bench.truth_j, rel=0.02)
    assert only(found).update_period_s == pytest.approx(period_s, rel=0.05)


@FEW
@given(SEEDS, st.floats(0.002, 0.05))
def test_an_idle_machine_with_tiny_power_is_honest(seed: int, watts: float) -> None:
    bench = Bench(load=Load([(1e9, watts)]), seed=seed)
    found = bench.figures(RAPL.lying(quantum_j=0.015), CARD.lying(quantum_j=1.0), used=["GPU-1"])
    assert {code for code in codes(found) if code != "short_window"} <= {"energy_unmeasured", "scope_unmeasured"}


@FEW
@given(SEEDS, st.floats(20.5, 28), st.floats(0.3, 1.2))
def test_a_counter_that_was_not_read_for_a_while_has_neither_frozen_nor_jumped(
    seed: int, at_s: float, for_s: float
) -> None:
    found = replace(BENCH, seed=seed).figures(CARD.lying(silent=[(at_s, at_s + for_s)]))
    assert set(codes(found)) <= {"sampling_gap"}
    assert only(found).energy_j == TRUTH


@FEW
@given(st.floats(1.0, 500), st.floats(0.1, 1.0))
def test_no_mean_above_the_limit_and_none_below_nothing_ever_is_a_figure(factor: float, share: float) -> None:
    for lie in (
        {"counter": lambda t, j: factor * j},
        {"power": lambda t, w: factor * w},
        {"power": lambda t, w: -factor * w},
    ):
        device = only(BENCH.figures(CARD.lying(**lie)))
        for energy_j in (device.counter_j, device.power_j, device.energy_j):
            assert energy_j is None or 0 <= energy_j / 10 <= 700 * 1.1
