"""Runs of one configuration judged again by other objectives: what `llem pick --slo` asks of the scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import RESULT, Rejudged, read_object
from llem_serving.config import SloConfig
from llem_serving.judging.asked import SECTION, asked_slo, limits_text
from llem_serving.judging.judgement import Judgement, pooled
from llem_serving.judging.run_table import judged_run
from llem_serving.judging.shares import share_text


def rejudge_runs(jobs: Sequence[Path], given: Mapping[str, Mapping[str, Any]]) -> Rejudged:
    """Judge the runs of a configuration together: their parts are those of one longer window.

    Raises:
        ConfigError: the objectives cannot be, or have no limit.
        ResultError: a result or a table of requests is damaged.
    """
    slos = [_slo(job, given.get(SECTION) or {}) for job in jobs]
    found = [_judged(job, slo) for job, slo in zip(jobs, slos, strict=True)]
    told = [one for one in found if one is not None]
    if not told:
        return Rejudged(metrics=[None] * len(jobs), kept=None, sentence="attainment not told", is_close=True)
    together = pooled(told)
    return Rejudged(
        metrics=[None if one is None else scenario_metrics(one) for one in found],
        kept=together.kept,
        sentence=_sentence(together, slos[0]),
        is_close=not together.is_told,
        judged_by={SECTION: slos[0].model_dump(mode="json")},
    )


def scenario_metrics(judged: Judgement) -> dict[str, float | None]:
    """The metrics of a run's result that objectives decide."""
    interval = judged.interval
    return {
        "goodput_rps": judged.goodput_rps,
        "attainment": judged.attainment,
        "attainment_low": None if interval is None else interval.low,
        "attainment_high": None if interval is None else interval.high,
        "good_tokens": float(judged.good_tokens),
    }


def _slo(job: Path, given: Mapping[str, Any]) -> SloConfig:
    config = read_object(job / RESULT, "result").get("config") or {}
    return asked_slo(given, config.get(SECTION) or {})


def _judged(job: Path, slo: SloConfig) -> Judgement | None:
    result = read_object(job / RESULT, "result")
    energy, load = result.get("energy") or {}, (result.get("config") or {}).get("load") or {}
    found = judged_run(job, slo, window_s=energy.get("window_s"), parts=load.get("parts"))
    return None if isinstance(found, str) else found


def _sentence(judged: Judgement, slo: SloConfig) -> str:
    if judged.attainment is None:
        return "attainment not told: no request arrived in its windows"
    interval = judged.interval
    within = "" if interval is None else f", 95 % interval {share_text(interval.low)} to {share_text(interval.high)}"
    return f"attainment {share_text(judged.attainment)}{within} (asked: at least {share_text(judged.wanted)} within {limits_text(slo)})"
