"""Images: what the user names, and the SIF file or folder that is run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llem.plugin_api import RunnerContext
from llem_containers import names
from llem_containers.errors import ImageMissing, ImageUnfit
from llem_containers.sif import ARCHIVE

Kind = Literal["sif", "folder", "archive", "address"]
_BLOCK = 2**22


@dataclass(frozen=True, kw_only=True)
class Source:
    """A name that the user gives, and what is there.

    Attributes:
        reference: as it was named.
        kind: a SIF file; a folder that holds a root file system; an archive of `docker save`; an address.
        path: the file or folder, absolute; None of an address.
    """

    reference: str
    kind: Kind
    path: Path | None = None

    @property
    def uri(self) -> str:
        """The name by which Apptainer makes a SIF file of it."""
        return self.reference if self.path is None else f"{ARCHIVE}{self.path}"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that is here and can be run.

    Attributes:
        reference: as the user named it; path: what is run.
        digest: `sha256:…` of the SIF file; None of a folder, which has none.
    """

    reference: str
    path: Path
    digest: str | None


def reference_of(context: RunnerContext) -> str:
    """The image that a backend runs in, its own by its address. Raises ConfigError where there is none."""
    return names.reference_of(context, "apptainer", "docker://")


def source_of(reference: str) -> Source:
    """Look at what a reference names.

    Raises:
        ImageMissing: it is a path, and nothing is there.
        ImageUnfit: something is there that is no image.
    """
    if re.match(r"[a-z][a-z0-9+.-]*://", reference):
        return Source(reference=reference, kind="address")
    text = reference.removeprefix(ARCHIVE)
    path = Path(text).expanduser().absolute()
    if path.is_dir() and text == reference:
        return Source(reference=reference, kind="folder", path=path)
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        known = "/" in text or path.suffix in (".sif", ".tar", ".simg", ".img")
        aside = "" if known else f" For an image of a registry: --runner apptainer:docker://{reference}."
        raise ImageMissing(
            f"the image {reference} cannot be read: {error.strerror or error}.",
            where=str(path),
            remedy=f"IMAGE is a SIF file, a folder, an archive of `docker save`, or an address such as docker://NAME.{aside}",
        ) from error
    if b"SIF_MAGIC" in head[:64] and text == reference:
        return Source(reference=reference, kind="sif", path=path)
    if text != reference or head[257:262] == b"ustar" or head[:2] == b"\x1f\x8b":
        return Source(reference=reference, kind="archive", path=path)
    raise ImageUnfit(
        f"{reference} is no image: neither a SIF file nor an archive.",
        where=str(path),
        remedy="Make one: apptainer build FILE.sif docker://NAME, or docker save NAME -o FILE.tar.",
    )


_DIGESTS: dict[tuple[str, int, int, int], str] = {}
"""Digests of files that this process has read, by path, number, size and time: an image may hold tens of gigabytes."""


def digest_of(path: Path) -> str:
    """`sha256:…` of a file. Read again where it has changed since."""
    found = path.stat()
    key = (str(path), found.st_ino, found.st_size, found.st_mtime_ns)
    if key not in _DIGESTS:
        told = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                told.update(block)
        _DIGESTS[key] = f"sha256:{told.hexdigest()}"
    return _DIGESTS[key]


def image_of(source: Source) -> Image | None:
    """The image where it can be run as it is; None where a SIF file has to be made of it."""
    if source.path is None or source.kind == "archive":
        return None
    digest = digest_of(source.path) if source.kind == "sif" else None
    return Image(reference=source.reference, path=source.path, digest=digest)


def made_from(source: Source) -> str:
    """The mark by which a SIF file in the cache is known: an archive's content, wherever it lies; an address as it is written."""
    return digest_of(source.path) if source.path is not None else source.reference


def read_note(path: Path) -> dict[str, object]:
    """The note beside a SIF file of the cache; empty where there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def size_and_time(path: Path) -> list[int] | None:
    """Size and time of a file, which tell that it was not touched since; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
