"""A study of a curve as one that is searched: the rates that it sweeps and its cycles give way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import BACKENDS, SCENARIOS, Registry, Sweep, installed_parts, load_study

KEY = "load.rate_rps"


@dataclass(frozen=True)
class GivesWay:
    """Something of a study that a search cannot have.

    Attributes:
        setting: `KEY=VALUE` that takes its place.
        said: a sentence on it.
    """

    setting: str
    said: str


@dataclass(frozen=True)
class GivingWay:
    """Everything of a study that gives way to a search.

    Attributes:
        things: that do.
        notes: on what the user's own settings replace of the study.
    """

    things: Sequence[GivesWay]
    notes: Sequence[str]


def giving_way(study: Path, registry: Registry, settings: Sequence[str]) -> GivingWay:
    """Everything of a study that gives way to a search which the command line asks for.

    Args:
        study: its file.
        registry: what is installed.
        settings: `KEY=VALUE` of the command line, none of them of the search.

    Raises:
        LlemError: the study cannot be loaded.
    """
    # A search of the study's own would refuse its cycles here, before they have given way.
    loaded = load_study(study, settings=[*settings, "execution.search.goal=null"], **installed_parts(registry))
    points = Sweep(loaded.config, registry[BACKENDS], registry[SCENARIOS], loaded.locate, loaded.base_dir)
    rates = sorted({point.values[KEY] for point in points if isinstance(point.values.get(KEY), (int, float))})
    things = []
    if rates:
        # The middle one, since the search is quickest from about where the capacity is.
        first = rates[(len(rates) - 1) // 2]
        said = (
            f"the rates of the study ({_listed(rates)}) are left out, since the search chooses them; its first is {first:g} "
            f"(--set {KEY}=RATE for another)."
        )
        things.append(GivesWay(f"{KEY}={first}", said))
    execution = loaded.config.execution
    is_asked_for = any(one.startswith(("execution.cycles=", "execution.until")) for one in settings)
    if execution.most_cycles > 1 and not is_asked_for:
        how = "execution.until" if execution.until.ci_width is not None else f"execution.cycles ({execution.cycles})"
        things.append(GivesWay("execution.cycles=1", f"{how} is left out, since the search decides what it repeats."))
    return GivingWay(things, loaded.notes)


def _listed(rates: Sequence[float]) -> str:
    shown = [f"{rate:g}" for rate in rates]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:3], "…", shown[-1]])
