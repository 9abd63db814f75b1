"""Finished runs of a search, as the search is told them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llem.plugin_api import ConfigError

Steady = bool | Literal["saturated"]
"""True, False where no steady state came (unsteady), or `saturated` where requests piled up."""

MOST_RUNS = 10
PRECISION = 0.02
_FEWEST_OF_EACH = 5

Parts = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Run:
    """A run at one rate.

    Attributes:
        parts: of each part of the window, the requests that kept the objectives, and all requests.
        completed_rps: requests per second that were answered, where it is known.
        window_s: length of the window, where it is known.
        energy: of each part, joules and the tokens given out by requests that kept the objectives.
    """

    rate_rps: float
    parts: tuple[tuple[int, int], ...]
    steady: Steady
    completed_rps: float | None = None
    window_s: float | None = None
    energy: tuple[tuple[float, float], ...] = ()

    @property
    def attainment(self) -> float:
        """The share of requests that kept the objectives."""
        return sum(k for k, _ in self.parts) / self.requests

    @property
    def requests(self) -> int:
        """The number of requests that arrived in the window."""
        return sum(n for _, n in self.parts)

    @property
    def tells(self) -> bool:
        """True where requests kept the objectives and requests missed them: such a run tells where the crossing is."""
        kept = sum(k for k, _ in self.parts)
        return self.steady != "saturated" and min(kept, self.requests - kept) >= _FEWEST_OF_EACH

    @property
    def drawn_rates(self) -> tuple[float, ...]:
        """The rate at which requests arrived in each part, as drawn; where the window's length is unknown, the asked one."""
        if self.window_s is None:
            return (self.rate_rps,) * len(self.parts)
        return tuple(requests * len(self.parts) / self.window_s for _, requests in self.parts)


def run_of(
    rate_rps: float,
    parts: Parts,
    steady: Steady,
    completed_rps: float | None = None,
    window_s: float | None = None,
    energy: Sequence[tuple[float, float]] = (),
) -> Run:
    """The checked run. Raises ConfigError where figures are impossible."""
    if not (math.isfinite(rate_rps) and rate_rps > 0):
        raise ConfigError(f"A search was told of a run at {rate_rps} requests/s. A rate is a number above 0.")
    found = tuple((int(kept), int(requests)) for kept, requests in parts)
    if not found or any(not 0 <= kept <= requests for kept, requests in found):
        raise ConfigError(
            f"A search was told of a run at {rate_rps:g} requests/s with the parts {list(parts)}. Each part of the window "
            "has the number of requests that kept the objectives and the number of all its requests, in this order."
        )
    if not any(requests for _, requests in found):
        raise ConfigError(
            f"In the window of the run at {rate_rps:g} requests/s no request arrived, so it tells nothing of attainment. "
            "Set load.duration_s to a longer time, or begin the search at a higher load.rate_rps."
        )
    if window_s is not None and not (math.isfinite(window_s) and window_s > 0):
        raise ConfigError(f"A search was told of a window of {window_s} s. Its length is a number above 0.")
    if energy and len(energy) != len(found):
        raise ConfigError(
            f"A search was told of a run at {rate_rps:g} requests/s with {len(found)} parts and {len(energy)} energies. Each "
            "part of the window has an energy."
        )
    if any(not (math.isfinite(joules) and joules > 0 and good >= 0) for joules, good in energy):
        raise ConfigError(
            f"A search was told of a run at {rate_rps:g} requests/s with the energies {list(energy)}. Each part of the "
            "window has its joules, above 0, and its number of good tokens."
        )
    return Run(rate_rps, found, steady, completed_rps, window_s, tuple((float(j), float(g)) for j, g in energy))


def check_settings(attainment: float, start_rps: float, most_runs: int, precision: float) -> None:
    """Raise ConfigError where a search cannot be made of these."""
    if not 0 < attainment < 1:
        raise ConfigError(
            f"A search wants an attainment of {attainment:g}. It finds the rate at which attainment falls to the wanted "
            "one, which has to lie between 0 and 1, both excluded: set slo.attainment to 0.99, say."
        )
    if not (math.isfinite(start_rps) and start_rps > 0):
        raise ConfigError(f"A search would start at {start_rps:g} requests/s. Set load.rate_rps to a number above 0.")
    if most_runs < 1 or not 0 < precision < 1:
        raise ConfigError(
            f"A search has {most_runs} runs and a precision of {precision:g}. It needs 1 run or more, and a precision "
            "between 0 and 1."
        )
