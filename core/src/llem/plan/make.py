"""A loaded study to its plan."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llem.config.identity import design_hash
from llem.config.layers import LoadedStudy
from llem.config.study import REPEATED_FIGURES
from llem.distributions import missing_setting
from llem.errors import ConfigError
from llem.measure.baseline_checks import PRESENT_S
from llem.plan.models import AllRuns, Plan
from llem.plan.runners import choose_runners
from llem.plan.schedule import RunOrder, gaps_s
from llem.plan.search import PlannedSearch, planned_search
from llem.plugins import Registry, load_object
from llem.specs.kinds import BACKENDS, METRICS, RUNNERS, SCENARIOS, STOPPING_RULES
from llem.spelling import closest
from llem.sweep import Sweep

WARMUP_RUN_S = 1.0
"""Seconds that one run of a batch in warm-up takes, as long as none has run: an assumption, for an estimate."""

START_S = 8.0
"""Seconds that a process takes until its engine is loaded, at the least: what Python and torch need to start."""


def make_plan(study: LoadedStudy, registry: Registry, *, runner: str | None = None) -> Plan:
    """Expand a study and decide who runs what when. Nothing is run, nothing is written.

    Args:
        study: as `llem.config.layers.load_study` gives it.
        registry: what is installed.
        runner: where every backend runs, as `NAME` or `NAME:ARGUMENT`; None for what the study says.

    Raises:
        ConfigError: the sweep or points of it are not valid; everything that is wrong, at once.
        PluginError: a backend, a search or a runner is missing, or backends cannot share this environment.
    """
    _check_repeated(study, registry)
    sweep = Sweep(study.config, registry[BACKENDS], registry[SCENARIOS], study.locate, study.base_dir)
    runners = choose_runners(study, sweep.backends, registry, runner)
    execution = study.config.execution
    count = len(sweep)
    experiments = AllRuns(sweep, RunOrder.of(execution, count), runners)
    search = planned_search(study, registry, experiments)
    least_s, room_s, scenarios = _time_s(_first_runs(sweep, search), registry)
    here = any(registry.find(RUNNERS, choice.name).on_this_machine for choice in runners.values())
    pauses_s = gaps_s(execution, count) if here else 0.0
    return Plan(
        name=_name(study),
        study_design_hash=design_hash(sweep.digests(), execution),
        experiments=experiments,
        distinct=count,
        duplicates=sweep.duplicates,
        estimate_s=least_s * execution.fewest_cycles + pauses_s,
        warmup_room_s=room_s * execution.fewest_cycles,
        runners=runners,
        execution=execution,
        base_dir=study.base_dir,
        source=study.text,
        search=search,
        skips=not execution.run_all and any(registry.find(SCENARIOS, name).skip for name in scenarios),
    )


def _check_repeated(study: LoadedStudy, registry: Registry) -> None:
    """Raise ConfigError where experiments are repeated for a figure that nobody has, PluginError where nothing tells when to stop."""
    until = study.config.execution.until
    if until.ci_width is None:
        return
    if not registry[STOPPING_RULES] and (missing := missing_setting("execution.until", registry)) is not None:
        raise missing
    known = (*REPEATED_FIGURES, *registry[METRICS])
    if until.figure not in known:
        near = closest(until.figure, known)
        raise ConfigError(
            f"`{until.figure}` is no figure; figures are {', '.join(dict.fromkeys(known))}.",
            where=study.locate(("execution", "until", "figure")),
            remedy=f"Did you mean `{near}`?" if near else None,
        )


def _name(study: LoadedStudy) -> str:
    """The study's name, else its file's."""
    if "name" in study.config.model_fields_set or study.path is None:
        return study.config.name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", study.path.stem).lstrip("._-")[:100]
    return plain or study.config.name


def _first_runs(sweep: Sweep, search: PlannedSearch | None) -> Iterator[Mapping[str, Any]]:
    """The sections of each configuration by their names; of a search as it runs first, since it says how long its runs are."""
    if search is None:
        return (dict(zip(sweep.names, (part.section for part in parts), strict=True)) for parts in sweep.parts())
    firsts = ((n, value) for n in range(len(search.bases)) if (value := search.search.next(n)) is not None)
    return ({**dict(config), **config.sections} for config in (search.run(*first, 1).config for first in firsts))


def _time_s(configurations: Iterator[Mapping[str, Any]], registry: Registry) -> tuple[float, float, set[str]]:
    """The least time of one cycle without gaps, what it may take longer where each warm-up needs its limit, and the scenarios.

    An idle baseline that can be reused is counted once, and then only looked at; a warm-up has as many runs as it compares,
    and the cold one.
    """
    cached: set[float] = set()
    scenarios: set[str] = set()
    total = room = 0.0
    for sections in configurations:
        baseline, measurement, warmup = (sections[name] for name in ("baseline", "measurement", "warmup"))
        scenarios.add(measurement.scenario)
        if warmup.enabled:
            warmup_s = min(warmup.max_s, (warmup.batches + 1) * WARMUP_RUN_S)
            total += warmup_s
            room += warmup.max_s - warmup_s
        spec = registry.find(SCENARIOS, measurement.scenario)
        if spec.least_s is None:
            window_s = measurement.min_window_s
        else:
            window_s = load_object(spec.least_s)({name: sections[name] for name in spec.sections})
        total += START_S + measurement.settle_s + window_s
        if baseline.enabled:
            total += baseline.resident_s
            if not baseline.cache or baseline.duration_s not in cached:
                total += baseline.duration_s
            else:
                total += min(PRESENT_S, baseline.duration_s)
            if baseline.cache:
                cached.add(baseline.duration_s)
    return total, room, scenarios
