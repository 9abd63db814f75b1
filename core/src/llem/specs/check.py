"""A preflight check: something that must hold before a study starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.errors import LlemError
from llem.specs.registry import SpecRegistry

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PreflightContext:
    """A check's context: everything that it may look at.

    Attributes:
        registry: everything that is registered.
        experiments: one of each distinct combination of backend, its section and model in the plan; empty for `llem doctor`.
        runners: backend to runner, such as `{"pytorch": "local"}`.
        output: the folder that results go to, or None for `llem doctor`.
        base_dir: the folder that relative paths in a study start from.
        planned: how many experiments the plan has, cycles counted.
        placement: where cycles of one configuration shall run (`execution.placement`).
        parallel: what runs side by side on this machine (`execution.parallel`).
        runner_options: name of each runner that has options to what the study sets for it.
    """

    registry: SpecRegistry
    experiments: Sequence[ExperimentConfig] = field(default_factory=tuple)
    runners: dict[str, str] = field(default_factory=dict)
    output: Path | None = None
    base_dir: Path = field(default_factory=Path)
    planned: int = 0
    placement: str = "any"
    parallel: str = "none"
    runner_options: dict[str, Section] = field(default_factory=dict)
    _found: dict[Callable[[Any], Any], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, look: Callable[[PreflightContext], T]) -> T:
        """Look at the first call, and give what was found then at every further one: for checks that share one costly look.

        Args:
            look: takes the context. Where it raises, nothing is kept, and the next call looks again.
        """
        if look not in self._found:
            self._found[look] = look(self)
        return cast(T, self._found[look])


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding of a check. An `error` stops the study, a `warning` is shown and recorded, `ok` shows in `llem doctor`.

    Attributes:
        check: the check's name; filled in by the one who runs it.
        code: of a warning about this machine that belongs to the figures: the code under which every result of an experiment
            that runs here carries it. None for what concerns no figure.
        level: how bad.
        message: what was found, one sentence.
        remedy: what to do, with the command where there is one.
    """

    level: Literal["ok", "warning", "error"]
    message: str
    remedy: str | None = None
    check: str = ""
    code: str | None = None


def error_finding(subject: str, error: LlemError) -> Finding:
    """The finding on a thing that an error concerns, with the file and line where that says more than the thing's name."""
    named = error.where is None or "/" not in error.where or error.where in subject
    message = f"{subject}: {error.what}" if named else f"{subject}: {error.where}: {error.what}"
    return Finding(level="error", message=message, remedy=error.remedy)


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """Registration of a check, by `llem_preflight_checks`.

    Attributes:
        name: the word in `--skip-preflight`.
        api_version: the `API_VERSION` that it was written for.
        summary: what it asks, one line.
        check: `package.module:function`; takes a `PreflightContext`, returns findings (an iterable of `Finding`).
        backends: run only for plans that use one of these; empty: for every plan.
        runners: run only for plans that use one of these runners; empty: for every plan.
    """

    name: str
    api_version: int
    summary: str
    check: str
    backends: frozenset[str] = frozenset()
    runners: frozenset[str] = frozenset()


def checks_in(
    module: str,
    checks: Iterable[tuple[str, str, str]],
    *,
    api_version: int,
    backends: frozenset[str] = frozenset(),
    runners: frozenset[str] = frozenset(),
) -> list[CheckSpec]:
    """The specs of checks that stand in one module and run for the same plans.

    Args:
        module: import path of the module.
        checks: name, summary and function of each.
        api_version, backends, runners: of all, as in `CheckSpec`.
    """
    return [
        CheckSpec(
            name=name,
            api_version=api_version,
            summary=summary,
            check=f"{module}:{function}",
            backends=backends,
            runners=runners,
        )
        for name, summary, function in checks
    ]
