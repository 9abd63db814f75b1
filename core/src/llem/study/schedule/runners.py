"""The runners of a study: each made once, asked for its room, and closed at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llem.accelerators.sharing import Shares, shares_here
from llem.plugins import load_object
from llem.runners.local import NO_STARTER
from llem.specs.kinds import BACKENDS, RUNNERS, STARTERS
from llem.specs.runner import Runner, RunnerContext, RunnerSpec
from llem.study.context import StudyContext
from llem.study.schedule.pools import PoolShare

if TYPE_CHECKING:
    from llem.plan import Planned, RunnerChoice


class StudyRunners:
    """Makes the runner that the plan chose for a backend, at its first use.

    Attributes:
        shares: this machine's GPUs, where experiments on different ones run side by side; else empty.
    """

    def __init__(self, context: StudyContext) -> None:
        self._context = context
        self.shares = shares_here(context.registry) if context.execution.parallel == "by_gpu" else Shares()
        self._made: dict[tuple[str, str, str | None], Runner] = {}

    @property
    def gpus(self) -> Sequence[str]:
        """Ids of the GPUs that are shared out."""
        return self.shares.ids

    def of(self, backend: str, choice: RunnerChoice) -> Runner:
        """The runner of a backend. Raises PluginError where it cannot be made."""
        key = (backend, choice.name, choice.argument)
        if key not in self._made:
            registry = self._context.registry
            spec, runs = registry.find(BACKENDS, backend), registry.find(RUNNERS, choice.name)
            self._made[key] = load_object(runs.runner)(
                RunnerContext(
                    registry=registry,
                    argument=choice.argument,
                    study_id=self._context.directory.name,
                    study_dir=self._context.directory.absolute(),
                    backend=backend,
                    image=spec.image,
                    cpu_image=spec.cpu_image,
                    options=choice.options,
                    at_once=max(1, len(self.gpus)) if runs.by_gpu else 1,
                    warm_start=self._starts_warm(backend, runs),
                )
            )
        return self._made[key]

    def _starts_warm(self, backend: str, runs: RunnerSpec) -> bool:
        """Tell whether a starter is worth it: one experiment alone would wait for the same imports."""
        context = self._context
        may_be_forked = context.registry.find(BACKENDS, backend).warm_start
        warm = context.planned > 1 and context.execution.warm_start and may_be_forked
        if warm and runs.location == "here" and not context.registry[STARTERS]:
            context.reporter.message("info", f"each worker is started afresh: {NO_STARTER}")
        return warm

    def share(self, backend: str) -> PoolShare:
        """The number of experiments of a backend that may run at once, and what they share."""
        registry, choice = self._context.registry, self._context.runners[backend]
        spec = registry.find(BACKENDS, backend)

        def needed(planned: Planned) -> int | None:
            return spec.gpus_of(planned.config.options)

        runs = registry.find(RUNNERS, choice.name)
        if not runs.on_this_machine:
            return PoolShare(elsewhere=max(1, self.of(backend, choice).capacity()))
        return PoolShare(gpus=needed if len(self.gpus) > 1 and runs.by_gpu else None)

    def close(self) -> None:
        """Close every runner."""
        for runner in self._made.values():
            runner.close()
