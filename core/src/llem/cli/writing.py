"""Writes a file that a command was asked for: whole or not at all, and over another one only where that is wanted."""

from __future__ import annotations

import os
from pathlib import Path

from llem.errors import ConfigError


def refuse_existing(path: Path) -> None:
    """Raise ConfigError where there is something at `path` already."""
    if path.is_dir():
        raise ConfigError("is a folder.", where=str(path), remedy=f"Name a file, such as {path / 'study.yaml'}.")
    if os.path.lexists(path):
        raise ConfigError("is there already.", where=str(path), remedy="Use --force to replace it, or another name.")


def write_text(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file as a whole.

    Args:
        path: its place.
        text: its content.
        replace: a file that is there already is replaced; else it is an error.

    Raises:
        ConfigError: it is there already, is a folder, or cannot be written: no such folder, no permission, no space.
    """
    if not replace:
        refuse_existing(path)
    if not path.parent.is_dir():
        raise ConfigError(
            f"cannot be written: there is no folder {path.parent}.",
            where=str(path),
            remedy=f"Make it (mkdir -p {path.parent}), or name another place.",
        )
    target = path.resolve()  # what a link leads to is replaced, not the link
    beside = target.with_name(f".{target.name[:200]}.{os.getpid()}")
    if not replace:
        place, mode = path, "x"
    elif path.exists() and not path.is_file():  # a device or a pipe takes text, and cannot be replaced
        place, mode = path, "w"
    else:
        place, mode = beside, "x"
    made = False
    try:
        with place.open(mode, encoding="utf-8") as stream:
            made = mode == "x"
            stream.write(text)
        if place == beside:
            beside.replace(target)
    except OSError as error:
        if made:
            place.unlink(missing_ok=True)
        raise ConfigError(
            f"cannot be written: {error.strerror}.", where=str(path), remedy="Name another place."
        ) from error
