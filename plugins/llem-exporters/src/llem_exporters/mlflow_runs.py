"""Runs in an MLflow tracking store, where MLflow is installed: one experiment for the study, one run for each result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from llem.plugin_api import MODIFIED, SIZE, LlemError, PluginError, read_result, result_row
from llem_analysis.loading import with_computed
from llem_analysis.weighed_rows import VOIDED, weighed
from llem_exporters.safe_names import parameter_name
from llem_exporters.source import Source

_LONGEST_PARAM = 6_000
_AT_ONCE = 100
"""MLflow takes at most so many parameters in one call."""


def log_mlflow(source: Source, store: str | None = None) -> tuple[str, int]:
    """Log a study. See `log_rows`.

    Returns:
        The store's URI and how many runs were logged.
    """
    return log_rows(source.name, source.rows, store), len(source.rows)


def log_result(study_dir: Path, job_dir: Path, name: str, store: str | None = None) -> None:
    """Log one result of a study of this name, as `log_rows`. Raises ResultError where it cannot be read, and as `log_rows`."""
    row = result_row(read_result(job_dir), job_dir.relative_to(study_dir).as_posix())
    log_rows(name, with_computed([row]), store)


def log_rows(name: str, rows: Iterable[Mapping[str, Any]], store: str | None = None) -> str:
    """Log every run that is done, and those that failed as failed, to the experiment of this name.

    Parameters are the configuration, metrics every scalar figure that was measured, tags the identity and how the energy
    came about (`energy_method`, `energy_estimated`). Nothing is kept of what was not measured, or is voided by a warning, which
    the tag `voided` then names. A name that MLflow does not take is brought into one that it does.

    Args:
        store: tracking URI; by default MLflow's own, `MLFLOW_TRACKING_URI`.

    Returns:
        The store's URI.

    Raises:
        PluginError: MLflow is not installed.
        LlemError: the store refuses.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise PluginError(f"MLflow is not installed ({error}).", remedy="pip install mlflow") from error
    try:
        client = MlflowClient(tracking_uri=store)
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        for row in rows:
            _log(client, number, row)
    except MlflowException as error:
        raise LlemError(
            f"MLflow's store refuses: {' '.join(str(error).split())[:300]}",
            where=store,
            remedy="Name another by --output, such as sqlite:///mlflow.db.",
        ) from error
    return str(client.tracking_uri)


def _log(client: Any, experiment: str, row: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    start, end = _ms(row.get("started_at")), _ms(row.get("ended_at"))
    run = client.create_run(experiment, start_time=start, run_name=str(row.get("directory")))
    key = run.info.run_id
    params = [Param(parameter_name(name.removeprefix("config.")), value) for name, value in _params(row)]
    for first in range(0, len(params), _AT_ONCE):
        client.log_batch(key, params=params[first : first + _AT_ONCE])
    metrics = [Metric(name, value, end or start or 0, 0) for name, value in _metrics(row)]
    client.log_batch(key, metrics=metrics, tags=[RunTag(name, value) for name, value in _tags(row)])
    client.set_terminated(key, "FINISHED" if row.get("status") == "done" else "FAILED", end_time=end)


def _params(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        if name.startswith("config.") and value is not None:
            yield name, _cut(str(value))


def _metrics(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    left_out = ("config.", "point.", "cycle", "position", "failure.", "schema_version", MODIFIED, SIZE)
    for name, value in weighed(row).items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or name.startswith(left_out):
            continue
        if math.isfinite(value):
            yield parameter_name(name), float(value)


def _tags(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    method, unreliable = row.get("energy.headline.method"), row.get("energy.headline.unreliable")
    tags = {
        "study": row.get("study"),
        "directory": row.get("directory"),
        "config_hash": row.get("config_hash"),
        "cycle": row.get("cycle"),
        "position": row.get("position"),
        "energy_method": method,
        "energy_scope": row.get("energy.headline.scope"),
        "energy_estimated": None if method is None else str(method == "estimate").lower(),
        "energy_unreliable": None if unreliable is None else str(unreliable).lower(),
        "warnings": " ".join(row.get("warnings") or ()) or None,
        "voided": ", ".join(f"{name} ({code})" for name, code in dict(weighed(row).get(VOIDED) or {}).items()) or None,
        "failure": row.get("failure.message"),
        "footprint_factors": row.get("footprint.factors"),
    }
    tags |= {name: value for name, value in row.items() if name.startswith("point.")}
    for name, value in tags.items():
        if value is not None:
            yield parameter_name(f"llem.{name}"), _cut(str(value))


def _cut(text: str) -> str:
    """A text as the store holds it; one that is cut says so."""
    return text if len(text) <= _LONGEST_PARAM else f"{text[: _LONGEST_PARAM - 1]}\N{HORIZONTAL ELLIPSIS}"


def _ms(text: Any) -> int | None:
    return int(datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() * 1000) if text else None
