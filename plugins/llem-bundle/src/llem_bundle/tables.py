"""The tables of an unpacked bundle as arrays of numbers, no larger than an experiment leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llem.plugin_api import ResultError, open_parquet
from llem_bundle.recount import Numbers, Requests

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 50_000_000
MOST_BYTES = 8 * 2**30
"""Of a table when it is not packed any more: a small file can claim to be as large as it likes."""


@dataclass(frozen=True)
class Track:
    """The readings of one device by one sampler."""

    t_s: Numbers
    energy_j: Numbers
    power_w: Numbers


@dataclass(frozen=True)
class Readings:
    """All readings of an experiment, by sampler and device; `open_ns` is the window's opening that the file names."""

    tracks: dict[tuple[str, str], Track]
    open_ns: int | None


def readings(path: Path) -> Readings:
    """Read `timeseries.parquet`. Raises ResultError."""
    with _opened(path) as file:
        table = file.read(["sampler", "device", "t_s", "energy_j", "power_w"], use_threads=False)
        metadata = file.schema_arrow.metadata or {}
    samplers, devices = table.column("sampler").to_pylist(), table.column("device").to_pylist()
    places: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(zip(samplers, devices, strict=True)):
        places.setdefault(key, []).append(place)
    t_s, energy_j, power_w = (_numbers(table, name) for name in ("t_s", "energy_j", "power_w"))
    tracks = {}
    for key, found in places.items():
        order = np.array(found)[np.argsort(t_s[found], kind="stable")]
        tracks[key] = Track(t_s[order], energy_j[order], power_w[order])
    open_ns = metadata.get(b"llem.open_ns", b"")
    return Readings(tracks, int(open_ns) if open_ns.isdigit() and len(open_ns) < 20 else None)


_TIMES = ("arrival_s", "first_token_s", "end_s", "input_tokens", "output_tokens", "tpot_s", "e2e_s")


def requests(path: Path) -> Requests:
    """Read `requests.parquet`. Raises ResultError."""
    with _opened(path) as file:
        served = [name for name in ("window_tokens", "inside") if name in file.schema_arrow.names]
        table = file.read([*_TIMES, "finish", "itl_s", *served], use_threads=False)
    gaps = [None if one is None else np.array(one, dtype=np.float64) for one in table.column("itl_s").to_pylist()]
    more: dict[str, Any] = {}
    if served:
        more["window_tokens"] = _numbers(table, "window_tokens")
        more["inside"] = np.array([bool(one) for one in table.column("inside").to_pylist()], dtype=bool)
    columns: dict[str, Any] = {name: _numbers(table, name) for name in _TIMES}
    return Requests(**columns, finish=table.column("finish").to_pylist(), itl_s=gaps, **more)


def _numbers(table: pa.Table, name: str) -> Numbers:
    """A column; NaN where it has no value."""
    values = table.column(name).to_pylist()
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    try:
        with open_parquet(path) as file:
            of = file.metadata
            size = sum(of.row_group(n).total_byte_size for n in range(of.num_row_groups))
            if of.num_rows > MOST_ROWS or size > MOST_BYTES:
                raise ResultError("it claims to be larger than an experiment's table can be.", where=path.name)
            yield file
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise ResultError(f"this table cannot be read: {error}.", where=path.name) from error
