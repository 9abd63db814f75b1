"""Every byte of a bundle that is not the content of a file: a ZIP archive of stored files, and nothing that could vary.

Written here, and not by a library, since the bytes are held against these when a bundle is verified: a library's version would
be part of the format. Times, rights and flags are the same for each file; nothing is compressed. APPNOTE.TXT 6.3.10 has the
records.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_VERSION = 45
"""Of the format that a reader needs: 4.5 has archives beyond 4 GiB."""

_MADE_BY = 3 << 8 | _VERSION
"""Unix, so that the rights count."""

_UTF8 = 0x0800
_STORED = 0
_TIME, _DATE = 0, 1 << 5 | 1
"""Midnight of 1 January 1980, the first that the format knows."""

_RIGHTS = 0o100644 << 16
"""A regular file that everyone may read."""

_MOST_32, _MOST_16 = 0xFFFFFFFF, 0xFFFF
_ZIP64 = 1


@dataclass(frozen=True)
class Entry:
    """A file of an archive.

    Attributes:
        crc: CRC-32 of its content.
        size: of its content, in bytes.
    """

    name: str
    crc: int
    size: int


def local_header(entry: Entry) -> bytes:
    """The record right before a file's content."""
    name = entry.name.encode()
    extra = struct.pack("<HHQQ", _ZIP64, 16, entry.size, entry.size) if entry.size >= _MOST_32 else b""
    size = min(entry.size, _MOST_32)
    head = struct.pack(
        "<4sHHHHHIIIHH",
        b"PK\x03\x04", _VERSION, _UTF8, _STORED, _TIME, _DATE, entry.crc, size, size, len(name), len(extra),
    )  # fmt: skip
    return head + name + extra


def directory_record(entry: Entry, offset: int) -> bytes:
    """A file's record in the directory; `offset` is where its local header begins."""
    name = entry.name.encode()
    large = [value for value in (entry.size, entry.size, offset) if value >= _MOST_32]
    extra = struct.pack(f"<HH{len(large)}Q", _ZIP64, 8 * len(large), *large) if large else b""
    size = min(entry.size, _MOST_32)
    head = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        b"PK\x01\x02", _MADE_BY, _VERSION, _UTF8, _STORED, _TIME, _DATE, entry.crc, size, size,
        len(name), len(extra), 0, 0, 0, _RIGHTS, min(offset, _MOST_32),
    )  # fmt: skip
    return head + name + extra


def end_records(count: int, directory_size: int, directory_at: int) -> bytes:
    """The records that close an archive: where its directory is, and how long."""
    large = b""
    if count >= _MOST_16 or directory_size >= _MOST_32 or directory_at >= _MOST_32:
        large = struct.pack(
            "<4sQHHIIQQQQ",
            b"PK\x06\x06", 44, _MADE_BY, _VERSION, 0, 0, count, count, directory_size, directory_at,
        )  # fmt: skip
        large += struct.pack("<4sIQI", b"PK\x06\x07", 0, directory_at + directory_size, 1)
    n, size, at = min(count, _MOST_16), min(directory_size, _MOST_32), min(directory_at, _MOST_32)
    return large + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, n, n, size, at, 0)


def archive_size(entries: Sequence[Entry]) -> int:
    """Size in bytes of the archive of these files."""
    at = directory = 0
    for entry in entries:
        directory += len(directory_record(entry, at))
        at += len(local_header(entry)) + entry.size
    return at + directory + len(end_records(len(entries), directory, at))
