"""From the window's record to the result: every figure is worked out here, after everything has ended."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from llem.config.experiment import ExperimentConfig
from llem.config.identity import config_hash
from llem.measure.baseline_checks import usable_idle_w
from llem.measure.batching import batching, batching_caveats
from llem.measure.disturbances import disturbance_warnings
from llem.measure.draft import Draft
from llem.measure.energy import energy_between
from llem.measure.experiment import Window
from llem.measure.figures import arithmetic, count_tokens, memory, throughput
from llem.measure.given_out import count_given_out
from llem.measure.latency import latency, latency_caveats, timings
from llem.measure.node import sharing_warnings
from llem.measure.other_load import is_of_the_machine, load_warnings, mark_machine_wide
from llem.measure.recount import recount
from llem.measure.requests_table import write_requests, write_served
from llem.measure.series import Series
from llem.measure.stages import stages
from llem.measure.thermal import thermal, thermal_warnings
from llem.measure.timeseries import write_timeseries
from llem.measure.watts import whole_sum
from llem.measure.window_figures import window_figures
from llem.results.job_directory import READINGS, REQUESTS, TIMESERIES
from llem.results.models import ExperimentResult, Phase, Stages
from llem.specs.scenario import ScenarioFigures


def complete(
    job_dir: Path, config: ExperimentConfig, draft: Draft, phases: list[Phase], series: Series, window: Window
) -> ExperimentResult:
    """Work out the figures and write both tables.

    Args:
        job_dir: receives `requests.parquet` and `timeseries.parquet`, which takes the place of the raw readings.
        config: the experiment.
        draft: what is known already; takes further warnings.
        phases: all of them, ended.
        series: what the meters read.
        window: what happened in the measured window.
    """
    open_ns, close_ns, used = window.open_ns, window.close_ns, window.report.devices
    rows = timings(window.answers)
    served = window.served
    around = [*rows, *timings(served.beside)] if served is not None else rows
    tokens = count_tokens(rows) if served is None else count_given_out(around, open_ns, close_ns, served.unanswered)
    baseline = draft.baseline
    figures = window_figures(
        series,
        open_ns,
        close_ns,
        tokens=tokens,
        used=used,
        idle_w=usable_idle_w(baseline),
        resident_w=baseline.resident_w if baseline else None,
        phases=phases,
    )
    energy, devices = figures.energy, figures.energy.devices
    if window.report.elsewhere is not None:
        energy.headline, energy.totals = None, []
        draft.warn(
            "work_elsewhere",
            f"the model ran on {window.report.elsewhere}: the meters of this machine read what asking took, not the "
            "work, so that no energy is given for it.",
        )
    if window.others.is_doubtful:
        mark_machine_wide(energy)
    headline = energy.headline.devices if energy.headline else ()
    if served is None:
        energy.stages = stages(series, devices, rows, (open_ns, close_ns), used, headline)
    else:
        energy.stages = Stages(reason="requests prefill while others decode: their energy cannot be told apart")
    for warning in (
        *figures.warnings,
        *disturbance_warnings(series, open_ns, close_ns, used),
        *thermal_warnings(series, open_ns, close_ns, used),
        *load_warnings(window.others, {d.scope for d in devices if d.energy_j is not None and is_of_the_machine(d)}),
        *sharing_warnings(draft.environment.get("exclusive"), {d.scope for d in devices if d.energy_j is not None}),
    ):
        draft.warn(warning.code, warning.message)
    together = None if served is not None else batching(window.answers, window.batch_size, window.metrics)
    known = _scenario_figures(window, series, headline)
    for caveat in (
        *latency_caveats(rows, window.answers),
        *(batching_caveats(together, window.passes, len(rows) // window.passes) if together is not None else ()),
        *known.caveats,
    ):
        draft.warn(caveat.code, caveat.message)
    if config_hash(config) != draft.job.config_hash:
        draft.warn(
            "identity_differs",
            "the llem that ran this experiment gives it another identity than the one that planned it; "
            "use one version on both sides before comparing it with others.",
        )
    if served is None:
        write_requests(job_dir / REQUESTS, rows, open_ns)
    else:
        write_served(job_dir / REQUESTS, around, served.unanswered, len(rows), open_ns, close_ns)
    write_timeseries(series, job_dir / TIMESERIES, open_ns)
    speed = throughput(tokens, window.seconds)
    for warning in recount(job_dir, energy, speed, phases):
        draft.warn(warning.code, warning.message)
    (job_dir / READINGS).unlink(missing_ok=True)  # all of it is in the table now
    return draft.result(
        "done",
        phases,
        passes=window.passes,
        energy=energy,
        tokens=tokens,
        throughput=speed,
        latency=latency(rows, window.answers),
        batching=together,
        memory=memory(window.loaded, window.peak, series, open_ns, close_ns, used),
        flops=None
        if served is not None
        else arithmetic(window.report, rows, window.seconds, {d.device: d.name for d in devices if d.scope == "gpu"}),
        engine_metrics=dict(window.metrics),
        scenario_metrics=dict(known.metrics),
        thermal=thermal(series, open_ns, close_ns),
    )


def _scenario_figures(window: Window, series: Series, headline: Collection[str]) -> ScenarioFigures:
    """The scenario's own figures, with the energy of the headline's devices."""
    if window.scenario is None:
        return ScenarioFigures(metrics={})

    def energy_j(start_ns: int, end_ns: int) -> float | None:
        found: dict[str, float] = {}
        for track in series.tracks:
            if (joules := energy_between(series, track, start_ns, end_ns)) is not None:
                found.setdefault(track.device.id, joules)
        return whole_sum(headline, found)

    return window.scenario.figures(energy_j)
