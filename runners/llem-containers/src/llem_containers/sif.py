"""SIF files: made by Apptainer of what it can read, in whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

from llem.plugin_api import LlemError
from llem_containers.apptainer import Apptainer, cleared, run
from llem_containers.errors import DiskFull, ImageUnfit, PullFailed
from llem_containers.process import this_process, was_here

ARCHIVE = "docker-archive:"
"""Apptainer's word before the path of what `docker save` wrote."""

_PARTIAL = ".partial"
_OWNER = re.compile(r"-by-(.+)\.partial$")
_FATAL = re.compile(r"^(?:\x1b\[[0-9;]*m)*(?:FATAL|ERROR):\s*(?:\x1b\[[0-9;]*m)*\s*(.*)$", re.MULTILINE)


def make_sif(source: str, reference: str, place: Path, apptainer: Apptainer) -> None:
    """Make a SIF file, over one that is there.

    Args:
        source: what Apptainer makes it of, by Apptainer's name for it.
        reference: the image as the user named it, for messages.
        place: the file; its folder is there.

    Raises:
        PullFailed, ImageUnfit, DiskFull: Apptainer did not make it, and why.
        OSError: the folder cannot be written.
    """
    clear_partial(place.parent)
    partial = place.with_name(f"{place.stem}-by-{this_process()}{_PARTIAL}")
    command = [apptainer.path, "--silent", "build", "--force", str(partial), source]
    try:
        done = run(command, cleared(os.environ), None)
        if done.code or not partial.is_file():
            raise build_error(done.output, reference)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)


def clear_partial(at: Path) -> None:
    """Remove what an llem that was killed had begun to make in a folder."""
    for path in at.glob(f"*{_PARTIAL}"):
        found = _OWNER.search(path.name)
        if found is not None and was_here(found[1]):
            path.unlink(missing_ok=True)


def fatal(text: str) -> str | None:
    """The last error that Apptainer printed, on one line of at most 400 characters; None where it printed none."""
    found = _FATAL.findall(text)
    if not found:
        return None
    line = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", found[-1])).strip()
    return line if len(line) <= 400 else f"{line[:400]}…"


def build_error(text: str, image: str) -> LlemError:
    """The error that Apptainer's message about making a SIF file means."""
    message = fatal(text) or " ".join(text.split())[-400:] or "it printed nothing"
    lower = message.lower()
    what = f"no SIF file can be made of {image}: {message}."
    if "no space left" in lower or "quota exceeded" in lower:
        return DiskFull(
            what, remedy="Make room in the cache folder and in APPTAINER_TMPDIR, or set them to another disk."
        )
    if "docker archive" in lower or "tar header" in lower:
        return ImageUnfit(what, remedy="It has to be what `docker save IMAGE -o FILE.tar` writes.")
    if any(word in lower for word in ("unauthorized", "denied", "authentication", "forbidden")):
        return PullFailed(what, remedy="Check the name; if it is private: apptainer registry login docker://REGISTRY.")
    if any(word in lower for word in ("manifest unknown", "not found", "does not exist", "name unknown")):
        return PullFailed(what, remedy="Check name and tag.")
    if "toomanyrequests" in lower or "rate limit" in lower:
        return PullFailed(what, remedy="Wait, or log in: apptainer registry login docker://docker.io.")
    return PullFailed(
        what,
        remedy="Check the network of this machine. Where a node has none, make the file elsewhere (apptainer pull FILE.sif docker://IMAGE) "
        "and name it: --runner apptainer:FILE.sif.",
    )
