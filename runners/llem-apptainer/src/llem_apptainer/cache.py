"""SIF files that were made of other images, in the user's cache folder: made once, used by every study."""

from __future__ import annotations

import fcntl
import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from llem.plugin_api import write_json
from llem_apptainer.images import Image, Source, digest_of, image_of, made_from, read_note, size_and_time
from llem_containers.apptainer import Apptainer
from llem_containers.errors import DiskFull, ImageMissing
from llem_containers.sif import make_sif


def folder() -> Path:
    """The folder of SIF files."""
    return platformdirs.user_cache_path("llem") / "apptainer"


def find(source: Source, at: Path | None = None) -> Image | None:
    """The image that is run, where it is here; None where a SIF file of it has to be made.

    A SIF file of the cache that was touched since is read again, and is not used where it is another one now.
    """
    image = image_of(source)
    if image is not None:
        return image
    path = _place(source, at or folder())
    note = read_note(path.with_suffix(".json"))
    digest, stamp = note.get("digest"), size_and_time(path)
    if stamp is None or not isinstance(digest, str):
        return None
    if note.get("stamp") != stamp and digest_of(path) != digest:
        return None
    return Image(reference=source.reference, path=path, digest=digest)


def image(source: Source, apptainer: Apptainer, *, make: bool, at: Path | None = None) -> Image:
    """The image that is run; a SIF file is made where there is none yet and `make` allows it.

    Raises:
        ImageMissing: there is none, and none shall be made.
        PullFailed, ImageUnfit, DiskFull: making it failed, and why.
    """
    found = find(source, at)
    if found is not None:
        return found
    if not make:
        raise ImageMissing(
            f"no SIF file of {source.reference} is in the cache, and none is to be made.",
            where=str(at or folder()),
            remedy="Set runner_options.apptainer.pull to missing, where there is a network; or name a SIF file.",
        )
    place = _place(source, at or folder())
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            found = find(source, at)  # another llem may have made it meanwhile
            return found if found is not None else _make(source, apptainer, place)
    except OSError as error:
        raise DiskFull(
            f"the cache of images cannot be written: {error.strerror or error}.",
            where=str(place.parent),
            remedy="Make room there, or set XDG_CACHE_HOME to another folder.",
        ) from error


def _make(source: Source, apptainer: Apptainer, place: Path) -> Image:
    print(f"llem: making a SIF file of {source.reference}; this happens once", file=sys.stderr, flush=True)
    make_sif(source.uri, source.reference, place, apptainer)
    digest = digest_of(place)
    note = {
        "image": source.reference,
        "made_from": made_from(source),
        "digest": digest,
        "stamp": size_and_time(place),
        "apptainer": apptainer.version,
    }
    write_json(place.with_suffix(".json"), note)
    return Image(reference=source.reference, path=place, digest=digest)


def _place(source: Source, at: Path) -> Path:
    """The SIF file's place: a readable name, and what it was made from in short."""
    name = re.sub(
        r"[^\w.-]+", "-", source.path.name if source.path is not None else source.reference.partition("://")[2]
    )
    key = hashlib.sha256(made_from(source).encode()).hexdigest()[:16]
    return at / f"{name[:60].strip('-.')}-{key}.sif"


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Held by the one llem of this machine that makes this file; others wait."""
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
