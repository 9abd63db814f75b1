"""The preflight check of quality runs: a task that nothing can be scored by is told before a model is loaded for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llem.plugin_api import Finding, LlemError
from llem_quality.config import QualityConfig

if TYPE_CHECKING:
    from llem.plugin_api import ExperimentConfig, PreflightContext


def check_scoring(context: PreflightContext) -> Iterator[Finding]:
    """Every task that answers are scored by has the metric and the filter for it."""
    told: set[str] = set()
    for experiment in context.experiments:
        asked = experiment.sections.get("quality")
        if not isinstance(asked, QualityConfig):
            continue
        finding = _finding(experiment, asked, str(context.base_dir))
        if finding.message not in told:
            told.add(finding.message)
            yield finding


def _finding(experiment: ExperimentConfig, asked: QualityConfig, base_dir: str) -> Finding:
    dataset = experiment.dataset
    if dataset.name != "lm_eval":
        return Finding(
            level="error",
            message=f"the scenario quality scores answers to a task, and dataset.name is {dataset.name}",
            remedy="Set dataset.name to lm_eval, and dataset.path to the task.",
        )
    if experiment.decoding.length != "natural":
        return Finding(
            level="error",
            message="decoding.length is fixed: answers would go on behind their end, and be scored with that",
            remedy="Leave it out, or set it to natural.",
        )
    from llem_quality.task_file import load_task

    try:
        task = load_task(dataset.path, base_dir)
        from llem_quality.scoring import check_filter, metric_of

        metric = metric_of(task, asked)
        check_filter(task, asked)
    except LlemError as error:
        where = f"{error.where}: " if error.where else ""
        return Finding(level="error", message=f"{where}{error.what}", remedy=error.remedy)
    return Finding(level="ok", message=f"task {task.task_name}: answers are scored by {metric}")
