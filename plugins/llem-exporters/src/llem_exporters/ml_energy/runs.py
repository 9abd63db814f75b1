"""One run in the terms of the ML.ENERGY benchmark, or why it cannot be told in them.

Every field of theirs has a value, so a run that lacks one is left out: nothing is made up for it.
Source: the fields of `LLMRun` in mlenergy-data 0.4.0, https://github.com/ml-energy/data.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import REQUESTS, EnergyFigure, ExperimentResult, ModelReport
from llem_analysis.run_file import table_of
from llem_analysis.warning_codes import kind_of
from llem_analysis.weighed_rows import VOIDED, weighed
from llem_analysis.weighing import codes_of
from llem_exporters.safe_names import folder_name

SEQUENCES = ("max_num_seqs", "batch_size", "concurrency")
"""Options by which backends say how many requests may run at once."""

NO_ORGANIZATION = "_"
"""First part of the id of a model that has none, such as a folder's."""

_NEEDED = {
    "energy.headline.energy_j": "no energy was measured",
    "energy.headline.j_per_output_token": "no energy per output token was measured",
    "throughput.tokens_per_s": "no output tokens per second were measured",
    "latency.itl_s.mean": "no gaps between tokens were measured",
}
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)
_TAIL = (90, 95, 99)


class NoPlaceError(Exception):
    """Their form cannot hold a run; the text says why."""


@dataclass(frozen=True)
class Parallel:
    """Sizes of the groups of GPUs over which an engine spreads a model."""

    tensor: int
    expert: int
    data: int


_FILLED = ("offline", "single_stream")
"""Scenarios in which the engine always has the next request."""


@dataclass(frozen=True)
class Run:
    """One run that their form can hold.

    Attributes:
        directory: its job directory, relative to the study's folder.
        organization, model: the two parts of its model's id, each a folder's name.
        dataset: name of its dataset.
        point: the swept keys without how many requests run at once.
        setup: its configuration without that, and what its model was loaded as: text that is equal for runs which differ in
            nothing else.
        parallel: how its GPUs share the work.
        running: mean number of requests running; None where it was not seen.
        fields: their columns, but for `task`, the verdict and the paths.
        own: columns of llem's, which their reader passes over.
        requests: of the measured window, as their raw files hold them.
    """

    directory: str
    organization: str
    model: str
    dataset: str
    point: Mapping[str, Any]
    setup: str
    parallel: Parallel
    running: float | None
    fields: Mapping[str, Any]
    own: Mapping[str, Any]
    requests: Sequence[Mapping[str, Any]]


def run_of(result: ExperimentResult, row: Mapping[str, Any], job: Path) -> Run:
    """A run in their terms.

    Args:
        result: of the run, which is done.
        row: the same run in the study's table, whose warnings weigh its figures.
        job: its folder, for `requests.parquet`.

    Raises:
        NoPlaceError: something that their form needs is not known.
    """
    row = weighed(row)
    if result.scenario not in _FILLED:
        raise NoPlaceError(
            f"its requests arrived by themselves (scenario {result.scenario}), and their form is of an engine with all it can take"
        )
    figure = _headline(result, row)
    model, tokens = result.model, result.tokens
    assert result.energy is not None  # a row with these figures is one of a result that has it
    if tokens is None:
        raise NoPlaceError("how many requests and tokens its window holds is not known")
    if model is None or model.parameters is None or model.active_parameters is None:
        raise NoPlaceError("how many parameters the model has, and how many of them a token takes, is not known")
    precision = model.effective.get("quantization") or model.dtype
    if precision is None:
        raise NoPlaceError("the precision of the model's weights is not known")
    energy_j, window_s, answered, output = figure.energy_j, result.energy.window_s, tokens.requests, tokens.output
    if energy_j is None or window_s is None or answered is None or output is None:
        raise NoPlaceError("how long its window was, or how many requests and tokens it holds, is not known")
    if answered < 1 or window_s <= 0:
        raise NoPlaceError("its window holds no request")
    source = str(result.config["model"]["source"])
    organization, _, name = source.rpartition("/") if _HUB_ID.fullmatch(source) else (NO_ORGANIZATION, "/", source)
    parallel = _parallel(result, model, len(figure.devices))
    requests = _requests(job, answered, output)
    seed = (result.config.get("decoding") or {}).get("seed")
    fields = {
        "domain": "llm",
        "model_id": f"{folder_name(organization)}/{folder_name(name)}",
        "nickname": source.rpartition("/")[2] or source,
        "architecture": "MoE" if model.active_parameters < model.parameters else "Dense",
        "total_params_billions": model.parameters / 1e9,
        "activated_params_billions": model.active_parameters / 1e9,
        "weight_precision": str(precision),
        "gpu_model": _gpu_model(result, figure),
        "num_gpus": len(figure.devices),
        "max_num_seqs": _max_num_seqs(result),
        "seed": seed if isinstance(seed, int) else None,
        "num_request_repeats": result.passes,
        "tensor_parallel": parallel.tensor,
        "expert_parallel": parallel.expert,
        "data_parallel": parallel.data,
        "steady_state_energy_joules": energy_j,
        "steady_state_duration_seconds": window_s,
        "energy_per_token_joules": figure.j_per_output_token,
        "energy_per_request_joules": energy_j / answered,
        "output_throughput_tokens_per_sec": row["throughput.tokens_per_s"],
        "request_throughput_req_per_sec": answered / window_s,
        "avg_power_watts": energy_j / window_s,
        "total_output_tokens": float(output),
        "completed_requests": float(answered),
        "avg_output_len": output / answered,
        **_itl(requests, row),
    }
    running = result.batching.mean_size if result.batching else None
    fields["avg_batch_size"] = running
    return Run(
        directory=str(row["directory"]),
        organization=folder_name(organization),
        model=folder_name(name),
        dataset=result.dataset.name if result.dataset else str(result.config["dataset"]["name"]),
        point={key: value for key, value in result.identity.point.items() if key.rpartition(".")[2] not in SEQUENCES},
        setup=_setup(result, model, str(precision), parallel),
        parallel=parallel,
        running=running,
        fields=fields,
        own=_own(result, row, figure),
        requests=requests,
    )


def _headline(result: ExperimentResult, row: Mapping[str, Any]) -> EnergyFigure:
    """Energy that GPUs were measured to take; raises where any figure that is needed is missing, or voided."""
    headline = result.energy.headline if result.energy else None
    if headline is not None and (headline.scope != "gpu" or headline.method == "estimate"):
        raise NoPlaceError(f"its energy is no measurement of GPUs ({headline.scope} {headline.method})")
    for column, missing in _NEEDED.items():
        if row.get(column) is None:
            code = dict(row.get(VOIDED) or {}).get(column)
            raise NoPlaceError(missing if code is None else f"`{column}` is voided by the warning `{code}`")
    assert headline is not None
    return headline


def _gpu_model(result: ExperimentResult, figure: EnergyFigure) -> str:
    names = {d.name for d in result.energy.devices if d.device in figure.devices} if result.energy else set()
    if not all(names) or not names:
        raise NoPlaceError("the GPU's name is not known")
    if len(names) > 1:
        raise NoPlaceError(f"it ran on unlike GPUs ({', '.join(sorted(names))})")
    return folder_name(names.pop()).upper()  # as their reader writes it


def _max_num_seqs(result: ExperimentResult) -> int:
    """The most requests that may run at once: 1 where they come one by one, else as configured, as decided, or as asked for."""
    if result.scenario == "single_stream":
        return 1
    options = result.config.get(result.config["backend"]) or {}
    size = result.batching.requested_size if result.batching else None
    decided = result.model.effective.get("max_num_seqs") if result.model else None
    # Where the backend says nothing of a size, none of its options counts: batches are filled by tokens.
    candidates = [decided] if size is None else [*(options.get(key) for key in SEQUENCES), decided, size]
    found = next((c for c in candidates if isinstance(c, int) and not isinstance(c, bool) and c > 0), None)
    if found is None:
        raise NoPlaceError("how many requests may run at once is not known")
    return found


def _parallel(result: ExperimentResult, model: ModelReport, gpus: int) -> Parallel:
    if gpus == 1:
        return Parallel(1, 1, 1)
    options = {**(result.config.get(result.config["backend"]) or {}), **model.effective}
    tensor, data = (
        _size(options, (f"{kind}_parallel_size", f"{kind}_parallel")) for kind in ("tensor", "data")
    )  # both as vLLM writes them, and as a group of options
    tensor, data = tensor or 1, data or 1
    if tensor * data != gpus:
        raise NoPlaceError(
            f"{gpus} GPUs share its work otherwise than by tensor and data parallelism ({tensor} x {data})"
        )
    return Parallel(tensor, gpus if options.get("enable_expert_parallel") is True else 1, data)


def _size(options: Mapping[str, Any], keys: Sequence[str]) -> int | None:
    found = next((options[key] for key in keys if options.get(key) is not None), None)
    found = found.get("size") if isinstance(found, Mapping) else found
    return found if isinstance(found, int) and found > 0 else None


def _setup(result: ExperimentResult, model: ModelReport, precision: str, parallel: Parallel) -> str:
    backend = result.config["backend"]
    options = {k: v for k, v in (result.config.get(backend) or {}).items() if k not in SEQUENCES}
    loaded = [precision, model.parameters, model.active_parameters, parallel.tensor, parallel.expert, parallel.data]
    return json.dumps([{**result.config, backend: options}, loaded], sort_keys=True)


def _requests(job: Path, count: int, output: int) -> list[dict[str, Any]]:
    table = table_of(job / REQUESTS, ("output_tokens", "itl_s"))
    if table is None or table.num_columns < 2:
        raise NoPlaceError(f"its table of requests ({REQUESTS}) is missing or damaged")
    found = [
        {"success": True, "output_len": row["output_tokens"], "itl": row["itl_s"] or []} for row in table.to_pylist()
    ]
    if (len(found), sum(one["output_len"] for one in found)) != (count, output):
        raise NoPlaceError(f"its table of requests ({REQUESTS}) holds other requests than its result")
    return found


def _itl(requests: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> dict[str, float | None]:
    """Milliseconds between tokens by their definition; a percentile that llem holds back for want of gaps is null here too."""
    gaps = [gap * 1000 for one in requests for gap in spread_gaps(one["itl"])]
    if not gaps:
        raise NoPlaceError("its table of requests has no gaps between tokens")
    cuts = statistics.quantiles(gaps, n=100, method="inclusive") if len(gaps) > 1 else [gaps[0]] * 99
    tail = {f"p{p}_itl_ms": cuts[p - 1] if row.get(f"latency.itl_s.p{p}") is not None else None for p in _TAIL}
    return {"mean_itl_ms": statistics.fmean(gaps), "median_itl_ms": cuts[49], "p50_itl_ms": cuts[49], **tail}


def spread_gaps(gaps: Sequence[float]) -> Iterator[float]:
    """Gaps as ML.ENERGY counts them: tokens that came together share the time before them, and the first of all has none."""
    together: list[float] = []
    for gap in gaps:
        if gap > 0:
            yield from _shared(together)
            together = [gap]
        elif together:
            together.append(0.0)
    yield from _shared(together)


def _shared(together: Sequence[float]) -> list[float]:
    return [together[0] / len(together)] * len(together) if together else []


def _own(result: ExperimentResult, row: Mapping[str, Any], figure: EnergyFigure) -> dict[str, Any]:
    """Remarks of llem on the run, its qualifying warnings above all."""
    return {
        "llem_study": result.identity.study,
        "llem_directory": str(row["directory"]),
        "llem_config_hash": result.identity.config_hash,
        "llem_cycle": result.identity.cycle,
        "llem_position": result.identity.position,
        "llem_point": json.dumps(result.identity.point, sort_keys=True),
        "llem_model": str(result.config["model"]["source"]),
        "llem_backend": str(result.config["backend"]),
        "llem_energy_method": figure.method,
        "llem_batch_size_source": result.batching.source if result.batching else None,
        "llem_unreliable": figure.unreliable,
        "llem_warnings": [code for code in codes_of(row) if kind_of(code).weight != "inform"],
    }
