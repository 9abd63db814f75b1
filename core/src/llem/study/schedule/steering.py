"""The next step of a study by its results so far: repetitions that suffice, runs in vain, and runs that a search asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from llem.plugins import load_object
from llem.results.models import ExperimentResult
from llem.specs.kinds import SCENARIOS, STOPPING_RULES
from llem.specs.search import SkipRule
from llem.specs.stopping import Level, StoppingRule
from llem.study.manifest.manifest import ExperimentState
from llem.study.reporter import label

if TYPE_CHECKING:
    from llem.config.study import UntilConfig
    from llem.plan import Plan, Planned
    from llem.plugins import Registry
    from llem.study.schedule.search import SearchAtWork


class Spared(NamedTuple):
    """A reason why an experiment does not run."""

    state: ExperimentState
    level: Level
    text: str


class Steering:
    """Follows results, and tells what runs next.

    Args:
        upcoming: what is to run in any case, in the plan's order.
        search: asks for further runs; None where nothing is searched.
    """

    def __init__(
        self, plan: Plan, registry: Registry, upcoming: Iterable[Planned], search: SearchAtWork | None
    ) -> None:
        self._until = _stopping_rule(plan.execution.until, registry)
        self._registry, self._search = registry, search
        self._skips = search is None and not plan.execution.run_all
        self._upcoming = iter(upcoming)
        self._rules: dict[str, SkipRule | None] = {}

    def next(self) -> Planned | None:
        """The next experiment; None where there is none now. After a result there may be one."""
        planned = next(self._upcoming, None)
        return self._search.next() if planned is None and self._search else planned

    def add(self, planned: Planned, result: ExperimentResult) -> None:
        """An experiment ended, done or failed, now or at an earlier start."""
        if self._until is not None:
            self._until.add(planned.config_hash, label(planned), result)
        if (rule := self._rule(planned)) is not None:
            rule.ended(planned.config, result)
        if self._search is not None:
            self._search.ended(planned, result)

    def spares(self, planned: Planned) -> Spared | None:
        """The reason why an experiment does not run; None where it does."""
        if self._until is not None and (why := self._until.is_met(planned.config_hash)) is not None:
            return Spared("not_needed", *why)
        rule = self._rule(planned)
        text = rule.reason(planned.config) if rule is not None else None
        return Spared("skipped", "warning", text) if text is not None else None

    def needs(self, planned: Planned) -> bool:
        """Tell whether this cycle is known to be needed."""
        return self._until is None or self._until.needs(planned.config_hash, planned.cycle)

    def unfinished(self) -> Iterator[str]:
        """A sentence for each experiment whose interval is not narrow enough after all its cycles."""
        return self._until.unfinished() if self._until is not None else iter(())

    def _rule(self, planned: Planned) -> SkipRule | None:
        name = planned.config.measurement.scenario
        if name not in self._rules:
            skip = self._registry.find(SCENARIOS, name).skip if self._skips else None
            self._rules[name] = load_object(skip)() if skip is not None else None
        return self._rules[name]


def _stopping_rule(until: UntilConfig, registry: Registry) -> StoppingRule | None:
    """The rule that a study asks for; None where it asks for none. A plan is made only where there is one."""
    if until.ci_width is None:
        return None
    rule: StoppingRule = load_object(next(iter(registry[STOPPING_RULES].values())).rule)(until, registry)
    return rule
