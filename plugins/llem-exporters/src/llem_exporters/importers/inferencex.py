"""Reads `agg_*.json` of InferenceX (formerly InferenceMAX): one run, or the list of a sweep.

Throughput there is for each GPU, and here of all; latencies are in seconds already. Energy is of all GPUs, from power that was sampled
beside the run, and is taken only where InferenceX's own check calls it valid.
Source: `utils/process_result.py` and `utils/aggregate_power.py` (power schema 2) of https://github.com/SemiAnalysisAI/InferenceX,
commit 843c625.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import ExperimentResult, ResultError
from llem_exporters.importers.reading import Teller, files_of, objects_of, require, text
from llem_exporters.importers.runs import MOST_GPUS, UNKNOWN, Run, results_of
from llem_exporters.importers.working_out import WORKED_OUT, Told

TOOL = "inferencex"
_WHAT = "agg_*.json of InferenceX"
_NEEDED = ("hw", "conc", "model", "framework", "tput_per_gpu")
_POWER_SCHEMA = 2
"""Since this one energy of several nodes is that of all of them; before, the same key held that of one role."""

_ENERGY = {
    "energy.headline.energy_j": "total_gpu_energy_j",
    "energy.headline.mean_w": "avg_total_gpu_power_w",
    "energy.headline.j_per_output_token": "joules_per_output_token",
    "energy.headline.j_per_token": "joules_per_total_token",
    "energy.headline.j_per_request": "joules_per_successful_query",
}
_ENGINE = (
    "tp",
    "pp",
    "ep",
    "dcp_size",
    "pcp_size",
    "dp_attention",
    "prefill_tp",
    "prefill_ep",
    "prefill_dp_attention",
    "prefill_num_workers",
    "decode_tp",
    "decode_ep",
    "decode_dp_attention",
    "decode_num_workers",
    "num_prefill_gpu",
    "num_decode_gpu",
    "precision",
    "spec_decoding",
    "disagg",
)
_OTHER = {"load.concurrency": "conc", "dataset.input_tokens": "isl", "dataset.output_tokens": "osl"}


def read_inferencex(path: Path) -> Iterator[ExperimentResult]:
    """A result for each run of a file, or of every `agg_*.json` below a folder.

    Raises:
        ResultError: a file is none of InferenceX's.
    """
    runs = [run for file in files_of(path, "agg_*.json", _WHAT) for run in _runs(file)]
    return results_of(TOOL, runs, str(path))


def _runs(file: Path) -> Iterator[Run]:
    for number, data in enumerate(objects_of(file, _WHAT), 1):
        where = f"{file}: run {number}"
        require(data, _NEEDED, _WHAT, where)
        yield _run(data, where)


def _run(data: Mapping[str, Any], where: str) -> Run:
    teller = Teller(data, where)
    gpus, giving = _gpus(teller)
    _speed(teller, "throughput.tokens_per_s", "output_tput_per_gpu", giving)
    _speed(teller, "throughput.total_tokens_per_s", "tput_per_gpu", gpus)
    for family, theirs in (("ttft_s", "ttft"), ("tpot_s", "tpot"), ("itl_s", "itl"), ("e2e_s", "e2el")):
        names = {"mean": f"mean_{theirs}", "p50": f"median_{theirs}", "std": f"std_{theirs}"}
        names |= {f"p{p}": f"p{p}_{theirs}" for p in (90, 95, 99)}
        teller.distribution(family, {moment: (name,) for moment, name in names.items()})
    said = _energy(teller, data)
    framework = text(data["framework"]) or UNKNOWN
    hardware = text(data["hw"])
    image = text(data.get("image"))
    engine = {name: data.get(name) for name in _ENGINE}
    other = {name: data.get(theirs) for name, theirs in _OTHER.items()}
    return Run(
        values=teller.told,
        model=text(data["model"]) or UNKNOWN,
        engine=framework,
        dtype=text(data.get("precision")),
        parameters={k: v for k, v in {**engine, **other}.items() if isinstance(v, str | int | float) and v != ""},
        gpus=[hardware] * gpus if hardware and gpus else (),
        method="power",
        versions={"image": image} if image else {},
        notes=["its throughput for each GPU is that of all here", *said],
    )


def _gpus(teller: Teller) -> tuple[int, int]:
    """The number of GPUs, and by how many its output throughput was divided: those that decode, where some do nothing else."""
    if teller.data.get("is_multinode") is True:
        prefill, decode = (_whole(teller, f"num_{role}_gpu", 0) for role in ("prefill", "decode"))
        return prefill + decode, decode or prefill
    count = 1
    for name, default in (("tp", 0), ("pp", 1), ("pcp_size", 1)):
        count *= _whole(teller, name, default)
    if count > MOST_GPUS:
        raise ResultError(f"its `tp`, `pp` and `pcp_size` make {count:,} GPUs.", where=teller.where)
    return count, count


def _whole(teller: Teller, name: str, default: int) -> int:
    value = teller.number(name)
    found = default if value is None else int(value)
    if value is not None and (found != value or not 0 <= found <= MOST_GPUS):
        raise ResultError(f"its `{name}` is no number of GPUs: {value:g}.", where=teller.where)
    return found


def _speed(teller: Teller, column: str, name: str, gpus: int) -> None:
    value = teller.number(name)
    if value is not None and gpus:
        teller.told[column] = Told(value * gpus, f"{WORKED_OUT}{name} x {gpus} GPUs")


def _energy(teller: Teller, data: Mapping[str, Any]) -> list[str]:
    """Take the energy where it is valid, and say why where it is not."""
    if not any(name in data for name in _ENERGY.values()):
        return ["its power was measured, and InferenceX calls it invalid"] if data.get("power_valid") == 0 else []
    if data.get("power_valid") not in (1, True):
        return ["energy is left out: InferenceX does not call it valid"]
    schema = teller.number("power_metric_schema_version") or 0
    if data.get("is_multinode") is True and schema < _POWER_SCHEMA:
        return ["energy is left out: of several nodes, by a schema that does not say of which role it is"]
    for column, name in _ENERGY.items():
        teller.tell(column, name, above_zero=True)
    joules, watts = (teller.told.get(f"energy.headline.{name}") for name in ("energy_j", "mean_w"))
    if joules is not None and watts is not None:
        teller.told["energy.window_s"] = Told(joules.value / watts.value, WORKED_OUT + "energy / mean power")
    return []
