"""The trace of a load beside that of its dataset.

Arrivals come from `load.trace`, or without it from the file of the dataset `trace`. Where both are one file, taken in its order,
request i is row i: its time, its lengths and its prefix. Otherwise the trace gives times alone, and prompts are the dataset's, one
after another and from the beginning again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llem.plugin_api import ConfigError
from llem_serving.traces.keeping import kept_trace
from llem_serving.traces.trace import Trace

if TYPE_CHECKING:
    from llem.plugin_api import DatasetConfig
    from llem_serving.config import LoadConfig

DATASET = "trace"
"""Name of the dataset of a trace's prompts."""


def trace_path(load: LoadConfig, dataset: DatasetConfig, base_dir: str | Path) -> Path:
    """The file that a load's arrivals are recorded in.

    Raises:
        ConfigError: neither the load nor the dataset names one.
    """
    told = load.trace or (dataset.path if dataset.name == DATASET else None)
    if told is None:
        raise ConfigError(
            "arrival: trace needs a file of recorded arrivals, and neither the load nor the dataset names one.",
            where="load.trace",
            remedy=f"Set load.trace to the file, or take its prompts too: dataset: {{name: {DATASET}, path: FILE}}.",
        )
    return Path(base_dir, Path(told).expanduser())


def load_trace(load: LoadConfig, dataset: DatasetConfig, base_dir: str | Path) -> Trace:
    """The recorded arrivals of a load.

    Raises:
        ConfigError: as `trace_path`.
        DatasetError: the file cannot be used.
    """
    return kept_trace(trace_path(load, dataset, base_dir), load.trace_format)


def is_paired(load: LoadConfig, dataset: DatasetConfig, base_dir: str | Path) -> bool:
    """True where request i is row i of the trace."""
    if load.arrival != "trace" or dataset.name != DATASET or dataset.path is None or dataset.shuffle:
        return False
    own = Path(base_dir, Path(dataset.path).expanduser())
    return trace_path(load, dataset, base_dir).resolve() == own.resolve()


def check_rows(trace: Trace, load: LoadConfig, prompts: int) -> None:
    """Refuse a paired load whose dataset holds fewer rows than arrive.

    Args:
        trace: of both.
        load: the section.
        prompts: rows that the dataset holds, from the first one on.

    Raises:
        ConfigError: further rows would arrive before the end of the drain.
    """
    span_s = load.ramp_s + load.duration_s + load.drain_s
    wanted = int(np.count_nonzero(trace.arrival_s * load.time_scale < span_s))
    if wanted > prompts:
        raise ConfigError(
            f"{wanted:,} rows of the trace {trace.name} arrive in the {span_s:g} s of this load, and the dataset holds the first "
            f"{prompts:,}: the others would have no prompt.",
            where="dataset.n",
            remedy=f"Set it to {wanted}, or shorten load.ramp_s, load.duration_s or load.drain_s.",
        )
