"""Prefill and decode apart: the window's energy is divided by its curve, or not at all and for a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.energy import window_energy
from llem.measure.latency import Timing
from llem.measure.series import Series, Track
from llem.measure.stages import stages
from llem.results.models import Stages
from llem.specs.backend import Request, RequestRecord
from llem.specs.sampler import Device
from llem.specs.scenario import Answer

S = 10**9
PREFILL_W, DECODE_W, BETWEEN_W = 600.0, 300.0, 100.0


def row(batch: int, release_s: float, tokens_s: Sequence[float], request: int = 0) -> Timing:
    """One request of a batch whose tokens came at these times; none for an engine that does not tell."""
    times = tuple(round(t * S) for t in tokens_s)
    record = RequestRecord(
        id=request,
        input_tokens=8,
        output_tokens=max(1, len(times)),
        start_ns=round(release_s * S),
        end_ns=times[-1] if times else round((release_s + 1) * S),
        finish="length",
        token_ns=times or None,
    )
    question = Request(id=request, prompt="a", output_tokens=max(1, len(times)))
    answer = Answer(1, batch, round(release_s * S), record.end_ns, [question], [record])
    return Timing(answer, record)


def batches(count: int, prefill_s: float, decode_s: float, pause_s: float = 0.0) -> list[Timing]:
    every = prefill_s + decode_s + pause_s
    return [row(i + 1, i * every, [i * every + prefill_s, i * every + prefill_s + decode_s]) for i in range(count)]


def metered(
    watts: Callable[[float], float], seconds: float, *, hz: float = 100, note: str = "", counter: bool = False
) -> Series:
    """A device of known power, sampled in the middle of the finest steps of its curve."""
    methods = frozenset({"counter"} if counter else {"power"})
    device = Device(
        id="GPU-1", name="Card", scope="gpu", methods=methods, note=note, update_period_s=0.001 if counter else None
    )
    made, energy = Track("meter", device), 0.0
    for i in range(round((seconds + 1) * hz)):
        t = (i + 0.5) / hz - 0.5
        made.append(round((t + 1) * S), energy if counter else None, None if counter else watts(t), {})
        energy += sum(watts(t + (k + 0.5) / hz / 20) / hz / 20 for k in range(20))
    return Series([made], hz=hz)


def shifted(rows: list[Timing]) -> list[Timing]:
    """A second later, so that readings begin before the window."""
    later = []
    for r in rows:
        times = [t / S + 1 for t in r.record.token_ns or ()]
        later.append(row(r.answer.batch_number, r.answer.released_ns / S + 1, times, r.record.id))
    return later


def divided(rows: list[Timing], series: Series, seconds: float) -> Stages:
    window = (S, round((seconds + 1) * S))
    return stages(series, window_energy(series, *window), shifted(rows), window, headline=["GPU-1"])


def course(prefill_s: float, decode_s: float, pause_s: float) -> Callable[[float], float]:
    def watts(t: float) -> float:
        at = t % (prefill_s + decode_s + pause_s)
        return PREFILL_W if at < prefill_s else DECODE_W if at < prefill_s + decode_s else BETWEEN_W

    return watts


@pytest.mark.parametrize("counter", [False, True])
def test_each_stage_gets_what_was_drawn_in_it(counter: bool) -> None:
    found = divided(batches(5, 0.5, 1.0, 0.5), metered(course(0.5, 1.0, 0.5), 10, counter=counter), 10)
    assert found.reason is None
    assert found.prefill is not None
    assert found.decode is not None
    assert (found.prefill.duration_s, found.decode.duration_s) == (pytest.approx(2.5), pytest.approx(5))
    assert found.prefill.energy_j == pytest.approx(2.5 * PREFILL_W, rel=0.02)
    assert found.decode.energy_j == pytest.approx(5 * DECODE_W, rel=0.02)
    assert found.prefill.devices_j == {"GPU-1": found.prefill.energy_j}


@given(st.floats(0.2, 1.0), st.floats(0.2, 2.0), st.floats(0, 0.5))
def test_stages_never_exceed_the_window(prefill_s: float, decode_s: float, pause_s: float) -> None:
    seconds = 4 * (prefill_s + decode_s + pause_s)
    series = metered(course(prefill_s, decode_s, pause_s), seconds)
    found = divided(batches(4, prefill_s, decode_s, pause_s), series, seconds)
    (device,) = window_energy(series, S, round((seconds + 1) * S))
    assert found.prefill is not None
    assert found.decode is not None
    assert found.prefill.energy_j is not None
    assert found.decode.energy_j is not None
    assert device.energy_j is not None
    assert found.prefill.energy_j + found.decode.energy_j <= device.energy_j * (1 + 1e-9)
    if pause_s == 0:
        assert found.prefill.energy_j + found.decode.energy_j == pytest.approx(device.energy_j, rel=1e-6)


def test_a_prefill_that_the_meter_cannot_see_has_no_energy_and_a_reason() -> None:
    found = divided(batches(10, 0.02, 0.98), metered(course(0.02, 0.98, 0), 10, hz=20), 10)
    assert found.prefill is not None
    assert found.decode is not None
    assert (found.prefill.energy_j, found.prefill.devices_j) == (None, {})
    assert found.prefill.duration_s == pytest.approx(0.2)
    assert found.decode.energy_j == pytest.approx(9.8 * DECODE_W, rel=0.02)
    assert found.reason is not None
    assert "prefill takes 0.02 s" in found.reason


def test_power_that_is_averaged_over_a_second_divides_no_short_stage() -> None:
    note = "power field nvmlDeviceGetPowerUsage; on this card an average over the last second"
    found = divided(batches(5, 0.5, 1.5), metered(course(0.5, 1.5, 0), 10, note=note), 10)
    assert found.prefill is not None
    assert found.prefill.energy_j is None
    assert found.reason is not None
    assert "1 s each" in found.reason


def test_without_token_times_there_is_a_reason_alone() -> None:
    found = divided([row(1, 0, [])], metered(course(1, 1, 0), 4), 4)
    assert (found.prefill, found.decode) == (None, None)
    assert found.reason == "the engine gives no time for each token"


def test_a_batch_whose_requests_are_in_different_stages_is_not_divided() -> None:
    rows = [row(1, 0, [0.5, 1.0, 1.5], 0), row(1, 0, [1.2, 1.4], 1)]
    found = divided(rows, metered(course(1, 1, 0), 4), 4)
    assert found.prefill is None
    assert found.reason is not None
    assert "while others decode" in found.reason


def test_answers_of_one_token_have_no_decode() -> None:
    rows = [row(1, 0, [1.0], 0), row(1, 0, [1.0], 1)]
    found = divided(rows, metered(course(1, 0.5, 0), 2), 2)
    assert found.prefill is not None
    assert found.prefill.energy_j is not None
    assert found.decode is None


def test_a_headline_device_that_is_not_told_leaves_the_sum_open() -> None:
    series, window = metered(course(0.5, 1, 0.5), 10), (S, 11 * S)
    found = stages(
        series, window_energy(series, *window), shifted(batches(5, 0.5, 1, 0.5)), window, headline=["GPU-1", "GPU-2"]
    )
    assert found.prefill is not None
    assert found.prefill.energy_j is None
    assert list(found.prefill.devices_j) == ["GPU-1"]
