"""A window over a path: the figures that a perfect instrument would read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from sim.serving.arrivals import S
from sim.serving.path import Path


@dataclass(frozen=True)
class Objective:
    """Limits of latency in seconds; None: no limit."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None

    def kept(self, path: Path) -> np.ndarray:
        """True for each request that keeps all limits."""
        kept = np.ones(len(path.tokens), bool)
        for limit, value in ((self.ttft_s, path.ttft), (self.tpot_s, path.tpot), (self.e2e_s, path.e2e)):
            if limit is not None:
                kept &= value <= limit * S
        return kept


@dataclass(frozen=True)
class Window:
    """A window of equal parts over a path.

    Attributes:
        edges: of the parts, in nanoseconds: one more than parts.
    """

    path: Path
    objective: Objective
    edges: Sequence[int]

    @classmethod
    def after(cls, path: Path, objective: Objective, skipped: int, parts: int) -> Window:
        """Parts of equal length from the arrival of the request number `skipped` on until the last arrival."""
        edges = np.linspace(int(path.scheduled[skipped]), int(path.scheduled[-1]) + 1, parts + 1)
        return cls(path, objective, [int(edge) for edge in edges])

    def attainment_by_part(self) -> list[tuple[int, int]]:
        """Requests that keep the objective, and requests, of those that arrived in each part."""
        kept = self.objective.kept(self.path)
        at = np.searchsorted(self.path.scheduled, self.edges)
        return [(int(kept[i:j].sum()), int(j - i)) for i, j in pairwise(at)]

    def energy_by_part(self) -> list[tuple[float, int]]:
        """Joules, and tokens that were given out in each part by requests that keep the objective."""
        kept, found = self.objective.kept(self.path), []
        for start, end in pairwise(self.edges):
            good = int(self.path.tokens_inside(start, end)[kept].sum())
            found.append((float(self.path.power.energy_j(start, end)), good))
        return found

    @property
    def length_s(self) -> float:
        """From the first edge to the last."""
        return (self.edges[-1] - self.edges[0]) / S

    def completed_rps(self) -> float:
        """Requests per second that were answered inside."""
        inside = (self.path.last >= self.edges[0]) & (self.path.last < self.edges[-1])
        return int(inside.sum()) / self.length_s

    def steady(self) -> bool | Literal["saturated"]:
        """A plain stand-in for the test of steadiness: saturated where requests in flight grow, part by part, to twice."""
        flying = [self.path.in_flight(edge) for edge in self.edges]
        arrived = int(np.searchsorted(self.path.scheduled, self.edges[-1]))
        arrived -= int(np.searchsorted(self.path.scheduled, self.edges[0]))
        grows = all(a < b for a, b in pairwise(flying))
        return "saturated" if grows and flying[-1] - flying[0] > max(0.01 * arrived, flying[0]) else True
