"""The end of a process that has read Parquet: Arrow's threads may still be at work when Python goes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llem.files import NotAFileError, open_parquet
from llem.results.arrow_array import array_of

READ = """
import os, sys
from llem.files import open_parquet

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
open_parquet(sys.argv[1]).read()
for thread in {int(name) for name in os.listdir("/proc/self/task")} - {os.getpid()}:
    os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
table = open_parquet(sys.argv[1]).read()
for name in table.column_names:
    for chunk in table.column(name).chunks:
        chunk.dictionary_encode()
"""
"""Its other threads, which the first read has started, hardly get the processor in the second."""


@pytest.mark.process
def test_a_process_that_read_parquet_ends_by_its_own_code(tmp_path: Path) -> None:
    """Its other threads hardly get the processor, so that what they have still to free is left for the end."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({f"c{i}": [f"{i}", "x", "y"] * 20 for i in range(300)}), path, compression="zstd")
    command = [sys.executable, "-c", READ, str(path)]
    assert [subprocess.run(command, check=False).returncode for _ in range(12)] == [0] * 12


@pytest.mark.parametrize("options", [{}, {"page_checksum_verification": True}])
def test_a_file_is_read_whatever_its_name(options: dict[str, bool], tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"not-utf-8-\xff.parquet")
    with path.open("wb") as stream:
        pq.write_table(pa.table({"a": [1.5, None], "b": ["x", "y"]}), stream)
    with open_parquet(path, **options) as file:
        path.unlink()  # open is open
        assert file.read().to_pydict() == {"a": [1.5, None], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, None], pa.int64()),
        (["a", None], pa.string()),
        ([True], pa.bool_()),
        ([[1.0], None], pa.list_(pa.float64())),
    ],
)
def test_an_array_that_is_made_belongs_to_arrow(cells: list[object], kind: pa.DataType) -> None:
    """Memory of Arrow counts in its pool; memory that Python lends it does not."""
    gc.collect()  # what other tests left would be given back meanwhile
    for _ in range(5):  # Arrow's threads give back too
        before = pa.total_allocated_bytes()
        array = array_of(cells * 1000, kind)
        gained = pa.total_allocated_bytes() - before
        if gained >= array.nbytes:
            break
    assert gained >= array.nbytes > 0


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "t.parquet")
    with pytest.raises(NotAFileError):
        open_parquet(tmp_path / "t.parquet")
