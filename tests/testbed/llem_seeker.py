"""A search that halves `measurement.min_window_s`, and a scenario that spares longer windows than one that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.config.experiment import ExperimentConfig
from llem.errors import ConfigError
from llem.hookspecs import API_VERSION, hookimpl
from llem.results.models import ExperimentResult
from llem.specs.scenario import ScenarioSpec
from llem.specs.search import SearchContext, SearchSpec

KEY = "measurement.min_window_s"


class Halving:
    """Asks for half of the last value that ran, and for the same again where it failed."""

    def __init__(self, context: SearchContext) -> None:
        self._starts = [config.measurement.min_window_s for config in context.configurations]
        if min(self._starts) < 1:
            raise ConfigError("there is nothing to halve.")
        self._told: list[list[tuple[float, str]]] = [[] for _ in self._starts]

    def plan(self) -> Sequence[str]:
        return ["halves the window"]

    def next(self, configuration: int) -> float | None:
        if not (told := self._told[configuration]):
            return self._starts[configuration]
        value, status = told[-1]
        value = value if status == "failed" else value / 2
        return value if value >= 1 else None

    def settings(self, configuration: int, value: float) -> Mapping[str, Any]:
        return {"measurement.settle_s": value / 8}

    def ended(self, configuration: int, value: float, result: ExperimentResult, job_dir: Path) -> None:
        assert (job_dir / "result.json").exists()
        self._told[configuration].append((value, result.status))

    def answer(self) -> Mapping[str, Any]:
        return {"said": [f"told {told}" for told in self._told], "told": self._told}


class Spares:
    """Spares longer windows than one that failed, unless a longer one was done."""

    def __init__(self) -> None:
        self._failed: list[float] = []

    def ended(self, config: ExperimentConfig, result: ExperimentResult) -> None:
        window_s = config.measurement.min_window_s
        if result.status == "failed":
            self._failed.append(window_s)
        else:
            self._failed = [one for one in self._failed if one > window_s]

    def reason(self, config: ExperimentConfig) -> str | None:
        longer = [one for one in self._failed if one < config.measurement.min_window_s]
        return f"skipped: {longer[0]:g} s were too long already." if longer else None


@hookimpl
def llem_searches() -> Sequence[SearchSpec]:
    return [
        SearchSpec(
            name="halving", api_version=API_VERSION, summary="halves the window", key=KEY, search="llem_seeker:Halving"
        )
    ]


@hookimpl
def llem_scenarios() -> Sequence[ScenarioSpec]:
    return [
        ScenarioSpec(
            name="spared",
            api_version=API_VERSION,
            summary="nobody runs it",
            generator="llem_seeker:Nobody",
            skip="llem_seeker:Spares",
        )
    ]
