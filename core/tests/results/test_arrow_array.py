"""Arrays that are made without pandas are those that pyarrow makes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.results.arrow_array import array_of

CELLS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats() | st.integers(-(2**53), 2**53),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
    pa.list_(pa.float64()): st.lists(st.none() | st.floats()),
    pa.list_(pa.string()): st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))),
    pa.null(): st.none(),
}


@pytest.mark.parametrize("kind", CELLS, ids=str)
@given(data=st.data())
def test_an_array_is_the_one_that_pyarrow_makes(kind: pa.DataType, data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.none() | CELLS[kind], max_size=40))
    made, known = array_of(cells, kind), pa.array(cells, type=kind)
    made.validate(full=True)
    assert (made.type, made.null_count, len(made)) == (known.type, known.null_count, len(known))
    assert repr(made.to_pylist()) == repr(known.to_pylist())


@pytest.mark.parametrize(
    ("cells", "kind", "error"),
    [
        ([1, "x"], pa.int64(), TypeError),
        ([1.5], pa.int64(), TypeError),
        ([True], pa.int64(), TypeError),
        ([True], pa.float64(), TypeError),
        ([2**63], pa.int64(), OverflowError),
        ([10**400], pa.float64(), OverflowError),
        ([1], pa.bool_(), TypeError),
        ([1], pa.string(), TypeError),
        (["\ud800"], pa.string(), UnicodeEncodeError),
        (["ab"], pa.list_(pa.string()), TypeError),
        ([[1]], pa.list_(pa.string()), TypeError),
        ([b"x"], pa.binary(), ValueError),
        ([1], pa.int8(), ValueError),
    ],
)
def test_a_value_of_another_kind_is_refused(cells: list[Any], kind: pa.DataType, error: type[Exception]) -> None:
    with pytest.raises(error):
        array_of(cells, kind)


@pytest.mark.process
def test_tables_are_made_without_loading_pandas() -> None:
    code = """
import sys
from llem.results.arrow_table import rows_table
from llem.results.table_file import column_of
import pyarrow as pa
rows_table([{"study": "s", "point.x": 1, "warnings": ["a"], "config.y": True}])
column_of([1.0, None], pa.float64())
sys.exit("pandas was loaded" if "pandas" in sys.modules else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
