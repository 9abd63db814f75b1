"""The scenarios that are measured: loads on simulated cards, and the windows in which every tool measures them at the same time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

LOADS = {
    "constant": "constant 300",
    "square 50 ms": "square 100 500 0.05 0.5",
    "square 0.5 s": "square 100 500 0.5 0.5",
    "square 5 s": "square 100 500 5 0.5",
    "ramp": "ramp 100 600 0 160",
    # An LLM server: prefills of different lengths at full power, decoding between them, and a pause now and then.
    "bursts": "pattern 650 0.08 320 0.92 650 0.15 350 1.6 650 0.05 300 0.43 90 0.27",
}
CARDS = ((0.5, 8), (0.02, 1), (0.02, 8), (0.1, 8), (0.5, 1), (0.1, 1))
"""Counter period in seconds and number of cards, so that three neighbours keep the tools about equally busy."""

WINDOWS_S = (0.5, 1.0, 5.0, 25.0, 60.0)
"""Lengths of windows."""

QUICK_WINDOWS_S = (0.5, 2.0, 6.0)
TIMES = 20
"""Number of windows of each length in each scenario, several of them open at one time."""

STARTS_S, QUICK_STARTS_S = 24.0, 14.0
"""The longest windows begin within so many seconds; shorter ones anywhere until the last of those ends."""

APART_S = 0.04
"""No two edges of a scenario are closer together: a tool's answer to one must not delay its answer to the next."""

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

    def steps(self) -> tuple[float, float, float]:
        """Highest power (W), largest jump (W) and shortest time between two jumps (s; infinite where none is)."""
        kind, *words = LOADS[self.load].split()
        numbers = [float(word) for word in words]
        if kind == "square":
            low, high, period_s, duty = numbers
            return high, high - low, period_s * min(duty, 1 - duty)
        if kind == "pattern":
            levels = [*numbers[::2], numbers[0]]
            return max(levels), max(abs(b - a) for a, b in pairwise(levels)), min(numbers[1::2])
        return max(numbers[:2] if kind == "ramp" else numbers), 0.0, float("inf")


@dataclass(frozen=True)
class Window:
    """Instants at which a window is asked to begin and to end, in seconds after the first moment of its scenario."""

    length_s: float
    begin_s: float
    end_s: float


def scenarios(quick: bool) -> list[Scenario]:
    """Every combination; a handful of them where it is to be quick."""
    if quick:
        return [Scenario("bursts", 0.1, 1), Scenario("square 0.5 s", 0.02, 8), Scenario("constant", 0.5, 1)]
    return [Scenario(load, *cards) for load, cards in product(LOADS, CARDS)]


def windows(scenario: Scenario, quick: bool) -> Sequence[Window]:
    """Windows at random times, many of them open at once. No work lasts a whole number of counter periods: up to one is
    added to each.
    """
    chance = random.Random(scenario.name)
    lengths = QUICK_WINDOWS_S if quick else WINDOWS_S
    over_s = max(lengths) + (QUICK_STARTS_S if quick else STARTS_S)
    found: list[Window] = []
    edges: list[float] = []
    for length_s in sorted(lengths, reverse=True):
        wanted = len(found) + TIMES
        while len(found) < wanted:
            begin_s = chance.uniform(0, over_s - length_s)
            end_s = begin_s + length_s + chance.uniform(0, min(scenario.period_s, 0.1 * length_s))
            if all(abs(edge - other) >= APART_S for edge in (begin_s, end_s) for other in edges):
                found.append(Window(length_s, begin_s, end_s))
                edges += begin_s, end_s
    return found
