"""Reads results of AIEnergyScore: `benchmark_report.json` of its scenario, its summary, or `master_results.csv` of its batch runner.

A report tells the GPUs' energy of prefill and decode over all requests; the decode is all that is not prefill. How many requests
those were is in the configuration beside it, or in the report that `llem export --format aienergyscore` writes. No duration is told, so
that there is no power. A summary tells the total, and no request, model or hardware.
Source: `summarize_gpu_wh.py` and `results_aggregator.py` of AIEnergyScore 0.1, https://github.com/huggingface/AIEnergyScore, and the
scenario energy_star of optimum-benchmark.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from llem.plugin_api import ExperimentResult, ResultError, ResultWarning
from llem_exporters.importers.optimum_benchmark import REPORT, about, reports_of, settings_of, told_energy
from llem_exporters.importers.reading import MOST_FILES, Teller, at, json_of, read_text, require, text
from llem_exporters.importers.runs import UNKNOWN, Run, results_of
from llem_exporters.importers.working_out import CONVERTED, WORKED_OUT, Told

TOOL = "aienergyscore"
SUMMARY, TABLE = "GPU_ENERGY_SUMMARY.json", "master_results.csv"
_WHAT = "result of AIEnergyScore"
_PHASES = ("preprocess", "preprocess_dataset", "prefill", "decode")
_ENERGY = "energy.headline.energy_j"
_J_PER_WH = 3600.0
_COLUMNS = ("model_name", "task", "successful_prompts", "gpu_energy_wh")


def read_aienergyscore(path: Path) -> Iterator[ExperimentResult]:
    """A result for a report, a summary or each row of a table; of a folder for its table, else for each report or summary below.

    Raises:
        ResultError: a file is none of AIEnergyScore's.
    """
    return results_of(TOOL, list(_runs(path)), str(path))


def _runs(path: Path) -> Iterator[Run]:
    if not path.is_dir():
        yield from _of_file(path)
        return
    if (path / TABLE).is_file():
        yield from _of_table(path / TABLE)
        return
    reports = {file.parent: file for name in (SUMMARY, REPORT) for file in path.rglob(name)}  # the report says more
    if not reports or len(reports) > MOST_FILES:
        raise ResultError(f"below it are {len(reports):,} folders with a {REPORT} or {SUMMARY}.", where=str(path))
    for folder in sorted(reports):
        yield from _of_file(reports[folder])


def _of_file(file: Path) -> Iterator[Run]:
    if file.suffix == ".csv":
        yield from _of_table(file)
        return
    data = json_of(file, _WHAT)
    if isinstance(data, Mapping) and "units" in data and "total" in data:
        yield _of_summary(data, str(file))
    else:
        yield from (_of_report(*one) for one in reports_of(file))


def _of_report(report: Mapping[str, Any], config: Mapping[str, Any], where: str) -> Run:
    teller = Teller(report, where)
    if isinstance(at(report, "energy", "gpu_energy_wh"), int | float):
        teller.tell(_ENERGY, "energy", "gpu_energy_wh", factor=_J_PER_WH, unit="Wh", above_zero=True)
        teller.tell("tokens.requests", "summary", "successful_prompts", above_zero=True)
        teller.tell("tokens.input", "summary", "total_prompt_tokens", above_zero=True)
        teller.tell("tokens.output", "summary", "total_completion_tokens", above_zero=True)
        teller.tell("energy.window_s", "summary", "total_duration_seconds", above_zero=True)
    elif any(isinstance(at(report, phase), Mapping) for phase in _PHASES):
        _phases(teller, config)
    else:
        raise ResultError(f"it is no {_WHAT}: it has no phase and no energy.gpu_energy_wh.", where=where)
    known = about({**config, "backend": {"device": "cuda", **(at(config, "backend") or {})}})
    own = {"model": text(report.get("model")), "engine": text(report.get("backend"))}
    measured, cycles = teller.number("measured_requests"), teller.number("cycles")
    return Run(
        values=teller.told,
        dataset=text(at(config, "scenario", "dataset_name")) or UNKNOWN,
        parameters={**settings_of(config), **_hash(report), **_batch(config)},
        method="counter",
        warnings=_doubts(report),
        notes=[
            "energy is of the GPUs, and no duration is told with it, so that there is no power",
            *(
                [f"its energy is a mean of {cycles:g} cycles, in which {measured:g} requests were measured"]
                if cycles and measured
                else []
            ),
        ],
        **{**known, **{key: value for key, value in own.items() if value}},
    )


def _phases(teller: Teller, config: Mapping[str, Any]) -> None:
    total, seen = 0.0, []
    for phase in _PHASES:
        column = f"energy.stages.{phase}.energy_j"
        told_energy(teller, column, phase, {})
        if column in teller.told:
            total += teller.told[column].value
            seen.append(phase)
    for phase in _PHASES[:2]:
        teller.told.pop(f"energy.stages.{phase}.energy_j", None)
    if "prefill" not in seen:  # then decode is all of it, and no stage
        teller.told.pop("energy.stages.decode.energy_j", None)
    if total > 0:
        teller.told[_ENERGY] = Told(total, f"{' + '.join(f'{phase}.energy.gpu' for phase in seen)}{CONVERTED}kWh")
    teller.tell("tokens.requests", "requests", above_zero=True)
    samples = at(config, "scenario", "num_samples")
    if "tokens.requests" not in teller.told and isinstance(samples, int) and samples > 0:
        teller.told["tokens.requests"] = Told(samples, WORKED_OUT + "the configuration's num_samples")


def _of_summary(data: Mapping[str, Any], where: str) -> Run:
    if data["units"] != "Wh":
        raise ResultError(f"its units are {str(data['units'])[:40]!r}, and AIEnergyScore's are Wh.", where=where)
    teller = Teller(data, where)
    teller.tell(_ENERGY, "total", factor=_J_PER_WH, unit="Wh", above_zero=True)
    teller.tell("tokens.requests", "requests", above_zero=True)
    return Run(
        values=teller.told,
        method="counter",
        warnings=_doubts(data),
        notes=["a summary tells neither model nor hardware"],
    )


def _of_table(file: Path) -> Iterator[Run]:
    reader = csv.DictReader(StringIO(read_text(file, "table"), newline=""), strict=True)
    try:
        require(dict.fromkeys(reader.fieldnames or ()), _COLUMNS, _WHAT, str(file))
        for row in reader:
            yield _of_row(row, f"{file}: line {reader.line_num}")
    except csv.Error as error:
        raise ResultError(f"it is no CSV: line {reader.line_num}: {error}.", where=str(file)) from error


def _of_row(row: Mapping[str, str | None], where: str) -> Run:
    numbers: dict[str, Any] = {}
    for name, cell in row.items():
        try:
            numbers[name] = float(cell or "")
        except (ValueError, TypeError):
            continue
    if (row.get("successful_prompts") or "").strip() and "successful_prompts" not in numbers:
        raise ResultError(f"`successful_prompts` is no number: {str(row['successful_prompts'])[:60]!r}.", where=where)
    teller = Teller(numbers, where)
    teller.tell(_ENERGY, "gpu_energy_wh", factor=_J_PER_WH, unit="Wh", above_zero=True)
    teller.tell("energy.window_s", "total_duration_seconds", above_zero=True)
    teller.tell("tokens.requests", "successful_prompts", above_zero=True)
    teller.tell("tokens.input", "total_prompt_tokens", above_zero=True)
    teller.tell("tokens.output", "total_completion_tokens", above_zero=True)
    teller.tell("latency.ttft_s.mean", "avg_time_to_first_token", above_zero=True)
    teller.tell("latency.e2e_s.mean", "avg_total_time", above_zero=True)
    error, failed = text(row.get("error_message")), numbers.get("failed_prompts")
    settings = {"reasoning": text(row.get("reasoning_state")), "model_class": text(row.get("model_class"))}
    return Run(
        values=teller.told,
        model=text(row.get("model_name")) or UNKNOWN,
        dataset=text(row.get("task")) or UNKNOWN,
        parameters={name: value for name, value in settings.items() if value},
        method="counter",
        started_at=text(row.get("timestamp")),
        failure=error if error and not numbers.get("successful_prompts") else None,
        notes=[
            "energy is of the GPUs, in numbers that the table rounds",
            *([f"{failed:g} of its prompts failed"] if failed else []),
        ],
    )


def _hash(report: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of llem that an exported report names, which keeps two of one model apart."""
    found = text(report.get("config_hash"))
    return {"source.config_hash": found} if found else {}


def _batch(config: Mapping[str, Any]) -> dict[str, Any]:
    size = at(config, "scenario", "input_shapes", "batch_size")
    return {"batch_size": size} if isinstance(size, int) else {}


def _doubts(data: Mapping[str, Any]) -> list[ResultWarning]:
    """Warnings of llem's own, which its exports carry."""
    codes = data.get("llem_warnings")
    found = [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []
    return [ResultWarning(code=code[:100], message="told by the file, without its message") for code in found]
