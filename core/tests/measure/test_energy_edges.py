"""The counter of a card that ticks beside an edge of the window: told between its two ticks there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.edge_energy import counter_at
from llem.measure.energy import window_energy
from llem.measure.series import Series, Track
from llem.specs.sampler import Device

MS = 10**6
INSTANT = "power field NVML_FI_DEV_POWER_INSTANT"
AVERAGED = "power field nvmlDeviceGetPowerUsage; an average over the last second"


def step(at_ms: float) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """100 W, and 500 W from an instant on: watts and joules since 0, by milliseconds."""
    return lambda t: 500.0 if t >= at_ms else 100.0, lambda t: (100 * t + 400 * max(t - at_ms, 0)) / 1000


def measured(
    jump_ms: float, period_ms: float, phase_ms: float, edge_ms: float, *, hz: float = 20, note: str = INSTANT
) -> float:
    """Counter energy from a tick at 0 to an edge at which this card does not tick."""
    watts, joules = step(jump_ms)
    device = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}), note=note)
    track = Track("meter", device)
    for i in range(int(6 * hz)):
        t = i * 1000 / hz
        track.append(round(t * MS), joules((t - phase_ms) // period_ms * period_ms + phase_ms), watts(t), {})
    before = (edge_ms - phase_ms) // period_ms * period_ms + phase_ms
    ticks = [(round(t * MS), joules(t)) for t in (before, before + period_ms)]
    track.ticks.extend(ticks)
    open_ns, close_ns = 0, round(edge_ms * MS)
    series = Series([track], hz=hz, edges={open_ns: {track.key: (0, 0.0)}, close_ns: {track.key: ticks[0]}})
    (found,) = window_energy(series, open_ns, close_ns)
    assert found.counter_j is not None
    return found.counter_j


def test_steady_power_is_told_exactly() -> None:
    assert measured(9999, 100, 30, 2000) == pytest.approx(200, rel=1e-9)


def test_a_jump_of_power_between_the_ticks_is_followed_by_its_samples() -> None:
    truth = step(1700)[1](2000)
    assert measured(1700, 500, 100, 2000) == pytest.approx(truth, abs=400 * 0.05)  # one sample's worth
    straight = measured(1700, 500, 100, 2000, note=AVERAGED)  # which says nothing about when
    assert abs(straight - truth) > abs(measured(1700, 500, 100, 2000) - truth)


@given(st.floats(0, 4000), st.sampled_from([20.0, 100.0, 500.0]), st.floats(0, 1), st.floats(1000, 4000))
def test_the_figure_is_never_beyond_the_two_ticks(jump: float, period: float, phase: float, edge: float) -> None:
    joules = step(jump)[1]
    before = (edge - phase * period) // period * period + phase * period
    found = measured(jump, period, phase * period, edge)
    assert joules(before) - 1e-3 <= found <= joules(before + period) + 1e-3


def steady_card(asked_ms: float, ticks_ms: list[float], note: str, watts: float = 100.0) -> tuple[Series, Track]:
    """A card of constant power whose counter ticks every 100 ms, read at 20 Hz, with an instant that was asked for."""
    device = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}), note=note)
    track = Track("meter", device)
    for t in range(0, 3000, 50):
        track.append(t * MS, watts * (t // 100 * 100) / 1000, watts, {})
    track.ticks.extend((round(t * MS), watts * t / 1000) for t in ticks_ms)
    at_ns = round(asked_ms * MS)
    return Series([track], hz=20, asked={at_ns: at_ns}), track


@pytest.mark.parametrize("note", [INSTANT, AVERAGED])
def test_a_tick_since_which_the_counter_has_moved_is_not_the_one_before_the_instant(note: str) -> None:
    series, track = steady_card(2030, [400, 2100], note)
    track.ticks[0] = (400 * MS, 10.0)  # had much less been spent by then, it would say nothing about this instant
    assert counter_at(series, track, 2030 * MS) == pytest.approx(203, abs=0.05)


def test_an_instant_is_never_before_what_the_counter_had_shown() -> None:
    series, track = steady_card(2090, [2100], INSTANT)
    track.close_t_ns.extend(range(2090 * MS, 2102 * MS, MS))
    track.close_power_w.extend([5000.0] * 12)  # a power field that says fifty times too much
    assert counter_at(series, track, 2090 * MS) == 200


def test_without_a_tick_near_or_a_request_nothing_is_told_of_an_instant() -> None:
    series, track = steady_card(2500, [100], INSTANT)
    assert counter_at(series, track, 2500 * MS) is None
    assert counter_at(series, track, 100 * MS) is None  # nobody asked for it


def test_a_slow_counter_with_ticks_at_both_instants_gives_the_figure_and_not_samples_in_step_with_the_load() -> None:
    """Power swings between 100 and 500 W each 25 ms, and its samples, 50 ms apart, happen to see 500 W only."""

    def joules(t_ms: float) -> float:
        full, rest = divmod(t_ms, 50)
        return full * 15 + min(rest, 25) * 0.5 + max(rest - 25, 0) * 0.1

    device = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}), note=INSTANT)
    track = Track("meter", device)
    for t in range(0, 4000, 50):
        track.append(t * MS, joules(t // 500 * 500), 500.0, {})
    asked = [1010, 1580]
    for at in asked:
        tick = at // 500 * 500 + 500
        track.ticks.append((tick * MS, joules(tick)))
        for t in range(at - 2, tick + 2):
            track.close_t_ns.append(t * MS)
            track.close_power_w.append(500.0 if t % 50 < 25 else 100.0)
    open_ns, close_ns = (at * MS for at in asked)
    series = Series([track], hz=20, asked={at * MS: (at // 500 * 500 + 500) * MS for at in asked})
    (found,) = window_energy(series, open_ns, close_ns)
    assert found.method == "counter"
    assert found.energy_j == pytest.approx(joules(1580) - joules(1010), rel=0.02)
