"""The requests of a judged study one by one, each with its share of its window's energy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import REQUESTS, inside
from llem_analysis.loading import load_rows, study_name
from llem_analysis.weighed_rows import weighed
from llem_analysis.weighing import voiding_code
from llem_serving.config import SloConfig
from llem_serving.judging.columns import requests_of, window_tokens_of
from llem_serving.judging.energy import energy_shares
from llem_serving.judging.latency import e2e_s, tpot_s, ttft_s
from llem_serving.judging.objectives import keeps
from llem_serving.judging.run_table import run_columns
from llem_serving.judging.study import ENERGY, JUDGED, SCENARIO, WINDOW
from llem_serving.judging.window import Window

COLUMNS = (
    "experiment",
    "cycle",
    "id",
    "arrival_s",
    "inside",
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "output_tokens",
    "finish",
    "keeps_slo",
    "window_energy_share_j",
)
"""`window_energy_share_j` divides what all used together by the output tokens that each had inside: no request was measured."""


def request_rows(study: Path | str, slo: SloConfig) -> Iterator[tuple[Any, ...]]:
    """The values of `COLUMNS` for every request of every run that can be judged, in the study's order; None for what is not told.

    Shares of one run add up to its window's energy, with those of requests that arrived outside of it.

    Args:
        study: its folder, or the `results.parquet` in it.
        slo: limits that each request keeps, or not.

    Raises:
        ResultError: there is no study, or a table of requests has values that cannot be.
    """
    folder = Path(study_name(study)[1])
    for row in load_rows(study):
        is_judged = row.get("scenario") == SCENARIO and row.get("status") == "done"
        if is_judged and voiding_code(row.get("warnings") or (), JUDGED) is None:
            yield from _of_run(folder, row, slo)


def _of_run(folder: Path, row: Mapping[str, Any], slo: SloConfig) -> Iterator[tuple[Any, ...]]:
    job, window_s = inside(folder, str(row.get("directory"))), row.get(WINDOW)
    columns = run_columns(job)
    if columns is None or not isinstance(window_s, float) or window_s < 1e-9:
        return
    requests = requests_of(columns, str(job / REQUESTS))
    tokens = window_tokens_of(columns, requests, str(job / REQUESTS))
    window, energy_j = Window(0, round(window_s * 1e9)), weighed(row).get(ENERGY)
    shares = None if energy_j is None else energy_shares(requests, energy_j, 0, window.close_ns, tokens=tokens)
    for place, one in enumerate(requests):
        yield (
            row.get("directory"),
            row.get("cycle"),
            one.id,
            one.scheduled_ns / 1e9,
            window.arrives_inside(one.scheduled_ns),
            ttft_s(one),
            tpot_s(one),
            e2e_s(one),
            one.output_tokens,
            one.finish,
            keeps(one, slo),
            None if shares is None else shares[place],
        )
