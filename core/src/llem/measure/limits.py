"""The most power that a device can draw: the bound that every figure of it has to keep."""

from __future__ import annotations

from dataclasses import dataclass

from llem.measure.series import Track
from llem.specs.sampler import Scope

TOLERANCE = 1.10
"""A mean over the window may exceed the highest limit in force by so much: limits are kept over a second, and sensors err."""

CEILING_W: dict[Scope, float] = {"gpu": 5_000, "module": 10_000, "cpu": 5_000, "dram": 5_000, "host": 1_000_000}
"""Bounds where nothing names a limit: more than any one such device draws, several times over. It finds wrong units and jumps."""


@dataclass(frozen=True)
class Limit:
    """A bound in watts, and whether the machine names it."""

    watts: float
    named: bool

    def __str__(self) -> str:
        return f"{self.watts:.6g} W" if self.named else f"the {self.watts:.6g} W that no such device draws"


def limit_of(track: Track, start_ns: int, end_ns: int) -> Limit:
    """The highest limit in force over the interval: of the device itself, or as its power limit was read meanwhile."""
    named = [track.device.max_power_w] if track.device.max_power_w is not None else []
    for t_ns, telemetry in zip(track.t_ns, track.telemetry, strict=True):
        if start_ns <= t_ns <= end_ns and "power_limit_w" in telemetry:
            named.append(telemetry["power_limit_w"])
    highest = max((watts for watts in named if watts > 0), default=None)
    return Limit(CEILING_W[track.device.scope], False) if highest is None else Limit(highest, True)
