"""Reads `benchmarks.json` of guidellm, a run for each benchmark of the report.

Figures are of its successful requests, inside its own measured stretch. Its inter-token latency is one figure for each request,
(last - first) / (output tokens - 1), weighted by gaps, which is nearest to llem's TPOT; its time per output token holds the time to the
first token and has no place here. It measures no energy.
Source: `GenerativeBenchmarksReport` (schema 2) of guidellm 0.8.1, https://github.com/vllm-project/guidellm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llem.plugin_api import ExperimentResult, ResultError
from llem_exporters.importers.reading import Teller, at, files_of, objects_of, require, text
from llem_exporters.importers.runs import UNKNOWN, Run, results_of

TOOL = "guidellm"
_FILE = "benchmarks.json"
_WHAT = f"{_FILE} of guidellm"
_OF = "successful"


def read_guidellm(path: Path) -> Iterator[ExperimentResult]:
    """A result for each benchmark of a report, or of each `benchmarks.json` below a folder.

    Raises:
        ResultError: a file is no report of guidellm's.
    """
    runs = [run for file in files_of(path, _FILE, _WHAT) for run in _runs(file)]
    return results_of(TOOL, runs, str(path))


def _runs(file: Path) -> Iterator[Run]:
    for report in objects_of(file, _WHAT):
        require(report, ("benchmarks",), _WHAT, str(file))
        benchmarks = report["benchmarks"]
        if not isinstance(benchmarks, list):
            raise ResultError(f"it is no {_WHAT}: its `benchmarks` is no list.", where=str(file))
        for number, benchmark in enumerate(benchmarks, 1):
            where = f"{file}: benchmark {number}"
            if not isinstance(benchmark, Mapping) or not isinstance(benchmark.get("metrics"), Mapping):
                raise ResultError(f"it is no {_WHAT}: it has no metrics.", where=where)
            yield _run(report, benchmark, where)


def _run(report: Mapping[str, Any], benchmark: Mapping[str, Any], where: str) -> Run:
    teller = Teller(benchmark, where)
    teller.tell("energy.window_s", "duration", above_zero=True)
    teller.tell("tokens.requests", "metrics", "request_totals", _OF)
    teller.tell("tokens.input", "metrics", "prompt_token_count", _OF, "total_sum", above_zero=True)
    teller.tell("tokens.output", "metrics", "output_token_count", _OF, "total_sum", above_zero=True)
    teller.tell("throughput.tokens_per_s", "metrics", "output_tokens_per_second", _OF, "mean", above_zero=True)
    teller.tell("throughput.total_tokens_per_s", "metrics", "tokens_per_second", _OF, "mean", above_zero=True)
    teller.tell("throughput.requests_per_s", "metrics", "requests_per_second", _OF, "mean", above_zero=True)
    for family, theirs, factor, unit in (
        ("ttft_s", "time_to_first_token_ms", 1e-3, "ms"),
        ("tpot_s", "inter_token_latency_ms", 1e-3, "ms"),
        ("e2e_s", "request_latency", 1.0, ""),
    ):
        place = ("metrics", theirs, _OF)
        names = {
            "mean": (*place, "mean"),
            "std": (*place, "std_dev"),
            "min": (*place, "min"),
            "max": (*place, "max"),
            "p50": (*place, "median"),
            **{f"p{p}": (*place, "percentiles", f"p{p}") for p in (90, 95, 99)},
        }
        teller.distribution(family, names, factor, unit)
    strategy = at(benchmark, "config", "strategy") or {}
    failed = teller.number("metrics", "request_totals", "errored")
    version = text(at(report, "metadata", "guidellm_version"))
    return Run(
        values=teller.told,
        model=_model(report, benchmark),
        parameters=_load(strategy if isinstance(strategy, Mapping) else {}),
        started_at=_moment(teller.number("start_time")),
        ended_at=_moment(teller.number("end_time")),
        notes=[
            "it measures no energy; its inter-token latency is nearest to llem's TPOT",
            *([f"written by guidellm {version}"] if version else []),
            *([f"{failed:g} of its requests failed and are in none of its figures"] if failed else []),
        ],
    )


def _load(strategy: Mapping[str, Any]) -> dict[str, Any]:
    """The load that was asked for. `max_concurrency` is the generator's own bound, 10,240 where nobody asks, and no load."""
    kind = text(strategy.get("type_"))
    concurrency = 1 if kind == "synchronous" else strategy.get("streams")
    found = {"load.arrival": kind, "load.rate_rps": strategy.get("rate"), "load.concurrency": concurrency}
    return {key: value for key, value in found.items() if isinstance(value, str | int | float)}


def _model(report: Mapping[str, Any], benchmark: Mapping[str, Any]) -> str:
    places = (
        at(benchmark, "config", "backend", "model"),
        at(report, "config", "backend", "model"),
        at(report, "config", "model"),
        at(report, "args", "model"),
    )
    return next((name for one in places if (name := text(one))), UNKNOWN)


def _moment(seconds: float | None) -> str | None:
    """An instant that was told in seconds since 1970, as ISO 8601."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None
