"""`files.sha256`, the first file of a bundle: the digest, size and name of every other one, and its own digest at its end.

`sha256sum -c files.sha256` reads it: sizes and its own digest stand in comments. Layout and content of the whole archive follow
from it, so that every byte of a bundle can be held against it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

LISTING = "files.sha256"

_HEAD = (
    "# llem bundle, form 1: the size, SHA-256 and name of every other file; `sha256sum -c files.sha256` checks them\n"
)
_END = "# end "
_SIZE = re.compile(r"# (0|[1-9][0-9]{0,15}) bytes")
_FILE = re.compile(r"([0-9a-f]{64})  (\S+)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+=-]*)*")
"""No name begins with a dot or a stroke, so that none leads anywhere else, and none is hidden."""

MOST_NAME = 240
MOST_BYTES = 256 * 2**20
"""Of the listing of a bundle: a million files."""


class ListingError(Exception):
    """A listing that no llem wrote, or that was changed since."""


@dataclass(frozen=True)
class Listed:
    """A line of it."""

    name: str
    size: int
    sha256: str


def is_name(name: str) -> bool:
    """True for a name that a file of a bundle can have: a plain path below the bundle's folder."""
    return len(name) <= MOST_NAME and _NAME.fullmatch(name) is not None and name != LISTING


def listing(files: Sequence[Listed]) -> bytes:
    """The listing of these files, which are in the order of their names."""
    text = _HEAD + "".join(f"# {one.size} bytes\n{one.sha256}  {one.name}\n" for one in files)
    return f"{text}{_END}{hashlib.sha256(text.encode()).hexdigest()}\n".encode()


def listed(data: bytes) -> tuple[list[Listed], int]:
    """The files of the listing with which `data` begins, and the listing's length.

    Raises ListingError: it does not begin with one, or the listing is not what its own digest says.
    """
    head, end = _HEAD.encode(), _END.encode()
    if not data.startswith(head):
        raise ListingError("it does not begin as a listing of llem does")
    at = data.find(b"\n" + end, len(head) - 1) + 1
    if at == 0 or len(data) < (whole := at + len(end) + 65):
        raise ListingError("it has no end")
    if data[at:whole] != f"{_END}{hashlib.sha256(data[:at]).hexdigest()}\n".encode():
        raise ListingError("it is not what its own digest says")
    return _files(data[len(head) : at].decode("ascii", errors="replace").split("\n")[:-1]), whole


def _files(lines: Sequence[str]) -> list[Listed]:
    if len(lines) % 2:
        raise ListingError("a line is missing")
    found: list[Listed] = []
    for about, line in zip(lines[::2], lines[1::2], strict=True):
        size, file = _SIZE.fullmatch(about), _FILE.fullmatch(line)
        if size is None or file is None:
            raise ListingError(f"`{(about + ' ' + line)[:200]}` is no line of it")
        if not is_name(file[2]):
            raise ListingError(f"`{file[2][:200]}` is no name that a file of a bundle can have")
        if found and file[2] <= found[-1].name:
            raise ListingError(f"`{file[2]}` is named twice, or out of order")
        found.append(Listed(file[2], int(size[1]), file[1]))
    names = {one.name for one in found}
    for one in found:
        if any(one.name[:place] in names for place, sign in enumerate(one.name) if sign == "/"):
            raise ListingError(f"`{one.name}` lies below a name that is a file's")
    return found
