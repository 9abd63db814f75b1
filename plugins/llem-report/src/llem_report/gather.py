"""All that a report says of a study, as plain data: of one that is finished, runs, failed in part, or has no energy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import ConfigError, ResultError
from llem_analysis.auditing import audit
from llem_analysis.candidates import Candidate, candidates_of
from llem_analysis.design import Configured, configured
from llem_analysis.loading import give_back, load_table, rows_of, study_name
from llem_analysis.metric_names import METRIC_SPECS, main_figures
from llem_analysis.objectives import judged_again
from llem_analysis.parquet_rows import parquet_rows
from llem_analysis.picking import pick_among
from llem_analysis.wording import as_written
from llem_report.answer import BY, answer_of
from llem_report.citing import citation, study_manifest
from llem_report.environments import environments_of, versions_of
from llem_report.methods import METHOD_COLUMNS, method_sentences
from llem_report.models import FigureColumn, Mean, ReportConfiguration, ReportStudy

if TYPE_CHECKING:
    import pyarrow as pa

    from llem_analysis.intervals import Interval
    from llem_analysis.manifest_head import Head
    from llem_analysis.metric_summary import MetricSummary
    from llem_analysis.picking import Pick
    from llem_analysis.study_models import StudyAnalysis

__all__ = ["FigureColumn", "Mean", "ReportConfiguration", "ReportStudy", "gather"]

SHOWN = (
    "j_per_output_token",
    "j_per_request",
    "mean_w",
    "tokens_per_s",
    "requests_per_s",
    "ttft_p50_s",
    "ttft_p95_s",
    "itl_p50_s",
    "tpot_p50_s",
    "e2e_p50_s",
    "e2e_p95_s",
    "peak_memory_mb",
    "host_peak_rss_mb",
)
"""Figures of the table of experiments, those that a study has; metrics of scenarios and those that plugins compute follow them."""

_OF_SCENARIOS = "scenario_metrics."

MOST_JUDGED = 400
"""Above so many runs their requests are not read again for the answer: a page that is served has no seconds for it."""

_MORE = (
    "warning_messages",
    "failure.type",
    "failure.message",
    "energy.headline.devices",
    "energy.phases_j",
    *METHOD_COLUMNS,
)
"""Columns that a report takes besides what it concludes from."""


def gather(study_dir: Path | str, rules: str | None = None) -> ReportStudy:
    """Read a study.

    Args:
        study_dir: its folder; it may still run.
        rules: of an audit, by name or file; None asks for none.

    Raises:
        ResultError: there is no study, or its manifest is damaged and it has no results; no run is done that could be audited.
        ConfigError: there are no such rules.
        PluginError: numpy or scipy is not installed.
    """
    from llem_analysis.manifest_head import head_beside_results

    folder = Path(study_dir)
    others = [
        spec
        for spec in METRIC_SPECS.values()
        if spec.column.startswith(_OF_SCENARIOS) or (spec.value is not None and spec.scale == "log")
    ]
    specs = [*(METRIC_SPECS[name] for name in SHOWN), *others]
    table = load_table(folder)
    rows = sorted(
        rows_of(table, [*specs, *(METRIC_SPECS[name] for name in main_figures())], _MORE),
        key=lambda r: (r.get("position") is None, r.get("position") or 0, str(r["directory"])),
    )
    head, damage = head_beside_results(folder, has_results=bool(rows))
    state = _state(folder, head)
    columns = [
        FigureColumn(spec.name, spec.label, spec.unit, spec.better, spec.energy)
        for spec in specs
        if any(row.get(spec.column) is not None for row in rows)
    ]
    groups = configured(rows)
    found = candidates_of(groups, specs)
    configurations, common = _configurations(found, groups, _first_configs(table, groups))
    # What thousands of rows and candidates held for these alone is let go.
    found = [replace(one, figures={name: one.figures[name] for name in BY if name in one.figures}) for one in found]
    for row in rows:
        row.pop("energy.phases_j", None)
    del table
    give_back()
    environments, environment_of = environments_of(folder, rows)
    analysis, no_findings = _analysis(folder, rows, groups)
    counts = dict(head.totals) if head else {"experiments": len(rows), **Counter(_status(row) for row in rows)}
    title = head.name if head else folder.resolve().name
    versions = versions_of(environments)
    manifest = study_manifest(folder)
    findings = tuple(finding.text for finding in analysis.findings) if analysis else ()
    return ReportStudy(
        directory=folder,
        title=title,
        state=state,
        finished=state != "running",
        counts=counts,
        rows=_rows(rows, columns, groups, found, environment_of),
        figures_of_table=tuple(columns),
        parameters=tuple(dict.fromkeys(key for one in found for key in one.settings)),
        configurations=configurations,
        common=common,
        answer=replace(
            answer_of(findings, configurations, lambda by: _picked(found, groups, rows, folder, by)),
            searched=_searched(folder),
        ),
        findings=findings,
        no_findings=no_findings,
        analysis=analysis,
        warnings=(*damage, *_unfinished(state, counts), *(analysis.caveats if analysis else _caveats(rows, groups))),
        environments=environments,
        versions=versions,
        method=tuple(method_sentences(rows, manifest, environments)),
        citation=citation(manifest, title, rows, versions),
        scenarios=tuple(dict.fromkeys(str(row["scenario"]) for row in rows if row.get("scenario"))),
        audit=None if rules is None else audit(folder, rules),
    )


def _state(folder: Path, head: Head | None) -> str:
    from llem.plugin_api import is_held

    if head is None:
        return "unknown"
    return "broken off" if head.state == "running" and not is_held(folder) else head.state


def _analysis(
    folder: Path, rows: Sequence[Mapping[str, Any]], groups: Sequence[Configured]
) -> tuple[StudyAnalysis | None, str | None]:
    from llem_analysis.cycles_needed import EarlierStudies
    from llem_analysis.study_effects import analyse_configurations

    name, directory = study_name(folder)
    try:
        return analyse_configurations(rows, groups, name, directory, earlier=EarlierStudies(folder, None)), None
    except ResultError as error:
        return None, error.what


def _searched(folder: Path) -> tuple[str, ...]:
    """The answer of a study that searches, in sentences; empty where it does not, or none can be read."""
    from llem.plugin_api import SEARCH, read_object

    try:
        said = read_object(folder / SEARCH, "answer").get("said")
    except ResultError:
        return ()
    return tuple(map(str, said)) if isinstance(said, list) else ()


def _picked(
    found: Sequence[Candidate], groups: Sequence[Configured], rows: Sequence[Mapping[str, Any]], folder: Path, by: str
) -> Pick:
    """The best configuration by a figure; where that is of loads and the study has objectives, among those that keep them."""
    verdicts = None
    if any(n.startswith(_OF_SCENARIOS) for n in METRIC_SPECS[by].of) and len(rows) <= MOST_JUDGED:
        with suppress(ConfigError, ResultError):  # it has none, or its tables of requests are not here
            _, verdicts = judged_again(groups, folder, {}, ())
    return pick_among(found, rows, folder, by, verdicts=verdicts)


def _unfinished(state: str, counts: Mapping[str, int]) -> Iterator[str]:
    left = counts.get("pending", 0) + counts.get("running", 0)
    if left and state == "running":
        yield f"The study runs: {left:,} of {counts['experiments']:,} experiments are still to come, and figures may change."
    elif left:
        yield f"The study is not finished: {left:,} of {counts['experiments']:,} experiments have not run."


def _caveats(rows: Sequence[Mapping[str, Any]], groups: Sequence[Configured]) -> Sequence[str]:
    from llem_analysis.caveats import caveats

    estimated = any(row.get("energy.headline.method") == "estimate" for row in rows)
    mark = (
        ("~ marks energy that was estimated (CPU utilisation times rated power), not measured.",) if estimated else ()
    )
    return (*mark, *caveats(rows, groups, ()))


def _first_configs(table: pa.Table, groups: Sequence[Configured]) -> list[dict[str, Any]]:
    """For each configuration its keys and values, as the first of its runs has them."""
    import numpy as np

    place = {name: number for number, name in enumerate(table.column("directory").to_pylist())}
    names = [name for name in table.column_names if name.startswith("config.")]
    first = np.array([place[group.rows[0]["directory"]] for group in groups], dtype=np.int64)
    rows = parquet_rows(table.select(names).take(first))
    return [{name.removeprefix("config."): value for name, value in row.items()} for row in rows]


def _configs(
    groups: Sequence[Configured], configs: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    """For each backend the keys in which its configurations differ, and the keys and values that all of them share."""
    of_backend: dict[str, list[Mapping[str, Any]]] = {}
    for group, config in zip(groups, configs, strict=True):
        of_backend.setdefault(str(group.backend), []).append(config)
    differing: dict[str, list[str]] = {}
    common: dict[str, dict[str, Any]] = {}
    for backend, of_it in of_backend.items():
        differing[backend], common[backend] = [], {}
        for name in dict.fromkeys(name for config in of_it for name in config):
            first = of_it[0].get(name)
            if any(config.get(name) != first for config in of_it):
                differing[backend].append(name)
            elif first is not None:
                common[backend][name] = first
    return differing, common


def _configurations(
    found: Sequence[Candidate], groups: Sequence[Configured], configs: Sequence[Mapping[str, Any]]
) -> tuple[tuple[ReportConfiguration, ...], dict[str, dict[str, Any]]]:
    """Every configuration, and for each backend the keys and values that all of its configurations share."""
    from llem_analysis.many_intervals import intervals_of

    differing, common = _configs(groups, configs)
    intervals = iter(intervals_of([figure.values for one in found for figure in one.figures.values()]))
    means = [{name: _mean(figure, next(intervals)) for name, figure in one.figures.items()} for one in found]
    return tuple(
        _configuration(one, group, figures, _only(config, differing[str(group.backend)]))
        for one, group, figures, config in zip(found, groups, means, configs, strict=True)
    ), common


def _only(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: config[name] for name in names if config.get(name) is not None}


def _mean(figure: MetricSummary, interval: Interval | None) -> Mean:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Mean(figure.mean, low, high, figure.n)


def _configuration(
    one: Candidate, group: Configured, figures: Mapping[str, Mean], config: Mapping[str, Any]
) -> ReportConfiguration:
    (kind,) = one.kinds if len(one.kinds) == 1 else [(None, None)]
    return ReportConfiguration(
        config_hash=one.config_hash,
        label=one.label,
        backend=one.backend,
        settings=one.settings,
        runs=len(group.rows),
        figures=figures,
        phases_j=_phases(group.rows) if len(one.kinds) == 1 else {},
        estimated=one.estimated,
        scope=kind[0],
        method=kind[1],
        config=config,
        directories=tuple(str(row["directory"]) for row in group.rows),
        disturbed=tuple(sorted(one.disturbed)),
    )


def _phases(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Joules by phase, of the devices that the headline counts, mean over the runs that tell it."""
    found: dict[str, list[float]] = {}
    for row in rows:
        devices = set(row.get("energy.headline.devices") or ())
        for phase, joules in (row.get("energy.phases_j") or {}).items():
            if devices and devices <= joules.keys():
                found.setdefault(phase, []).append(sum(joules[device] for device in devices))
    return {phase: sum(values) / len(values) for phase, values in found.items()}


def _status(row: Mapping[str, Any]) -> str:
    """The end of a run. One that the user interrupted has a failed result, but did not fail by itself."""
    return "interrupted" if row.get("failure.type") == "Interrupted" else str(row.get("status"))


def _point(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("point."): value for name, value in row.items() if name.startswith("point.")}


def _label(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={as_written(value)}" for key, value in settings.items())


def _rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[FigureColumn],
    groups: Sequence[Configured],
    found: Sequence[Candidate],
    environment_of: Mapping[str, int],
) -> list[dict[str, Any]]:
    place = {row["directory"]: number for number, group in enumerate(groups) for row in group.rows}
    shown = []
    for row in rows:
        configuration = place.get(row["directory"])
        settings = _point(row) if configuration is None else found[configuration].settings
        failure = ": ".join(str(row[f"failure.{part}"]) for part in ("type", "message") if row.get(f"failure.{part}"))
        shown.append(
            {
                "position": row.get("position"),
                "cycle": row.get("cycle"),
                "config_hash": row.get("config_hash"),
                "configuration": configuration,
                "label": _label(settings) if configuration is None else found[configuration].label,
                "backend": row.get("config.backend"),
                "settings": settings,
                "status": _status(row),
                "failure": failure or None,
                "estimated": row.get("energy.headline.method") == "estimate",
                "warnings": [
                    {"code": code, "message": message}
                    for code, message in zip(row.get("warnings") or (), row.get("warning_messages") or (), strict=False)
                ],
                "directory": row["directory"],
                "environment": environment_of.get(row["directory"]),
                **{column.key: row.get(METRIC_SPECS[column.key].column) for column in columns},
            }
        )
    return shown
