"""A study's bundle: what goes in, searched for secrets, measured, described, and then written in one go."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from llem.plugin_api import (
    MANIFEST,
    ConfigError,
    ResultError,
    inside,
    is_held,
    is_study,
    nothing_here,
    read_object,
    several_here,
)
from llem_bundle.container import Content, Measured, Packing, measured
from llem_bundle.crate import METADATA, crate_metadata
from llem_bundle.made import made_files
from llem_bundle.prompt_files import prompt_files
from llem_bundle.secrets import refuse_secrets
from llem_bundle.study_files import study_files


@dataclass(frozen=True)
class Prepared:
    """A bundle that is worked out and not yet written.

    Attributes:
        size: in bytes; count: of its files.
    """

    packing: Packing
    size: int
    count: int

    def write(self, path: Path) -> None:
        """Write the bundle, whole or not at all. What is there already is never overwritten."""
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            with os.fdopen(handle, "wb") as out:
                self.packing.write(out)
                out.flush()
                os.fsync(out.fileno())
            Path(name).chmod(0o644)
            os.link(name, path)  # unlike a rename it fails where something is there
        except FileExistsError as error:
            raise _exists(path) from error
        except OSError as error:
            raise _unwritable(path, error) from error
        finally:
            Path(name).unlink()


def prepare(study: Path, *, series: bool = True, rules: str = "publication", prompts: bool = False) -> Prepared:
    """Work out a study's bundle.

    Args:
        series: readings and requests too.
        rules: of the audit in it.
        prompts: files of prompts and arrivals that the study names, too.

    Raises:
        ResultError: it is no study, still runs, or holds a link or a secret.
    """
    if not study.exists():
        raise nothing_here(study)
    if (several := several_here(study)) is not None:
        raise several
    if not is_study(study):
        raise nothing_here(study)
    if is_held(study):
        raise ResultError("an llem works on this study now.", where=str(study), remedy="Bundle it when it has ended.")
    manifest = read_object(inside(study, MANIFEST), "manifest")
    contents = study_files(study, series=series)
    for content in contents:
        refuse_secrets(content, study / content.name)
    for content, path in prompt_files(study) if prompts else ():
        refuse_secrets(content, path)
        contents.append(content)
    contents += [_held_in_memory(name, data) for name, data in made_files(study, manifest, rules)]
    for content in contents:
        if not content.name.endswith(".parquet"):
            refuse_secrets(content)
    files = [_measured(content) for content in contents]
    about = _held_in_memory(METADATA, crate_metadata(manifest, sorted(files, key=lambda one: one.entry.name)))
    refuse_secrets(about)
    packing = Packing([*files, measured(about)])
    return Prepared(packing, packing.size, packing.count)


def refuse_existing(path: Path) -> None:
    """Raise where a bundle would overwrite something."""
    if os.path.lexists(path):
        raise _exists(path)


def _held_in_memory(name: str, data: bytes) -> Content:
    opener: Callable[[], IO[Any]] = lambda: BytesIO(data)  # noqa: E731
    return Content(name, opener)


def _measured(content: Content) -> Measured:
    try:
        return measured(content)
    except OSError as error:
        raise ResultError(f"it cannot be read: {error.strerror or error}.", where=content.name) from error


def _exists(path: Path) -> ConfigError:
    return ConfigError(
        "it exists, and nothing is overwritten.", where=str(path), remedy="Name another place: --output PATH."
    )


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"it cannot be written: {error.strerror or error}.",
        where=str(path),
        remedy="Name another place: --output PATH.",
    )
