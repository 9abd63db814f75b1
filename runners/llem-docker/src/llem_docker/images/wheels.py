"""Wheels of distributions as they are installed here, so that an image holds the very llem that asks for it.

An index is not asked: a package of that name there could be another version, or another's.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from llem.plugin_api import PluginError

_LEFT_BEHIND = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}
"""Files that an installer writes into a distribution's folder of facts, and no wheel has."""


def wheel_of(name: str, folder: Path) -> Path:
    """Write the wheel of an installed distribution.

    Args:
        name: the distribution.
        folder: where the wheel goes.

    Returns:
        The wheel's path.

    Raises:
        PluginError: it is not installed, holds compiled code, or is installed from a source that cannot be built.
    """
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise PluginError(f"{name} is not installed here.", remedy=f"pip install {name}.") from None
    source = _editable_source(distribution)
    return _built(name, source, folder) if source else _repacked(distribution, folder)


def _editable_source(distribution: importlib.metadata.Distribution) -> Path | None:
    """The folder that an editable installation points to, or None."""
    text = distribution.read_text("direct_url.json")
    origin = json.loads(text) if text else {}
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path))


def _built(name: str, source: Path, folder: Path) -> Path:
    """Build it from its source, by whatever builds it; only an editable installation needs this."""
    before = set(folder.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    here = ["--no-build-isolation"] if _builds_here(source) else []
    command = [*pip, *here, "--wheel-dir", str(folder.resolve()), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    made = set(folder.glob("*.whl")) - before
    if done.returncode or len(made) != 1:
        raise PluginError(
            f"{name} is installed in editable mode from {source}, and its wheel cannot be built: "
            f"{(done.stderr or done.stdout).strip()[-400:]}",
            remedy="Install what builds it (llem's own: pip install hatchling), or install it as a wheel.",
        )
    wheel = made.pop()
    if not wheel.name.endswith("-none-any.whl"):
        raise PluginError(f"{name} holds compiled code, and cannot go into an image from here.")
    return wheel


def _builds_here(source: Path) -> bool:
    """True where the build backend that a project names is installed here; else pip fetches it."""
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
        backend = str(project["build-system"]["build-backend"])
    except (OSError, KeyError, TypeError, ValueError):
        backend = "setuptools.build_meta"
    try:
        return importlib.util.find_spec(backend.partition(":")[0]) is not None
    except ImportError:
        return False


def _repacked(distribution: importlib.metadata.Distribution, folder: Path) -> Path:
    """Put the installed files back into a wheel, with checksums of what they are now."""
    name = re.sub(r"[-_.]+", "_", distribution.name).lower()
    about = f"{name}-{distribution.version}"
    files = sorted(path for path in distribution.files or () if _belongs(path))
    facts = next(path.parts[0] for path in files if path.name == "METADATA" and path.parts[0].endswith(".dist-info"))
    if "Tag: py3-none-any" not in (distribution.read_text("WHEEL") or ""):
        raise PluginError(f"{distribution.name} holds compiled code, and cannot go into an image from here.")
    target = folder / f"{about}-py3-none-any.whl"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in files:
            data = Path(str(distribution.locate_file(path))).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            wheel.writestr(zipfile.ZipInfo(path.as_posix()), data, zipfile.ZIP_DEFLATED)
            rows.writerow([path.as_posix(), f"sha256={digest}", len(data)])
        rows.writerow([f"{facts}/RECORD", "", ""])
        wheel.writestr(zipfile.ZipInfo(f"{facts}/RECORD"), record.getvalue(), zipfile.ZIP_DEFLATED)
    return target


def _belongs(path: PurePosixPath) -> bool:
    """Tell whether a file came out of the wheel, and is no script, bytecode or installer's note."""
    outside = path.is_absolute() or ".." in path.parts
    noted = path.parent.name.endswith(".dist-info") and path.name in _LEFT_BEHIND
    return not outside and not noted and path.suffix != ".pyc"
