"""What is measured: loads on simulated cards, and the windows in which every tool measures them at the same time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

LOADS = {
    "constant": "constant 300",
    "square 50 ms": "square 100 500 0.05 0.5",
    "square 0.5 s": "square 100 500 0.5 0.5",
    "square 5 s": "square 100 500 5 0.5",
    "ramp": "ramp 100 600 0 160",
    # An LLM server: prefills of different lengths at full power, decoding between them, and a pause now and then.
    "bursts": "pattern 650 0.08 320 0.92 650 0.15 350 1.6 650 0.05 300 0.43 90 0.27",
}
PERIODS_S = (0.02, 0.1, 0.5)
GPUS = (1, 8)
WINDOWS_S = {0.5: 4, 1.0: 4, 5.0: 3, 25.0: 1, 60.0: 1}
"""Length of window to how often it is measured in each scenario."""

QUICK_WINDOWS_S = {0.5: 2, 2.0: 2, 6.0: 1}
GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Scenario:
    """One load on one or several cards whose counters tick with one period."""

    load: str
    period_s: float
    gpus: int

    @property
    def name(self) -> str:
        """For people and for folders."""
        return f"{self.load}, counter {self.period_s * 1000:g} ms, {self.gpus} GPU{'s' * (self.gpus > 1)}"

    def text(self, epoch_ns: int) -> str:
        """As the simulator reads it. Cards act in step, as those of one engine do; their counters tick apart."""
        lines = [f"epoch {epoch_ns}"]
        for i in range(self.gpus):
            phase_s = (0.3 + i * GOLDEN) % 1 * self.period_s
            lines += [
                f"gpu GPU-{i:08d}-0000-0000-0000-000000000000 NVIDIA H100 80GB HBM3",
                f"power {LOADS[self.load]}",
                f"counter {self.period_s} {phase_s:.6f} 1",
            ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Window:
    """When a window is begun and ended, in seconds after the first."""

    length_s: float
    begin_s: float
    end_s: float


def scenarios(quick: bool) -> list[Scenario]:
    """Every combination; a handful of them where it is to be quick."""
    if quick:
        return [
            Scenario("bursts", 0.1, 1),
            Scenario("square 0.5 s", 0.02, 8),
            Scenario("constant", 0.5, 1),
            Scenario("square 5 s", 0.1, 8),
        ]
    return [Scenario(*one) for one in product(LOADS, PERIODS_S, GPUS)]


def windows(scenario: Scenario, quick: bool) -> Sequence[Window]:
    """One after another, shortest first. No work lasts a whole number of counter periods: up to one is added to each."""
    chance = random.Random(scenario.name)
    gap_s = 0.6 + 2 * scenario.period_s
    found, now_s = [], 0.0
    for length_s, times in (QUICK_WINDOWS_S if quick else WINDOWS_S).items():
        for _ in range(times):
            now_s += chance.uniform(0, scenario.period_s)
            end_s = now_s + length_s + chance.uniform(0, min(scenario.period_s, 0.1 * length_s))
            found.append(Window(length_s, now_s, end_s))
            now_s = end_s + gap_s
    return found
