"""The search of one configuration: which rate it runs next, and what its runs have told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from llem.plugin_api import ConfigError, ExperimentResult, ResultError, SearchConfig
from llem_serving.capacity.answer import Answer
from llem_serving.capacity.capacity_search import CapacitySearch
from llem_serving.capacity.energy_search import EnergySearch
from llem_serving.capacity.run_figures import run_figures
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.rate_unit import OF_REQUESTS

MOST_FAILURES = 3
"""Failed runs in a row that end the search."""

_HIGHEST_RPS = 100_000.0
"""As `load.rate_rps` takes at the most."""

LimitedBy = Literal["objectives", "steadiness", "bound", "failures", "energy"]


class ConfigurationSearch:
    """Asks for the rates of one configuration, and answers for it. It runs nothing.

    Args:
        load: as the study has it; its rate is the first one.
        slo: the objectives.
        settings: as the study has them (`execution.search`).
        by_energy: search for the least energy; False for capacity. Both are answered, as far as the runs tell.
        unit: of rates.

    Raises:
        ConfigError: no search can be made of these.
    """

    def __init__(
        self, load: LoadConfig, slo: SloConfig, settings: SearchConfig, *, by_energy: bool, unit: str = OF_REQUESTS
    ) -> None:
        assert load.rate_rps is not None
        self._load, self._slo, self._settings, self._by_energy = load, slo, settings, by_energy
        start, most, precision = self._bounded(load.rate_rps), settings.max_runs, settings.precision
        self.unit = unit
        self.capacity = CapacitySearch(slo.attainment, start, most_runs=most, precision=precision, unit=unit)
        self.energy = EnergySearch(slo.attainment, start, most_runs=most, precision=precision, unit=unit)
        self.runs: list[dict[str, Any]] = []
        self._failed: list[tuple[float, str]] = []
        self._asked: tuple[float | None] | None = None
        self._with_energy = 0

    def next(self) -> float | None:
        """The next rate, in the search's unit; None where the search is over."""
        if self._failed:
            return self._failed[-1][0] if len(self._failed) < MOST_FAILURES else None
        if self._lacks_energy:
            return None
        asked = self._ask()
        return None if asked is None or self._is_at_bound(asked) else self._bounded(asked)

    def ended(self, rate_rps: float, result: ExperimentResult, job_dir: Path) -> None:
        """Take in a run, done or failed."""
        self._asked = None
        told = {"rate_rps": rate_rps, "directory": job_dir.name, "status": result.status}
        self.runs.append(told)
        if result.failure is not None:
            self._fail(rate_rps, f"{result.failure.type}: {result.failure.message}")
            return
        try:
            found = run_figures(self._load, self._slo, result, job_dir)
            told_to = {"completed_rps": found.completed_rps, "window_s": found.drawn_window_s}
            self.capacity.tell(rate_rps, found.parts, found.steady, **told_to)
            self.energy.tell(rate_rps, found.parts, found.steady, energy_by_part=found.energy, **told_to)
        except (ResultError, ConfigError) as error:
            self._fail(rate_rps, error.what)
            return
        self._failed.clear()
        requests = sum(count for _, count in found.parts)
        told |= {
            "steady": found.steady,
            "requests": requests,
            "attainment": sum(kept for kept, _ in found.parts) / requests,
            "j_per_good_token": found.j_per_good_token,
            "energy_method": found.energy_method,
        }
        self._with_energy += bool(found.energy)

    @property
    def limited_by(self) -> LimitedBy | None:
        """The reason why the answer is not higher; None where there is none yet."""
        if len(self._failed) >= MOST_FAILURES:
            return "failures"
        if self._lacks_energy:
            return "energy"
        asked = None if self._failed else self._ask()
        if asked is not None and self._is_at_bound(asked):
            return "bound"
        return self.capacity.limited_by

    @property
    def last_failure(self) -> str | None:
        """The failure of the last run; None where it did not fail."""
        return self._failed[-1][1] if self._failed else None

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "unit": self.unit,
            "slo": self._slo.model_dump(mode="json"),
            "capacity": _plain(self.capacity.answer()),
            "least_energy": _plain(self.energy.answer()),
            "limited_by": self.limited_by,
            "over": self.next() is None or len(self.runs) >= self._settings.max_runs,
            "runs": [dict(run) for run in self.runs],
        }

    def count(self, **wanted: Any) -> int:
        """Number of runs with these values."""
        return sum(all(run.get(key) == value for key, value in wanted.items()) for run in self.runs)

    @property
    def _lacks_energy(self) -> bool:
        """True where energy is searched for, and runs that ended told none."""
        return self._by_energy and not self._with_energy and any("steady" in run for run in self.runs)

    def _ask(self) -> float | None:
        if self._asked is None:  # a model is fitted for it
            self._asked = (self.energy.ask() if self._by_energy else self.capacity.ask(),)
        return self._asked[0]

    def _fail(self, rate_rps: float, why: str) -> None:
        self.runs[-1] |= {"why": why}
        self._failed.append((rate_rps, why))

    def _bounded(self, rate_rps: float) -> float:
        """The rate with four digits, within the bounds of the search."""
        return min(max(float(f"{rate_rps:.4g}"), *self._low()), *self._high())

    def _is_at_bound(self, asked: float) -> bool:
        """True where a rate lies beyond a bound that has run."""
        beyond = [bound for bound in self._low() if asked < bound] + [bound for bound in self._high() if asked > bound]
        return any(run["rate_rps"] == bound and "steady" in run for bound in beyond for run in self.runs)

    def _low(self) -> Iterator[float]:
        yield 0.0
        if self._settings.low is not None:
            yield self._settings.low

    def _high(self) -> Iterator[float]:
        yield _HIGHEST_RPS
        if self._settings.high is not None:
            yield self._settings.high


def _plain(answer: Answer) -> dict[str, Any]:
    high = None if math.isinf(answer.high_rps) else answer.high_rps
    return {
        "rate_rps": answer.rate_rps,
        "low_rps": answer.low_rps,
        "high_rps": high,
        "runs": answer.runs,
        "why": answer.said,
    }
