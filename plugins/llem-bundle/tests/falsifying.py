"""Bundles taken apart and put together again, as who falsifies one would."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from llem_bundle.container import Content, Packing, measured
from llem_bundle.listing import LISTING


def rebuilt(bundle: Path, files: Mapping[str, bytes] | None = None, target: Path | None = None) -> dict[str, bytes]:
    """The files of a bundle; with `files`, a new bundle of these at `target`, whose every digest is right."""
    if files is None or target is None:
        with zipfile.ZipFile(bundle) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name != LISTING}
    with target.open("wb") as out:
        Packing([measured(Content(name, lambda data=data: BytesIO(data))) for name, data in files.items()]).write(out)
    return dict(files)
