"""Python values as Arrow arrays, without pandas: pyarrow itself loads it for the first list, which takes longer than all the rest."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pyarrow as pa


def array_of(cells: Sequence[Any], kind: pa.DataType) -> pa.Array[Any]:
    """Values as an array of a type: whole numbers, fractions, truth values, texts, or lists of these. None is null.

    Raises:
        TypeError: a value is of another type.
        OverflowError: a number is beyond the type, or all texts together beyond 2 GiB.
        UnicodeEncodeError: UTF-8 cannot hold a text.
        ValueError: there is no such type here.
    """
    import pyarrow as pa

    n, nulls = len(cells), cells.count(None)
    if nulls == n or kind == pa.null():
        return cast("pa.Array[Any]", pa.nulls(n, cast(Any, kind)))  # its stubs know single types only
    valid = buffer_of(_bits([cell is not None for cell in cells])) if nulls else None
    if pa.types.is_list(kind):
        _check(cells, list, tuple)
        lists = [cell or () for cell in cells]
        of = array_of(list(itertools.chain.from_iterable(lists)), kind.value_type)
        return pa.Array.from_buffers(kind, n, [valid, _offsets(lists)], nulls, children=[of])
    if pa.types.is_string(kind):
        _check(cells, str)
        texts = [b"" if cell is None else cell.encode() for cell in cells]
        return pa.Array.from_buffers(kind, n, [valid, _offsets(texts), buffer_of(b"".join(texts))], nulls)
    if pa.types.is_boolean(kind):
        _check(cells, bool)
        data = _bits([bool(cell) for cell in cells])
    elif str(kind) in _CODES:
        if bool in set(map(type, cells)):
            raise TypeError("a truth value is no number")
        data = array(_CODES[str(kind)], [0 if cell is None else cell for cell in cells]).tobytes()
    else:
        raise ValueError(f"no arrays of {kind} here")
    return pa.Array.from_buffers(kind, n, [valid, buffer_of(data)], nulls)


def buffer_of(data: bytes | array[Any]) -> pa.Buffer:
    """A copy of bytes that belongs to Arrow, not to Python: Arrow's threads may still hold it where Python ends."""
    import pyarrow as pa

    buffer = pa.allocate_buffer(memoryview(data).nbytes)
    memoryview(buffer).cast("B")[:] = memoryview(data).cast("B")
    return buffer


_CODES = {"int32": "i", "int64": "q", "double": "d"}


def _check(cells: Sequence[Any], *types: type) -> None:
    if not all(cell is None or isinstance(cell, types) for cell in cells):
        raise TypeError(f"these are not all {types[0].__name__}")


def _bits(truths: Sequence[bool]) -> bytes:
    """One bit each, the first one lowest."""
    number = int("0" + "".join("1" if truth else "0" for truth in reversed(truths)), 2)
    return number.to_bytes((len(truths) + 7) // 8, "little")


def _offsets(parts: Sequence[Sequence[Any]]) -> pa.Buffer:
    return buffer_of(array("i", [0, *itertools.accumulate(map(len, parts))]))
