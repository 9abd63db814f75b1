"""Simulated meters on a simulated clock: honest ones that are noisy, coarse or slow, and ones that lie.

A load is known to the last joule; a meter reads it in its own way; `read` gives what the sampling process would have
recorded, for `llem.measure.window_figures`. Everything follows from seeds, and nothing waits.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llem.measure.series import Series, Track
from llem.measure.window_figures import WindowFigures, window_figures
from llem.results.models import Tokens
from llem.specs.sampler import Device

S = 1_000_000_000

Course = Callable[[float], float | None]
"""A value by seconds."""


@dataclass(frozen=True)
class Load:
    """True power: steps of (seconds, watts), the last one without end."""

    steps: Sequence[tuple[float, float]]

    def power_w(self, t_s: float) -> float:
        """At an instant."""
        since = 0.0
        for seconds, watts in self.steps:
            since += seconds
            if t_s < since:
                return watts
        return self.steps[-1][1]

    def energy_j(self, t_s: float) -> float:
        """Since the start."""
        since, joules = 0.0, 0.0
        for seconds, watts in self.steps:
            inside = min(max(t_s - since, 0.0), seconds)
            joules += inside * watts
            since += seconds
        return joules + max(0.0, t_s - since) * self.steps[-1][1]


@dataclass(frozen=True, kw_only=True)
class Meter:
    """A meter and its ways.

    Attributes:
        device: as its sampler would describe it; `methods` say what it reads.
        period_s: its counter moves so often; 0 for at once. quantum_j: and in such steps; phase_s: and when first.
        power_period_s: its power changes so often; power_step_w: and in such steps; noise: standard deviation, relative.
        gain: of its counter, for an honest one that is not calibrated.
        zero_j: where its counter began.
        counter, power: given (seconds, what an honest one would read), what it reads: a lie, or None. Raises nothing.
        silent: intervals (from, to) in which its sampler gives nothing.
        utilization: percent by seconds, where it tells it.
    """

    device: Device
    period_s: float = 0.0
    quantum_j: float = 0.0
    phase_s: float = 0.0
    power_period_s: float = 0.0
    power_step_w: float = 0.0
    noise: float = 0.0
    gain: float = 1.0
    zero_j: float = 1000.0
    counter: Callable[[float, float], float | None] | None = None
    power: Callable[[float, float], float | None] | None = None
    silent: Sequence[tuple[float, float]] = ()
    utilization: Course | None = None

    def lying(self, **changes: Any) -> Meter:
        """The same meter with a lie."""
        return replace(self, **changes)

    def track(self, load: Load, times: Sequence[float], seed: int, sampler: str) -> Track:
        """Readings of it."""
        chance, track = random.Random(f"{seed} {self.device.id}"), Track(sampler, self.device)
        held_w, held_at = 0.0, -math.inf
        for t in times:
            at = _floor(t, self.power_period_s)
            if at > held_at or self.power_period_s == 0:
                held_at = at
                held_w = load.power_w(at) * (1 + chance.gauss(0, self.noise))
                held_w = round(held_w / self.power_step_w) * self.power_step_w if self.power_step_w else held_w
            if any(a <= t < b for a, b in self.silent):
                continue
            ticked = max(_floor(t - self.phase_s, self.period_s) + self.phase_s, 0.0) if self.period_s else t
            joules = load.energy_j(ticked) * self.gain
            joules = math.floor(joules / self.quantum_j) * self.quantum_j if self.quantum_j else joules
            energy_j: float | None = self.zero_j + joules
            power_w: float | None = held_w
            if self.counter is not None:
                energy_j = self.counter(t, self.zero_j + joules)
            if self.power is not None:
                power_w = self.power(t, held_w)
            used = self.utilization(t) if self.utilization else None
            track.append(
                round(t * S),
                energy_j if self.device.methods & {"counter", "estimate"} else None,
                power_w if "power" in self.device.methods else None,
                {} if used is None else {"utilization_pct": used},
            )
        return track


def _floor(t_s: float, period_s: float) -> float:
    return math.floor(t_s / period_s) * period_s if period_s else t_s


@dataclass(frozen=True, kw_only=True)
class Bench:
    """An experiment on a simulated clock: when it is read, and when its window is."""

    load: Load
    open_s: float = 20.0
    close_s: float = 30.0
    seconds: float = 35.0
    hz: float = 20.0
    jitter: float = 0.1
    seed: int = 1
    samplers: Mapping[str, str] = field(default_factory=dict)

    @property
    def truth_j(self) -> float:
        """Of the window."""
        return self.load.energy_j(self.close_s) - self.load.energy_j(self.open_s)

    def read(self, *meters: Meter) -> Series:
        """Recording that the sampling process would have made of these meters of one load."""
        chance = random.Random(self.seed)
        times = [(i + self.jitter * chance.random()) / self.hz for i in range(round(self.seconds * self.hz))]
        tracks = [
            meter.track(
                self.load, [t + 2e-5 * i for t in times], self.seed, self.samplers.get(meter.device.id, "meter")
            )
            for i, meter in enumerate(meters)
        ]
        return Series(tracks, hz=self.hz)

    def figures(
        self, *meters: Meter, tokens: int = 1000, used: Sequence[str] | None = None, **more: Any
    ) -> WindowFigures:
        """The window's energy as the worker works it out."""
        counted = Tokens(requests=10, input=100, output=tokens)
        window = round(self.open_s * S), round(self.close_s * S)
        return window_figures(self.read(*meters), *window, tokens=counted, used=used, **more)


GPU = Device(
    id="GPU-1",
    name="Card",
    scope="gpu",
    methods=frozenset({"counter", "power"}),
    update_period_s=0.1,
    max_power_w=700,
    note="power field NVML_FI_DEV_POWER_INSTANT",
)
PACKAGE = Device(id="rapl:package-0", name="RAPL", scope="cpu", methods=frozenset({"counter"}), update_period_s=0.001)
WALL = Device(id="wall:0", name="Wall meter", scope="host", methods=frozenset({"power"}))
IDLE_THEN_WORK = Load([(12, 60.0), (6, 290.0), (1e9, 300.0)])
