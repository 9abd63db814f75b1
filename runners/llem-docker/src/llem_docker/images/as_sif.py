"""Images of this machine's Docker engine as SIF files, for machines that have Apptainer alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from docker.utils import parse_repository_tag

from llem.plugin_api import ConfigError, LlemError
from llem_containers.apptainer import Apptainer
from llem_containers.errors import DiskFull
from llem_containers.sif import ARCHIVE, make_sif


def place_of(reference: str, output: Path | None) -> Path:
    """The file that an image is written to: the one asked for, else one in this folder that is called as the image is.

    Raises:
        ConfigError: no file can be written there.
    """
    place, tag = parse_repository_tag(reference)
    path = output or Path(re.sub(r"[^\w.-]", "-", f"{place.rpartition('/')[2]}-{tag or 'latest'}.sif"))
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(
            "no SIF file can be written here.",
            where=str(path),
            remedy="Name a file in a folder that is there: --output FILE.sif.",
        )
    return path


def write_sif(reference: str, path: Path, client: str, apptainer: Apptainer) -> None:
    """Write an image of the Docker engine to a SIF file, over one that is there.

    Args:
        reference: the image.
        path: see `place_of`.
        client: the Docker client.

    Raises:
        DiskFull, ImageUnfit, PullFailed: Apptainer did not make it, and why.
        LlemError: the client did not hand it out.
    """
    folder = path.absolute().parent
    try:
        # Beside the file: images are large, and a folder for temporary files may be memory.
        with tempfile.TemporaryDirectory(prefix=".llem-image-", dir=folder) as temporary:
            archive = Path(temporary) / "image.tar"
            command = [client, "save", reference, "--output", str(archive)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode:
                said = " ".join(done.stderr.split())[-400:] or f"exit code {done.returncode}"
                room = f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB are free there"
                raise LlemError(
                    f"the image {reference} is built, and cannot be written out for Apptainer: {said}.",
                    where=str(folder),
                    remedy=f"Look for room ({room}; it takes the image's size twice), or name another place: --output FILE.sif.",
                )
            make_sif(f"{ARCHIVE}{archive}", reference, path.absolute(), apptainer)
    except OSError as error:
        raise DiskFull(
            f"the image {reference} is built, and its SIF file cannot be written: {error.strerror or error}.",
            where=str(path),
            remedy="Make room there, or name another place: --output FILE.sif.",
        ) from error
