"""An experiment's results on their way back: which files, how large they may be, by object store or shared storage."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from llem.plugin_api import READINGS, REQUESTS, RESULT, TIMESERIES, LlemError

NAMES = (TIMESERIES, REQUESTS, READINGS, RESULT)
"""Files that come back at the end, the result last. Events and the worker's log come while it runs."""

MOST_LOG_BYTES = 64 * 2**20
_LOG = re.compile(r"(?!worker\.)[A-Za-z0-9][A-Za-z0-9._-]{0,60}\.log")


class OutputTooLarge(LlemError):  # noqa: N818 - the type of a failure, as it stands in a result
    """An experiment's results take more than they may."""

    topic = "ray"


class StorageFailed(LlemError):  # noqa: N818
    """The shared storage cannot be written or read."""

    topic = "ray"


def sizes(job: Path, limit: int) -> dict[str, int]:
    """The files that an experiment left, with their sizes in bytes. Links and folders count as none.

    Raises:
        OutputTooLarge: they are larger than `limit` together.
    """
    found = {}
    for name in _coming(path.name for path in job.iterdir()):
        path = job / name
        if path.is_file() and not path.is_symlink() and (name in NAMES or path.stat().st_size <= MOST_LOG_BYTES):
            found[name] = path.stat().st_size
    refuse_large(found, limit)
    return found


def _coming(names: Iterable[str]) -> list[str]:
    """Of these names those of files that come back, the result last: before them logs of what an engine has started."""
    there = set(names)
    return [*sorted(filter(_LOG.fullmatch, there)), *(name for name in NAMES if name in there)]


def refuse_large(found: Mapping[str, int], limit: int) -> None:
    """Raises OutputTooLarge where the sizes together are above the limit."""
    total = sum(found.values())
    if total > limit:
        listed = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in found.items())
        raise OutputTooLarge(
            f"the results take {total / 2**20:.0f} MiB ({listed}), more than {limit / 2**20:g} "
            "(runner_options.ray.output_limit_mb).",
            remedy="Raise the limit, and set runner_options.ray.storage to a folder that all nodes reach.",
        )


def take(content: Mapping[str, bytes], directory: Path, limit: int) -> None:
    """Put the files of an experiment into its job directory, each whole or not at all, the result last.

    Raises:
        OutputTooLarge: they are larger than `limit` together; nothing is written.
        OSError: the folder cannot be written.
    """
    refuse_large({name: len(data) for name, data in content.items()}, limit)
    for name in _coming(content):
        temporary = directory / f".{name}.part"
        with temporary.open("wb") as stream:
            stream.write(content[name])
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(directory / name)


class Storage:
    """One attempt's folder in shared storage.

    Args:
        root: what the study sets: a path, or a URL of fsspec.
        parts: the folders below it.
    """

    def __init__(self, root: str, *parts: str) -> None:
        try:
            import fsspec

            self._system, base = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError, OSError) as error:
            raise StorageFailed(
                f"the storage cannot be used: {error}.",
                where=root,
                remedy="Install what fsspec needs for it (s3fs, gcsfs …) here and on the nodes, and name it "
                "as PROTOCOL://PLACE or as a path.",
            ) from error
        self._root = root
        self._folder = str(PurePosixPath(base, *parts))

    def give(self, job: Path, names: Mapping[str, Any]) -> None:
        """Copy files there. Raises StorageFailed."""
        try:
            self._system.makedirs(self._folder, exist_ok=True)
            for name in names:
                self._system.put_file(str(job / name), f"{self._folder}/{name}")
        except Exception as error:
            raise self._failed("written", error) from error

    def fetch(self, names: Mapping[str, int], limit: int) -> dict[str, bytes]:
        """The files, of the sizes that were told and not more. Raises StorageFailed, OutputTooLarge."""
        refuse_large(names, limit)
        found = {}
        try:
            for name in _coming(names):
                size = names[name]
                with self._system.open(f"{self._folder}/{name}", "rb") as stream:
                    found[name] = stream.read(size + 1)
                if len(found[name]) != size:
                    raise OSError(f"{name} has another size than was told")
        except Exception as error:
            raise self._failed("read", error) from error
        return found

    def remove(self) -> None:
        """Remove the folder with all in it; one that is not there is removed."""
        try:
            self._system.rm(self._folder, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed("cleared", error) from error

    def _failed(self, what: str, error: Exception) -> StorageFailed:
        return StorageFailed(
            f"the storage cannot be {what}: {type(error).__name__}: {error}.",
            where=self._root,
            remedy="It has to be reachable from here and from every node, for the user that Ray runs as.",
        )
