"""A search in a plan: its configurations, each of which runs with values that the search asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.config.layers import LoadedStudy
from llem.errors import ConfigError
from llem.plan.models import Planned, Varied
from llem.plugins import Registry, load_object
from llem.results.scrub import scrub, scrub_data
from llem.specs.kinds import BACKENDS, SCENARIOS, SEARCHES
from llem.specs.search import Search, SearchContext


@dataclass(frozen=True)
class PlannedSearch:
    """A search, and the runs that it is made of.

    Attributes:
        key: whose value is searched.
        most: runs of each configuration, at the most.
        bases: the configurations, as the study has them.
        numbers: identity of each run that was made to the place of its configuration.
    """

    search: Search
    key: str
    most: int
    bases: Sequence[Planned]
    _composer: Composer
    numbers: dict[str, int] = field(default_factory=dict)

    def run(self, number: int, value: float, cycle: int) -> Planned:
        """A run of a configuration, without a position. Raises ConfigError where it cannot have this value."""
        base = self.bases[number]
        document = base.config.document()
        for key, one in {**self.search.settings(number, value), self.key: value}.items():
            section, _, name = key.partition(".")
            document[section] = {**document[section], name: one}
        config = self._composer.compose(document)
        varied = Varied(config, config_hash(config), {**base.point, self.key: value})
        self.numbers[varied.config_hash] = number
        return Planned(0, cycle, base.runner, varied)

    def made(self, entries: Iterable[tuple[str, int, Mapping[str, Any]]]) -> Iterator[Planned]:
        """The runs that an earlier start of the study asked for, given their identities, cycles and points."""
        bases = [{key: scrub_data(one) for key, one in base.point.items()} for base in self.bases]
        for identity, cycle, point in entries:
            value, rest = point.get(self.key), {key: one for key, one in point.items() if key != self.key}
            for number in (n for n, base in enumerate(bases) if base == rest and type(value) in (int, float)):
                try:
                    run = self.run(number, float(value or 0), cycle)
                except ConfigError:
                    continue
                if run.config_hash == identity:
                    yield run


def planned_search(study: LoadedStudy, registry: Registry, bases: Sequence[Planned]) -> PlannedSearch | None:
    """The search of a study; None where it has none.

    Raises:
        PluginError: no plugin brings it.
        ConfigError: it cannot search these configurations.
    """
    settings = study.config.execution.search
    if settings.goal is None:
        return None
    spec = registry.find(SEARCHES, settings.goal)
    if any(spec.key in base.point for base in bases):
        raise ConfigError(
            f"`{spec.key}` is varied by the study, and the search `{spec.name}` sets it.",
            where=study.locate(("sweep", spec.key)),
            remedy="Give it one value outside of `sweep`, from which the search starts; execution.search.low and "
            "execution.search.high bound what it runs.",
        )
    labels = [
        scrub(", ".join(f"{key}={one}" for key, one in base.point.items())) or study.config.name for base in bases
    ]
    context = SearchContext(settings=settings, configurations=[base.config for base in bases], labels=labels)
    composer = Composer(registry[BACKENDS], registry[SCENARIOS])
    return PlannedSearch(load_object(spec.search)(context), spec.key, settings.max_runs, bases, composer)
