"""The preflight check of recorded arrivals: everything that is wrong with a trace is told before a model is loaded for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llem.plugin_api import Finding, LlemError
from llem_serving.config import LoadConfig

if TYPE_CHECKING:
    from llem.plugin_api import ExperimentConfig, PreflightContext


def check_traces(context: PreflightContext) -> Iterator[Finding]:
    """Every trace that a load takes its arrivals from is read, and has a prompt for each row that arrives."""
    told: set[str] = set()
    for experiment in context.experiments:
        load = experiment.sections.get("load")
        if not isinstance(load, LoadConfig) or load.arrival != "trace":
            continue
        try:
            finding = Finding(level="ok", message=_arrivals(load, experiment, str(context.base_dir)))
        except LlemError as error:
            where = f"{error.where}: " if error.where else ""
            finding = Finding(level="error", message=f"{where}{error.what}", remedy=error.remedy)
        if finding.message not in told:
            told.add(finding.message)
            yield finding


def _arrivals(load: LoadConfig, experiment: ExperimentConfig, base_dir: str) -> str:
    """The trace and what of it arrives. Raises LlemError where it cannot be used."""
    from llem_serving.traces import check_rows, is_paired, load_trace

    trace = load_trace(load, experiment.dataset, base_dir)
    paired = is_paired(load, experiment.dataset, base_dir)
    if paired:
        check_rows(trace, load, experiment.dataset.n)
    times_s, close_s = trace.arrival_s * load.time_scale, load.ramp_s + load.duration_s
    inside = int(((times_s >= load.ramp_s) & (times_s < close_s)).sum())
    whose = "with their own prompts" if paired else "with prompts of the dataset"
    return (
        f"trace {trace.name} ({trace.format}): {inside:,} of its {len(trace):,} requests arrive in the window of "
        f"{load.duration_s:g} s, {whose}"
    )
