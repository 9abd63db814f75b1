"""The one door to files that somebody else may have put there: opened without waiting, regular, and no larger than can be held.

In a results folder that came from elsewhere anything can stand in the place of a file: a pipe, on which a reader would wait
for ever; a device; a sparse file of a terabyte; a link that leads away. Whoever reads such a folder reads through here, and a
path that a file names is only followed as `inside` allows.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.errors import ResultError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

MOST_BYTES = 512 * 2**20
"""Largest size of what is read as a whole: the manifest of a study of a million experiments."""

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class NotAFileError(OSError):
    """Something else stands where a regular file should be, or a file that is too large to be one of ours."""


class OutsideError(ResultError):
    """A path that a file names leads out of the folder that it belongs to."""


def require_regular(path: Path | str) -> os.stat_result:
    """Status of a regular file. Raises NotAFileError where something else is there, OSError where nothing is."""
    return _required(Path(path).stat(), path)


def open_file(path: Path | str) -> BufferedReader:
    """Open a regular file for reading; returns at once, whatever stands there. Raises as `require_regular`."""
    # Looked at first: to open a device can do something to it. Looked at again once open: then it cannot be another.
    require_regular(path)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _required(os.fstat(handle), path)
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_file(path: Path | str, most: int = MOST_BYTES) -> bytes:
    """Read a regular file as a whole. Raises as `require_regular`; NotAFileError also where it is larger than `most` bytes."""
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(most + 1) if size <= most else b""
    if size > most or len(data) > most:
        raise NotAFileError(
            errno.EFBIG, f"it is larger than the {most / 2**20:g} MiB that such a file can have", str(path)
        )
    return data


def open_parquet(path: Path | str, **options: Any) -> ParquetFile:
    """Open a Parquet file; `options` are those of `pyarrow.parquet.ParquetFile`.

    Raises:
        NotAFileError: as `require_regular`.
        OSError: it cannot be read.
        pyarrow.ArrowException: it is no Parquet file, or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Arrow opens it, since its threads may free what they read only after the read has returned. Where that belongs to
    # Python and Python is ending by then, the process aborts. By number, since Arrow takes no path that is not UTF-8.
    with open_file(path) as stream:
        return pq.ParquetFile(pa.OSFile(f"/dev/fd/{stream.fileno()}", "rb"), **options)


def parse_json(data: bytes | str) -> Any:
    """The value that JSON text holds. Raises ValueError, also where it is nested deeper than anything of ours."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _required(found: os.stat_result, path: Path | str) -> os.stat_result:
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISDIR(found.st_mode):
            raise NotAFileError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise NotAFileError(errno.EINVAL, f"it is {kind}, and no regular file", str(path))
    return found


def inside(folder: Path, name: str) -> Path:
    """The path that a file names below `folder`, which it never leaves, through no link and by no `..`.

    Args:
        folder: what the name is relative to; it may itself be reached through links.
        name: a relative path with `/` between its parts, as it stands in the file. It need not exist.

    Raises:
        OutsideError: it is absolute, empty, has `.` or `..` in it or a byte that no path can hold, or a link leads out.
    """
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise OutsideError(f"`{name[:200]}` is no path below this folder.", where=str(folder))
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink() and not _is_below(path, folder):
            raise OutsideError(
                f"`{name[:200]}` leads out of this folder: `{part[:200]}` is a link to elsewhere.", where=str(folder)
            )
    return path


def _is_below(path: Path, folder: Path) -> bool:
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except OSError:
        return False
