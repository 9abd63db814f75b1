"""The searches of `execution.search`: for capacity, and for the rate of the least energy per good token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError, ExperimentConfig, ExperimentResult, SearchContext
from llem_serving.capacity.configuration_search import ConfigurationSearch
from llem_serving.capacity.run_length import run_length
from llem_serving.capacity.wording import answer_sentences, plan_sentences
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.rate_unit import rate_unit
from llem_serving.time_limit import extended


class _RateSearch:
    """A search of each configuration by itself, over `load.rate_rps`.

    Raises:
        ConfigError: a configuration has no rate that could be searched, or no attainment that could be told.
    """

    goal: str
    by_energy: bool

    def __init__(self, context: SearchContext) -> None:
        self._context = context
        self._loads, self._slos, self._units = list[LoadConfig](), list[SloConfig](), list[str]()
        self._searches: list[ConfigurationSearch] = []
        for label, config in zip(context.labels, context.configurations, strict=True):
            load, slo = _sections(label, config)
            self._loads.append(load)
            self._slos.append(slo)
            self._units.append(rate_unit(config))
            search = ConfigurationSearch(load, slo, context.settings, by_energy=self.by_energy, unit=self._units[-1])
            self._searches.append(search)

    def plan(self) -> Sequence[str]:
        """See `Search.plan`."""
        each = list(zip(self._loads, self._slos, self._units, strict=True))
        return list(plan_sentences(self.goal, each, self._context.settings))

    def next(self, configuration: int) -> float | None:
        """See `Search.next`: requests per second, of conversations conversations."""
        return self._searches[configuration].next()

    def settings(self, configuration: int, value: float) -> Mapping[str, Any]:
        """See `Search.settings`: how long the run is, and when it is given up."""
        load, limits = self._loads[configuration], self._context.configurations[configuration].limits
        longer = run_length(load, self._slos[configuration], value)
        return {**longer, **extended(limits.timeout_s, load, longer)}

    def ended(self, configuration: int, value: float, result: ExperimentResult, job_dir: Path) -> None:
        """See `Search.ended`."""
        self._searches[configuration].ended(value, result, job_dir)

    def answer(self) -> Mapping[str, Any]:
        """See `Search.answer`."""
        several = len(self._searches) > 1
        labelled = list(zip(self._context.labels, self._slos, self._searches, strict=True))
        return {
            "goal": self.goal,
            "key": "load.rate_rps",
            "settings": self._context.settings.model_dump(mode="json"),
            "said": [
                f"{label}: {sentence}" if several else sentence
                for label, slo, search in labelled
                for sentence in answer_sentences(slo, search, by_energy=self.by_energy)
            ],
            "configurations": [{"configuration": label, **search.document()} for label, _, search in labelled],
        }


class CapacityGoal(_RateSearch):
    """The highest steady rate that keeps the objectives."""

    goal, by_energy = "capacity", False


class LeastEnergyGoal(_RateSearch):
    """The rate of the least joules per good token within the objectives."""

    goal, by_energy = "least_energy", True


def _sections(label: str, config: ExperimentConfig) -> tuple[LoadConfig, SloConfig]:
    load, slo = config.sections.get("load"), config.sections.get("slo")
    if not isinstance(load, LoadConfig) or not isinstance(slo, SloConfig):
        raise ConfigError(
            f"the search is over the rate of a load, and {label} has the scenario {config.measurement.scenario}.",
            where="execution.search",
            remedy="Set measurement.scenario: server, and load.rate_rps.",
        )
    if load.rate_rps is None:
        raise ConfigError(
            f"the search is over load.rate_rps, and the load of {label} has none: it is given by users, stages or a trace.",
            where="load",
            remedy="Set load.rate_rps, the rate of the first run, in their place.",
        )
    if load.steady_s == 0:
        raise ConfigError(
            "capacity is of steady rates, and load.steady_s: 0 tests for no steady state.",
            where="load.steady_s",
            remedy="Leave it out.",
        )
    if slo.attainment >= 1:
        raise ConfigError(
            "an attainment of 1 cannot be searched for: no number of requests shows that every one keeps the objectives, and one miss "
            "in a long run ends it by chance.",
            where="slo.attainment",
            remedy="Set the share that shall keep them, such as 0.99 or 0.999.",
        )
    return load, slo
