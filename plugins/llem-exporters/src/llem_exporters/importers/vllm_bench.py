"""Reads results of `vllm bench serve`.

A file holds one run, or one a line (`--append-result`). Its duration is from the first request's sending to the last answer, and
its throughput is over all of it, ramp and drain included. It measures no energy.
Source: the keys that vLLM 0.32.0 writes, vllm/benchmarks/serve.py, https://github.com/vllm-project/vllm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from llem.plugin_api import ExperimentResult
from llem_exporters.importers.mapping import is_parameter
from llem_exporters.importers.reading import Teller, files_of, objects_of, require, text
from llem_exporters.importers.runs import MOST_GPUS, UNKNOWN, Run, results_of

TOOL = "vllm-bench"
_WHAT = "result of vllm bench serve"
_NEEDED = ("model_id", "duration", "completed", "request_throughput", "total_input_tokens")
_ENGINES = ("vllm", "sglang", "tgi", "tensorrt-llm", "lmdeploy", "scalellm", "deepspeed-mii", "llama.cpp")
"""Request functions that are named after an engine; the others (`openai`, `openai-chat`) speak to any."""

_OWN_TEXTS = ("date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "request_rate", "task")
_GPU, _GPUS = "gpu", "gpus"
"""Keys of `--metadata` that this importer takes for the hardware."""


def read_vllm_bench(path: Path) -> Iterator[ExperimentResult]:
    """A result for each run of a file, or of every `.json` below a folder.

    Raises:
        ResultError: a file is no result of this tool.
    """
    runs = [run for file in files_of(path, "*.json", _WHAT) for run in _runs(file)]
    return results_of(TOOL, runs, str(path))


def _runs(file: Path) -> Iterator[Run]:
    for number, data in enumerate(objects_of(file, _WHAT), 1):
        where = f"{file}: run {number}"
        require(data, _NEEDED, _WHAT, where)
        yield _run(data, where)


def _run(data: Mapping[str, Any], where: str) -> Run:
    teller = Teller(data, where)
    teller.tell("energy.window_s", "duration")
    teller.tell("tokens.requests", "completed")
    teller.tell("tokens.input", "total_input_tokens")
    teller.tell("tokens.output", "total_output_tokens")
    teller.tell("throughput.tokens_per_s", "output_throughput")
    teller.tell("throughput.total_tokens_per_s", "total_token_throughput")
    teller.tell("throughput.requests_per_s", "request_throughput")
    teller.tell("scenario_metrics.goodput_rps", "request_goodput")
    for family, theirs in (("ttft_s", "ttft"), ("tpot_s", "tpot"), ("itl_s", "itl"), ("e2e_s", "e2el")):
        names = {
            "mean": (f"mean_{theirs}_ms",),
            "p50": (f"median_{theirs}_ms",),
            "std": (f"std_{theirs}_ms",),
            **{f"p{p}": (f"p{p}_{theirs}_ms",) for p in (90, 95, 99)},
        }
        teller.distribution(family, names, 1e-3, "ms")
    metadata = {key: value for key, value in data.items() if key not in _OWN_TEXTS and isinstance(value, str) and value}
    gpu, gpus = text(metadata.pop(_GPU, None)), metadata.pop(_GPUS, "1")
    asked, failed = teller.number("num_prompts"), teller.number("failed")
    load = {
        "load.rate_rps": None if data.get("request_rate") == "inf" else teller.number("request_rate"),
        "load.burstiness": teller.number("burstiness"),
        "load.concurrency": teller.number("max_concurrency"),
        "dataset.n": asked,
        "label": text(data.get("label")),
    }
    backend = text(data.get("backend")) or text(data.get("endpoint_type")) or UNKNOWN
    parameters = {key: _whole(value) for key, value in load.items() if value is not None}
    parameters |= {f"metadata.{key}": value[:500] for key, value in metadata.items() if is_parameter(key)}
    return Run(
        values=teller.told,
        model=text(data["model_id"]) or UNKNOWN,
        engine=backend if backend in _ENGINES else UNKNOWN,
        parameters=parameters,
        gpus=[gpu] * _count(gpus) if gpu else (),
        started_at=_moment(data.get("date")),
        notes=[
            "it measures no energy; its std is the population's",
            *([f"{failed:g} of its requests failed and are in none of its figures"] if failed else []),
        ],
    )


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value == int(value) else value


def _count(told: str) -> int:
    return min(int(told), MOST_GPUS) if told.isascii() and told.isdigit() and len(told) < 7 and int(told) else 1


def _moment(told: Any) -> str | None:
    """The start as ISO 8601; the file tells it without a time zone."""
    try:
        return datetime.strptime(str(told), "%Y%m%d-%H%M%S").isoformat()  # noqa: DTZ007
    except ValueError:
        return None
