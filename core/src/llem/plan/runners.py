"""Where each backend of a study runs, and why there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from llem.config.layers import LoadedStudy
from llem.config.merging import Origin
from llem.config.section import Section
from llem.errors import ConfigError, PluginError
from llem.plugins import Registry, missing_requirements
from llem.specs.backend import BackendSpec
from llem.specs.kinds import BACKENDS, RUNNERS
from llem.specs.runner import RunnerSpec

LOCAL = "local"
CONTAINERS = "llem-docker"
"""The distribution that brings a runner with an environment of its own, for messages."""


@dataclass(frozen=True)
class RunnerChoice:
    """A runner for one backend.

    Attributes:
        name: of the runner.
        argument: what stands after the colon, or None.
        origin: who chose it.
        options: the runner's own, as the study sets them; None where the runner has none.
    """

    name: str
    argument: str | None
    origin: Origin
    options: Section | None = None

    @property
    def text(self) -> str:
        """As it is written: `NAME` or `NAME:ARGUMENT`."""
        return self.name if self.argument is None else f"{self.name}:{self.argument}"


def choose_runners(
    study: LoadedStudy, backends: Sequence[str], registry: Registry, given: str | None
) -> dict[str, RunnerChoice]:
    """A runner for each backend: the one given for all, else what the configuration says, else what fits.

    Without a choice of the user a backend runs locally; where it is not installed here, or cannot share this
    environment with another backend of the study, it runs in its image if a runner that can do so is installed.

    Raises:
        PluginError: a runner is not installed, or two backends that conflict would share this environment.
        ConfigError: a runner was given an argument that it does not take.
    """
    chosen = {name: _explicit(name, study, given) for name in backends}
    specs = {name: registry.find(BACKENDS, name) for name in backends}
    container = next((name for name, spec in registry[RUNNERS].items() if spec.location == "container"), None)
    crowded = _conflicting([name for name in backends if _shares_environment(chosen[name], registry)], specs)
    found: dict[str, RunnerChoice] = {}
    for name, choice in chosen.items():
        missing = missing_requirements(specs[name].requires)
        in_conflict = any(name in pair for pair in crowded)
        if choice is None and container and specs[name].image and (missing or in_conflict):
            why = f"{', '.join(missing)} not installed here" if missing else "in conflict with another backend here"
            choice = RunnerChoice(container, None, Origin("default", f"({why})"))
        found[name] = choice or RunnerChoice(LOCAL, None, Origin("default"))
        _check_argument(found[name], registry)
        found[name] = replace(found[name], options=_options(found[name], study, registry))
    left = _conflicting([name for name in backends if _shares_environment(found[name], registry)], specs)
    if left:
        _refuse(left[0], container)
    return found


def moved(runners: Mapping[str, RunnerChoice]) -> list[str]:
    """A sentence for each backend that llem itself moved out of this environment: where to, why, and how to choose."""
    return [
        f"{backend} runs in {choice.text} ({choice.origin.where.strip('()')}); choose otherwise by "
        f"`--runner`, `runners: {{{backend}: …}}` or LLEM_RUNNER_{backend.upper().replace('-', '_')}."
        for backend, choice in runners.items()
        if choice.origin.kind == "default" and choice.name != LOCAL and choice.origin.where
    ]


def _explicit(backend: str, study: LoadedStudy, given: str | None) -> RunnerChoice | None:
    text, origin = given, Origin("command line")
    if text is None:
        text = study.config.runners.get(backend)
        origin = study.origins.get(f"runners.{backend}", Origin("study file"))
    if text is None:
        return None
    name, _, argument = text.partition(":")
    return RunnerChoice(name, argument or None, origin)


def _shares_environment(choice: RunnerChoice | None, registry: Registry) -> bool:
    """True where backends cannot each have an environment of their own, here or on other machines."""
    return choice is None or _spec(choice, registry).location != "container"


def _spec(choice: RunnerChoice, registry: Registry) -> RunnerSpec:
    try:
        return registry.find(RUNNERS, choice.name)
    except PluginError as error:
        where = choice.origin.where or choice.origin.kind
        raise PluginError(error.what, where=where, remedy=error.remedy) from error


def _options(choice: RunnerChoice, study: LoadedStudy, registry: Registry) -> Section | None:
    model = _spec(choice, registry).options
    return None if model is None else model.model_validate(study.config.runner_options.get(choice.name, {}))


def _conflicting(names: Sequence[str], specs: Mapping[str, BackendSpec]) -> list[tuple[str, str]]:
    return [(a, b) for a, b in combinations(names, 2) if b in specs[a].conflicts or a in specs[b].conflicts]


def _check_argument(choice: RunnerChoice, registry: Registry) -> None:
    spec = _spec(choice, registry)
    if choice.argument is not None and spec.argument is None:
        raise ConfigError(
            f"the runner `{choice.name}` takes no argument; found `{choice.text}`.",
            where=choice.origin.where or choice.origin.kind,
            remedy=f"Write `{choice.name}`.",
        )


def _refuse(pair: tuple[str, str], container: str | None) -> None:
    first, second = pair
    if container is None:
        remedy = (
            f"Install a runner that gives each its own: pip install {CONTAINERS}; or make one study for each backend."
        )
    else:
        remedy = f"Run one of them elsewhere, such as `runners: {{{second}: {container}}}`."
    raise PluginError(f"the backends `{first}` and `{second}` cannot share one Python environment.", remedy=remedy)
