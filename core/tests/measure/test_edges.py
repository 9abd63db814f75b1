"""Instants that are asked for, on a clock that only readings move: what is read around them, and the energy that it gives."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure import edges, ticks
from llem.measure.edges import Edges
from llem.measure.energy import energy_between
from llem.measure.series import Series, SeriesReader, device_as_data
from llem.specs.sampler import Device

MS = 1_000_000
LOW_W, HIGH_W = 100.0, 500.0


class Bench:
    """Cards of a square wave whose counters tick apart, read by the code under test at known cost.

    Args:
        folder: where the readings go.
        period_ms: of the counters; wave_ms: of power, half of it high.
        cards: how many, their ticks spread over the period.
        scale: what the cards tell as power for each true watt.
        power_ns: how long a card takes to tell it.
    """

    def __init__(
        self,
        folder: Path,
        period_ms: float,
        wave_ms: float,
        cards: int = 1,
        scale: float = 1.0,
        power_ns: int = 10_000,
    ) -> None:
        self.now_ns = 0
        self.lines: list[Mapping[str, Any]] = []
        self.answers: list[Mapping[str, Any]] = []
        self._period_ns, self._wave_ns, self._scale = period_ms * MS, wave_ms * MS, scale
        self._power_ns = power_ns
        self._phases = [(0.37 + i * 0.618) % 1 * self._period_ns for i in range(cards)]
        self._file = folder / "readings.jsonl"
        self._note = "power field NVML_FI_DEV_POWER_INSTANT"
        self.edges = Edges(self.counters, self.powers, self.sweep, self.lines.append, self.answers.append)

    def joules(self, t_ns: float) -> float:
        """True energy of a card since 0."""
        whole, rest = divmod(t_ns, self._wave_ns)
        half = self._wave_ns / 2
        per_wave = half * (LOW_W + HIGH_W)
        return (whole * per_wave + HIGH_W * min(rest, half) + LOW_W * max(rest - half, 0)) / 1e9

    def watts(self, t_ns: float) -> float:
        """True power of a card."""
        return HIGH_W if t_ns % self._wave_ns < self._wave_ns / 2 else LOW_W

    def counter(self, card: int) -> float:
        tick_ns = (self.now_ns - self._phases[card]) // self._period_ns * self._period_ns + self._phases[card]
        return self.joules(max(tick_ns, 0))

    def counters(self) -> dict[int, tuple[int, float]]:
        found = {}
        for card in range(len(self._phases)):
            self.now_ns += 10_000
            found[card] = (self.now_ns, self.counter(card))
        return found

    def powers(self) -> dict[int, tuple[int, float]]:
        found = {}
        for card in range(len(self._phases)):
            self.now_ns += self._power_ns
            found[card] = (self.now_ns, self.watts(self.now_ns) * self._scale)
        return found

    def sweep(self, slot: int | None) -> int:
        rows = []
        for card in range(len(self._phases)):
            self.now_ns += 20_000
            rows.append([card, self.now_ns, self.counter(card), self.watts(self.now_ns) * self._scale, {}])
        self.lines.append({"k": slot, "t": self.now_ns, "r": rows})
        return self.now_ns

    def until(self, t_ns: float) -> None:
        """Let time pass as the sampling process does: a sweep every 50 ms, and a step as often as an edge wants one."""
        sweep_ns = self.now_ns
        while self.now_ns < t_ns or self.edges.poll_s is not None:
            if self.now_ns >= sweep_ns:
                self.sweep(0)
                sweep_ns = self.now_ns + 50 * MS
            pause_s = self.edges.poll_s
            if pause_s is not None:
                self.now_ns += round(pause_s * 1e9)
                self.edges.step()
            else:
                self.now_ns = math.ceil(min(sweep_ns, max(t_ns, self.now_ns)))

    def ask(self, number: int | None = None) -> int:
        """Ask for an instant, 150 µs before it is heard."""
        asked_ns = self.now_ns
        self.now_ns += 150_000
        self.edges.begin(asked_ns, 1.5, number)
        return asked_ns

    def series(self) -> Series:
        """Readings so far."""
        devices = [
            Device(id=f"GPU-{i}", name="a card", scope="gpu", methods=frozenset({"counter", "power"}), note=self._note)
            for i in range(len(self._phases))
        ]
        sampler = {"name": "meter", "devices": [device_as_data(d) for d in devices]}
        head = {"hz": 20, "start_ns": 0, "samplers": [sampler]}
        self._file.write_text("".join(json.dumps(line) + "\n" for line in [head, *self.lines]))
        return SeriesReader(self._file).update()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Makes one, and puts its clock in the place of the machine's."""

    def make(*args: Any, **settings: Any) -> Bench:
        made = Bench(tmp_path, *args, **settings)
        for module in (edges, ticks):
            monkeypatch.setattr(module.time, "monotonic_ns", lambda: made.now_ns)
        return made

    return make


def errors(made: Bench, start_ms: float, length_ms: float) -> tuple[float, float]:
    """Joules a card that the energy of one window is off: between the instants asked for, and between own edges."""
    made.until(start_ms * MS)
    begin_ns = made.ask()
    made.until(made.now_ns + length_ms * MS)
    end_ns = made.ask()
    made.until(made.now_ns + 100 * MS)
    series = made.series()
    own = series.asked[begin_ns], series.asked[end_ns]
    found = []
    for begin, end in ((begin_ns, end_ns), own):
        told = [energy_between(series, track, begin, end) for track in series.tracks]
        truth = (made.joules(end) - made.joules(begin)) * len(told)
        found.append(abs(sum(j for j in told if j is not None) - truth) / len(told))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("period_ms", "wave_ms", "cards"), [(20, 50, 1), (100, 50, 1), (500, 400, 1), (20, 50, 3), (100, 500, 3)]
)
def test_energy_between_instants_is_told_as_closely_as_ticks_and_power_are_read(
    bench: Callable[..., Bench], period_ms: float, wave_ms: float, cards: int
) -> None:
    asked_j, own_j = errors(bench(period_ms, wave_ms, cards), 1711, 1003)
    jumps = 1 + period_ms // (wave_ms / 2)
    each_edge_j = (HIGH_W * 0.2 + jumps * (HIGH_W - LOW_W) * 0.8 / 2) / 1000
    assert asked_j < 2 * each_edge_j
    assert own_j < 2 * each_edge_j if cards > 1 else own_j < 2 * HIGH_W * 0.1 / 1000


def test_a_window_of_fifty_periods_is_right_to_a_thousandth_by_both_rules(bench: Callable[..., Bench]) -> None:
    truth_j = (LOW_W + HIGH_W) / 2
    assert max(errors(bench(20, 500, 2), 1234.5, 1000)) < truth_j / 1000


def test_between_two_ticks_the_scale_of_a_cards_power_is_nothing(bench: Callable[..., Bench]) -> None:
    _, right_j = errors(bench(100, 500, 3), 1650, 700)
    _, scaled_j = errors(bench(100, 500, 3, scale=1.2), 1650, 700)
    assert scaled_j == pytest.approx(right_j, abs=0.01)


def test_power_is_read_closely_around_instants_and_nowhere_else(bench: Callable[..., Bench]) -> None:
    made = bench(100, 500)
    made.until(1500 * MS)
    asked_ns = made.ask()
    made.until(4000 * MS)
    (track,) = made.series().tracks
    edge_ns = made.series().asked[asked_ns]
    assert asked_ns < edge_ns <= asked_ns + 100.5 * MS
    assert asked_ns < track.close_t_ns[0]
    assert track.close_t_ns[-1] <= edge_ns + MS
    assert all(0 < b - a < 1.5 * MS for a, b in pairwise(track.close_t_ns))
    assert len(track.t_ns) < 100  # which are the schedule's, and one at the edge


@pytest.mark.parametrize("start_ms", [700, 713.3, 731.9, 757.7])
def test_power_is_known_up_to_the_last_tick(bench: Callable[..., Bench], start_ms: float) -> None:
    made = bench(100, 500, 3, power_ns=300_000)  # so slow that it is read every 4 ms
    made.until(start_ms * MS)
    made.ask()
    made.until(made.now_ns + MS)
    for track in made.series().tracks:
        assert track.close_t_ns[-1] >= track.ticks[-1][0]


def test_who_waits_is_answered_once_and_who_notes_is_not(bench: Callable[..., Bench]) -> None:
    made = bench(100, 500, 2)
    made.until(500 * MS)
    noted_ns = made.ask()
    made.until(1000 * MS)
    waited_ns = made.ask(12)
    made.until(1500 * MS)
    series = made.series()
    (answer,) = made.answers
    assert (answer["mark"], answer["t_ns"]) == (12, series.asked[waited_ns])
    assert {index for index, *_ in answer["ticks"]} == {0, 1}
    assert series.asked.keys() == {noted_ns, waited_ns}


def test_instants_under_way_together_are_each_told_and_no_tick_is_written_twice(bench: Callable[..., Bench]) -> None:
    made = bench(100, 500, 2)
    made.until(1000 * MS)
    asked = [made.ask()]
    for _ in range(3):
        made.now_ns += 7 * MS
        asked.append(made.ask())
    made.until(1500 * MS)
    series = made.series()
    for track in series.tracks:
        assert len(set(track.ticks)) == len(track.ticks)
        told = [energy_between(series, track, asked[0], t_ns) for t_ns in asked[1:]]
        truth = [made.joules(t_ns) - made.joules(asked[0]) for t_ns in asked[1:]]
        assert told == [pytest.approx(joules, abs=0.4) for joules in truth]


def test_a_counter_that_stands_still_keeps_nobody_waiting(bench: Callable[..., Bench]) -> None:
    made = bench(1e9, 500)
    made.until(500 * MS)
    asked_ns = made.ask(3)
    made.until(501 * MS)
    series = made.series()
    assert made.now_ns == pytest.approx(asked_ns + 1500 * MS, abs=10 * MS)
    assert made.answers == [{"mark": 3, "t_ns": series.asked[asked_ns], "ticks": []}]


@given(st.floats(0, 200), st.floats(30, 300), st.integers(1, 2))
def test_energy_between_instants_is_never_negative_nor_beyond_the_highest_power(
    start_ms: float, length_ms: float, cards: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        made = Bench(Path(folder), 20, 50, cards)
        for module in (edges, ticks):
            patch.setattr(module.time, "monotonic_ns", lambda: made.now_ns)
        made.until((100 + start_ms) * MS)
        begin_ns = made.ask()
        made.until(made.now_ns + length_ms * MS)
        end_ns = made.ask()
        made.until(made.now_ns + MS)
        series = made.series()
        for track in series.tracks:
            told = energy_between(series, track, begin_ns, end_ns)
            assert told is not None
            assert 0 <= told <= HIGH_W * (end_ns - begin_ns) / 1e9 + HIGH_W * 0.001
