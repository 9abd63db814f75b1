"""Configurations judged again by objectives that are given now, where their scenario can: see `ScenarioSpec.rejudge`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llem.plugin_api import SCENARIOS, ConfigError, MetricSpec, Rejudge, Rejudged, ResultError, inside, load_object
from llem_analysis.design import Configured
from llem_analysis.installed import registry
from llem_analysis.loading import require_job, with_computed
from llem_analysis.warning_codes import kind_of
from llem_analysis.weighing import voiding_code
from llem_analysis.wording import counted

SECTION = "slo"
OWN = "own"
_PREFIX = "scenario_metrics."


@dataclass(frozen=True)
class Verdict:
    """The outcome of one configuration under objectives.

    Attributes:
        kept: it keeps them; one of which a run is voided does not.
        sentence: how well, with an interval, or why not.
        is_close: another run might well say otherwise.
        judged_by: the objectives, by section and key.
    """

    kept: bool
    sentence: str
    is_close: bool
    judged_by: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def objectives_of(words: str) -> dict[str, float]:
    """Objectives in words: `ttft_s=0.2,attainment=0.95`; `own`, those of the study itself, is nothing that is given.

    Raises:
        ConfigError: it is something else.
    """
    if words.strip() == OWN:
        return {}
    found: dict[str, float] = {}
    for word in words.split(","):
        key, _, text = (part.strip() for part in word.partition("="))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not key or key in found or not math.isfinite(value):
            raise ConfigError(
                f"`{word.strip()}` is no objective.",
                remedy=f"Write them as --slo ttft_s=0.2,attainment=0.95, or --slo {OWN} for the study's own.",
            )
        found[key] = value
    return found


def judged_again(
    configurations: Sequence[Configured], folder: Path, given: Mapping[str, float], specs: Sequence[MetricSpec]
) -> tuple[list[Configured], list[Verdict]]:
    """The configurations with the metrics that these objectives give their runs, and each one's verdict.

    Raises:
        ConfigError: the objectives cannot be.
        ResultError: no run is of a scenario that judges by objectives, or a job directory is missing or damaged.
    """
    found, verdicts = [], []
    for one in configurations:
        judge = _rejudge(str(one.rows[0].get("scenario")))
        again, verdict = (one, None) if judge is None else _judged(one, folder, given, judge, specs)
        found.append(again)
        verdicts.append(verdict)
    if all(verdict is None for verdict in verdicts):
        raise ResultError(
            "none of its runs can be judged by objectives (slo): their scenarios have none.",
            where=str(folder),
            remedy="Objectives are of runs under load, with measurement.scenario: server.",
        )
    without = Verdict(False, "its scenario has no objectives", False)
    return found, [verdict or without for verdict in verdicts]


def _rejudge(scenario: str) -> Rejudge | None:
    spec = registry()[SCENARIOS].get(scenario)
    if spec is None or spec.rejudge is None:
        return None
    found: Rejudge = load_object(spec.rejudge)
    return found


def _judged(
    one: Configured, folder: Path, given: Mapping[str, float], judge: Rejudge, specs: Sequence[MetricSpec]
) -> tuple[Configured, Verdict]:
    codes = [voiding_code(row.get("warnings") or (), f"{_PREFIX}attainment") for row in one.rows]
    standing = [row for row, code in zip(one.rows, codes, strict=True) if code is None]
    jobs = [inside(folder, str(row.get("directory"))) for row in standing]
    for job in jobs:
        require_job(job)
    told = judge(jobs, {SECTION: given}) if jobs else Rejudged(metrics=(), kept=None, sentence="", is_close=False)
    metrics = iter(told.metrics)
    rows = [
        dict(row) if code is not None else _with_metrics(row, next(metrics))
        for row, code in zip(one.rows, codes, strict=True)
    ]
    voided = [code for code in codes if code is not None]
    if voided:
        sentence = f"{len(voided)} of {counted(len(codes), 'run')} {kind_of(voided[0]).runs} (`{voided[0]}`)"
        verdict = Verdict(False, sentence, False)
    else:
        verdict = Verdict(bool(told.kept), told.sentence, told.is_close, told.judged_by)
    return replace(one, rows=list(with_computed(rows, specs))), verdict


def _with_metrics(row: Mapping[str, Any], metrics: Mapping[str, float | None] | None) -> dict[str, Any]:
    """The row with what was judged now; nothing of what its own objectives gave stays where that cannot be told."""
    if metrics is None:
        judged = (f"{_PREFIX}attainment", f"{_PREFIX}good")
        return {name: None if name.startswith(judged) else value for name, value in row.items()}
    return {**row, **{f"{_PREFIX}{name}": value for name, value in metrics.items()}}
