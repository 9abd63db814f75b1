"""A bundle as a container: written so that the same study gives the same bytes, opened only where every byte is as written."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from llem.plugin_api import ResultError, open_file
from llem_bundle.listing import LISTING, MOST_BYTES, Listed, ListingError, listed, listing
from llem_bundle.zip_layout import Entry, archive_size, directory_record, end_records, local_header

_BLOCK = 1 << 20
DIRECTORY = "the archive's directory"


class BundleError(ResultError):
    """A bundle that cannot be trusted: not one of llem's, damaged, or changed."""


@dataclass(frozen=True)
class Content:
    """A file to put into a bundle: its name there, and what opens it anew."""

    name: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Measured:
    """A content that was read once: what the archive and the listing say of it."""

    content: Content
    entry: Entry
    sha256: str


def measured(content: Content) -> Measured:
    """Read a content. Raises OSError."""
    digest, crc, size = hashlib.sha256(), 0, 0
    with content.open() as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
            crc = zlib.crc32(block, crc)
            size += len(block)
    return Measured(content, Entry(content.name, crc, size), digest.hexdigest())


class Packing:
    """The bundle of some files, worked out and not yet written.

    Attributes:
        size: of the archive in bytes.
    """

    def __init__(self, files: Sequence[Measured]) -> None:
        self._files = sorted(files, key=lambda one: one.entry.name)
        self._listing = listing([Listed(one.entry.name, one.entry.size, one.sha256) for one in self._files])
        self._entries = [_entry(LISTING, self._listing), *(one.entry for one in self._files)]
        self.size = archive_size(self._entries)
        self.count = len(self._entries)

    def write(self, out: BinaryIO) -> None:
        """Write it. Raises ResultError where a file is not any more what was read before."""
        out.write(local_header(self._entries[0]) + self._listing)
        for one in self._files:
            out.write(local_header(one.entry))
            digest = hashlib.sha256()
            with one.content.open() as stream:
                for block in iter(lambda stream=stream: stream.read(_BLOCK), b""):  # type: ignore[misc]
                    digest.update(block)
                    out.write(block)
            if digest.hexdigest() != one.sha256:
                raise ResultError("it changed while it was bundled.", where=one.entry.name, remedy="Bundle again.")
        for _, record in _tail(self._entries):
            out.write(record)


def _entry(name: str, data: bytes) -> Entry:
    return Entry(name, zlib.crc32(data), len(data))


def _tail(entries: Sequence[Entry]) -> Iterator[tuple[str, bytes]]:
    """The end of an archive, after its files: a record of each, with its name, and the end."""
    at = size = 0
    for entry in entries:
        record = directory_record(entry, at)
        size += len(record)
        at += len(local_header(entry)) + entry.size
        yield entry.name, record
    yield DIRECTORY, end_records(len(entries), size, at)


def unpack(path: Path, folder: Path) -> list[Listed]:
    """Take a bundle apart into an empty folder, each byte of it held against the bundle's own listing.

    Nothing is written outside of `folder`, nothing that the listing does not name, and no more bytes than the archive has.

    Returns: what the listing names.

    Raises:
        BundleError: it is none, or a byte of it is another than was written: the file that it belongs to is named.
        OSError: it cannot be read.
    """
    with open_file(path) as stream:
        reading = _Reading(path, stream, os.fstat(stream.fileno()).st_size)
        files, first = reading.listing()
        reading.expect_size(files, first)
        entries = [first]
        entries += [reading.file(file, folder / file.name) for file in files]
        for name, record in _tail(entries):
            if stream.read(len(record)) != record:
                raise reading.refused(
                    name, "its record in the archive's directory was changed" if name != DIRECTORY else "it was changed"
                )
    return files


class _Reading:
    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self._path, self._stream, self._size = path, stream, size

    def refused(self, name: str, why: str) -> BundleError:
        """The error about one file of it."""
        return BundleError(
            f"`{name}` is not as it was bundled: {why}. Nothing in this bundle can be relied on.",
            where=str(self._path),
            remedy="Get it again from who made it.",
        )

    def _no_bundle(self, why: str) -> BundleError:
        return BundleError(
            f"it is no bundle that llem wrote ({why}); nothing of it was unpacked.", where=str(self._path)
        )

    def listing(self) -> tuple[list[Listed], Entry]:
        """Read the listing, which everything else is held against."""
        pattern = local_header(Entry(LISTING, 0, 0))
        head = self._stream.read(len(pattern))
        # What is fixed of a header is compared with what every bundle begins with; CRC and sizes follow from the content.
        fixed = [n for n in range(len(pattern)) if not 14 <= n < 26]
        wrong = sum(head[n : n + 1] != pattern[n : n + 1] for n in fixed)
        if wrong > 2 or len(head) < len(pattern):
            raise self._no_bundle(f"an archive of llem begins with `{LISTING}`")
        try:
            files, size = listed(self._stream.read(min(self._size, MOST_BYTES)))
        except ListingError as error:
            raise self.refused(LISTING, str(error)) from error
        self._stream.seek(len(pattern))
        data = self._stream.read(size)
        entry = _entry(LISTING, data)
        if head != local_header(entry):
            raise self.refused(LISTING, "the header before it was changed")
        return files, entry

    def expect_size(self, files: Sequence[Listed], first: Entry) -> None:
        """Refuse an archive that is longer or shorter than the listing says, before anything is unpacked."""
        content = sum(one.size for one in files)
        # Sizes that make more than the archive are not laid out: no header has room for a place that far into one.
        size = (
            content if content > self._size else archive_size([first, *(Entry(one.name, 0, one.size) for one in files)])
        )
        if size != self._size:
            raise BundleError(
                f"it has {self._size} bytes, and the files that it lists make {size}: it was cut short, or something was added. "
                "Nothing of it was unpacked.",
                where=str(self._path),
                remedy="Get it again from who made it.",
            )

    def file(self, one: Listed, target: Path) -> Entry:
        """Copy one file out, and hold its content and its header against the listing."""
        head = self._stream.read(len(local_header(Entry(one.name, 0, one.size))))
        digest, crc, left = hashlib.sha256(), 0, one.size
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            while left:
                block = self._stream.read(min(left, _BLOCK))
                if not block:
                    raise self.refused(one.name, "it was cut short")
                digest.update(block)
                crc, left = zlib.crc32(block, crc), left - len(block)
                out.write(block)
        if digest.hexdigest() != one.sha256:
            raise self.refused(one.name, "its content has another SHA-256 than the listing says")
        entry = Entry(one.name, crc, one.size)
        if head != local_header(entry):
            raise self.refused(one.name, "the header before it was changed")
        return entry
