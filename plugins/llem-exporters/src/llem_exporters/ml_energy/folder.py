"""Writes the folder: `runs/llm.parquet`, the raw files of each run below `llm/`, and what is known of models below `configs/`.

    runs/llm.parquet
    llm/GPU/current/run/llem/TASK/results/ORGANIZATION/MODEL/GPU/num_gpus+1+max_num_seqs+8+…/results.json, prometheus.json
    configs/vllm/TASK/ORGANIZATION/MODEL/model_info.json, GPU/monolithic.config.yaml

A task is a dataset. Where a study has runs of one dataset and model that differ in more than how many requests run at once,
each such set-up is a task of its own: their cascade goes from one batch size to the next of the same thing, and their form
has no other place for what differs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from llem.plugin_api import ResultError, inside
from llem.plugin_api import value as as_text
from llem_exporters.ml_energy.runs import NoPlaceError, Run, run_of
from llem_exporters.ml_energy.stability import Checked, unstable_reasons
from llem_exporters.safe_names import folder_name
from llem_exporters.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT = (
    *("domain", "task", "model_id", "nickname", "architecture", "weight_precision", "gpu_model", "unstable_reason"),
    *(
        "results_path",
        "prometheus_path",
        "llem_study",
        "llem_directory",
        "llem_config_hash",
        "llem_point",
        "llem_model",
    ),
    *("llem_backend", "llem_energy_method", "llem_batch_size_source"),
)
_WHOLE = (
    *("num_gpus", "max_num_seqs", "seed", "num_request_repeats"),
    *("tensor_parallel", "expert_parallel", "data_parallel", "llem_cycle", "llem_position"),
)
_YES_OR_NO = ("is_stable", "llem_unreliable")


def write_ml_energy(source: Source, folder: Path) -> tuple[int, list[str]]:
    """Write every run that their form can hold.

    Args:
        source: the study.
        folder: absent or empty, since their reader takes all that it finds below.

    Returns:
        How many runs were written, and why others were left out.

    Raises:
        ResultError: no run can be written, or the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ResultError(
            "this form takes a folder of its own, since its reader takes all that it finds there.",
            where=str(folder),
            remedy="Name one that is not there yet, or is empty.",
        )
    runs, left_out = _runs(source)
    if not runs:
        raise ResultError(
            "no run of this study has a place in ML.ENERGY's form. "
            + (f"The first of them: {left_out[0]}." if left_out else "None is done."),
            where=str(source.path),
            remedy="Other formats hold every run, such as --format csv.",
        )
    tasks = _tasks(runs)
    reasons = unstable_reasons(
        [
            Checked(
                group=(run.fields["model_id"], task, run.fields["gpu_model"], run.fields["num_gpus"]),
                duration_s=run.fields["steady_state_duration_seconds"],
                max_num_seqs=run.fields["max_num_seqs"],
                running=run.running,
            )
            for run, task in zip(runs, tasks, strict=True)
        ]
    )
    rows = []
    for run, task, reason in zip(runs, tasks, reasons, strict=True):
        _write_config(folder, run, task)
        paths = _write_raw(folder, run, task)
        rows.append(
            {**run.fields, "task": task, "is_stable": not reason, "unstable_reason": reason, **paths, **run.own}
        )
    import pyarrow.parquet as pq

    (folder / "runs").mkdir()
    with (folder / "runs" / "llm.parquet").open("wb") as stream:
        pq.write_table(_table(rows), stream, compression="zstd")
    return len(runs), left_out


def _runs(source: Source) -> tuple[list[Run], list[str]]:
    study = source.path.parent if source.path.suffix == ".parquet" else source.path
    rows = {str(row["directory"]): row for row in source.rows}
    runs, left_out = [], []
    for directory, result in source.results():
        try:
            runs.append(run_of(result, rows[directory], inside(study, directory)))
        except NoPlaceError as error:
            left_out.append(f"{directory}: {error}")
    return runs, left_out


def _tasks(runs: Sequence[Run]) -> list[str]:
    """Each run's task: its dataset, and the set-up where the dataset has several with its model."""
    setups: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for run in runs:
        setups.setdefault((run.fields["model_id"], run.dataset), {}).setdefault(run.setup, run.point)
    return [_task(run, setups[run.fields["model_id"], run.dataset]) for run in runs]


def _task(run: Run, setups: Mapping[str, Mapping[str, Any]]) -> str:
    if len(setups) == 1:
        return folder_name(run.dataset)
    label = _label(setups[run.setup])
    name = f"{run.dataset},{label}" if label else run.dataset
    if not label or sum(_label(point) == label for point in setups.values()) > 1:
        name += f",{hashlib.sha256(run.setup.encode()).hexdigest()[:8]}"
    return folder_name(name)


def _label(point: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in point.items() if key not in ("model", "dataset.name")}
    return ",".join(f"{key}={as_text(value)}" for key, value in shown.items())


def _write_raw(folder: Path, run: Run, task: str) -> dict[str, str | None]:
    """`results.json` and, where the mean number of requests is known, `prometheus.json`; their paths below the folder."""
    gpu, fields = run.fields["gpu_model"], run.fields
    place = PurePosixPath("llm", gpu, "current", "run", "llem", task, "results", run.organization, run.model, gpu)
    parts = {
        **{key: fields[key] for key in ("num_gpus", "max_num_seqs", "seed", "num_request_repeats")},
        "cycle": run.own["llem_cycle"],
        "job": folder_name(run.directory),
    }
    place /= "+".join(f"{key}+{part}" for key, part in parts.items() if part is not None)
    (folder / place).mkdir(parents=True)
    results = {
        "steady_state_energy": fields["steady_state_energy_joules"],
        "steady_state_duration": fields["steady_state_duration_seconds"],
        "steady_state_energy_per_token": fields["energy_per_token_joules"],
        "completed": int(fields["completed_requests"]),
        "total_output_tokens": int(fields["total_output_tokens"]),
        "output_throughput": fields["output_throughput_tokens_per_sec"],
        "results": run.requests,
        **run.own,
    }
    _write_json(folder / place / "results.json", results)
    if run.running is None:
        return {"results_path": str(place / "results.json"), "prometheus_path": None}
    stats = {"vllm:num_requests_running": run.running}
    _write_json(folder / place / "prometheus.json", {"steady_state_stats": stats})
    return {"results_path": str(place / "results.json"), "prometheus_path": str(place / "prometheus.json")}


def _write_config(folder: Path, run: Run, task: str) -> None:
    """Write what a run's task says of its model and its GPUs; it is the same for all runs of one set-up."""
    fields, place = run.fields, folder / "configs" / "vllm" / task / run.organization / run.model
    (place / fields["gpu_model"]).mkdir(parents=True, exist_ok=True)
    model = {
        "nickname": fields["nickname"],
        "total_parameters_billion": fields["total_params_billions"],
        "active_parameters_billion": fields["activated_params_billions"],
        "architecture": fields["architecture"],
        "weight_precision": fields["weight_precision"],
    }
    _write_json(place / "model_info.json", model)
    split: dict[str, Any] = {
        "tensor-parallel-size": run.parallel.tensor,
        "data-parallel-size": run.parallel.data,
    }
    if run.parallel.expert > 1:
        split |= {"enable-expert-parallel": True, "expert-parallel-size": run.parallel.expert}
    _write_json(place / fields["gpu_model"] / "monolithic.config.yaml", split)  # JSON is YAML


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    # In ASCII: their reader takes whatever encoding its machine has.
    path.write_text(json.dumps(data, allow_nan=False) + "\n", encoding="ascii")


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    kinds: dict[str, pa.DataType] = {
        **dict.fromkeys(_TEXT, pa.string()),
        **dict.fromkeys(_WHOLE, pa.int64()),
        **dict.fromkeys(_YES_OR_NO, pa.bool_()),
        "llem_warnings": pa.list_(pa.string()),
    }
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in rows[0]])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
