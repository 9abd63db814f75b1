"""One run's table of requests, judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import REQUESTS
from llem_analysis.run_file import table_of
from llem_serving.config import SloConfig
from llem_serving.judging.columns import COLUMNS, TOKEN_TIMES, rejudge
from llem_serving.judging.judgement import Judgement


def judged_run(job: Path, slo: SloConfig, *, window_s: object, parts: object) -> Judgement | str:
    """Judge a run by its `requests.parquet`; a clause says why where that cannot be.

    Args:
        job: its job directory.
        slo: limits, and the attainment that is wanted.
        window_s, parts: as its result tells them.

    Raises:
        ResultError: the table holds values that cannot be.
    """
    columns = run_columns(job)
    if columns is None:
        return f"its table of requests ({REQUESTS}) is missing or damaged"
    if not isinstance(window_s, float) or not isinstance(parts, int) or parts < 1:
        return "its result does not tell energy.window_s and config.load.parts"
    return rejudge(columns, slo, window_s=window_s, parts=parts, where=str(job / REQUESTS))


def run_columns(job: Path) -> Mapping[str, Sequence[Any]] | None:
    """The columns of a run's table that judging takes; None where it is missing or damaged."""
    path = job / REQUESTS
    table = table_of(path, [name for name in COLUMNS if name not in TOKEN_TIMES])
    if table is not None and "window_tokens" not in table.column_names:
        table = table_of(path, COLUMNS)  # the times of millions of tokens are only read where nobody has counted them
    return None if table is None else table.to_pydict()
