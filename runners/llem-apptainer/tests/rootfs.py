"""A small root file system, made in seconds and without a network: this machine's Python with what it links to, llem, what llem
needs, and the testbed backend. An image of it, packed or not, is what the tests run; so is llem as an ordinary user."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
BASE = Path(sys.base_prefix)
_LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "test", "tests", "idlelib", "config-*", "ensurepip", "tkinter", "include"
)
_UNUSED = re.compile(r"(?:^|/)tests/|^pyarrow/(?:include/|.*(?:flight|azurefs|gandiva|\.pyx$|\.pxd$))")
"""Parts of packages that llem does not import: an image of half the size is made in half the time."""

HOME = "opt/python"
"""Python's place inside. Where it is here it might be hidden: Apptainer mounts an empty home folder over the image's."""
_FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp")


def make(target: Path, members: Iterable[str] = ("core",)) -> Path:
    """Make the file system.

    Args:
        target: the folder, which does not exist.
        members: folders of this repository whose distributions are in it.
    """
    for folder in _FOLDERS:
        (target / folder).mkdir(parents=True)
    for name in ("passwd", "group"):
        (target / "etc" / name).touch()
    shutil.copytree(BASE / "lib" / PYTHON, target / HOME / "lib" / PYTHON, ignore=_left_out)
    (target / HOME / "bin").mkdir()
    shutil.copy2((BASE / "bin" / PYTHON).resolve(), target / HOME / "bin" / "python3")
    (target / "usr" / "bin" / "python3").symlink_to(f"/{HOME}/bin/python3")
    _packages(packages_of(target), list(members))
    _libraries(target)
    return target


def packages_of(target: Path) -> Path:
    """The folder of packages in a file system that was made."""
    # Debian's own Python looks there, and any other in site-packages.
    debian = Path("/usr") == BASE
    return target / HOME / "lib" / ("python3/dist-packages" if debian else f"{PYTHON}/site-packages")


def _left_out(folder: str, names: list[str]) -> set[str]:
    return {*_LEFT_OUT(folder, names), *({"site-packages", "dist-packages"} & {*names})}


def _packages(target: Path, members: list[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for one in _needed("llem"):
        for file in one.files or ():
            if ".." not in file.parts and file.suffix != ".pyc" and not _UNUSED.search(str(file)):
                place = target / file
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(file.locate()), place)
    for member in members:
        for package in (ROOT / member / "src").iterdir():
            shutil.copytree(package, target / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        _metadata(target, ROOT / member)
    shutil.copytree(
        ROOT / "tests" / "testbed", target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )


def _metadata(target: Path, member: Path) -> None:
    """Write what pip would of a distribution: its name and version, and its entry points."""
    import tomllib

    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    folder = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (folder / "entry_points.txt").write_text("\n".join([*lines, ""]))


def _needed(
    name: str, found: dict[str, importlib.metadata.Distribution] | None = None
) -> list[importlib.metadata.Distribution]:
    """The distributions that one needs, itself left out."""
    found = {} if found is None else found
    for line in importlib.metadata.requires(name) or ():
        asked = Requirement(line)
        if asked.name.lower() not in found and (asked.marker is None or asked.marker.evaluate({"extra": ""})):
            found[asked.name.lower()] = importlib.metadata.distribution(asked.name)
            _needed(asked.name, found)
    return list(found.values())


def _libraries(target: Path) -> None:
    """Copy the shared libraries of this machine that programs and modules in the file system link to, to where the loader looks."""
    linking = [path for path in target.rglob("*") if path.is_file() and not path.is_symlink() and _links(path)]
    told = subprocess.run(["ldd", *map(str, linking)], capture_output=True, text=True, check=False).stdout
    found = sorted({*re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", told, re.MULTILINE)})
    system = next(Path(one).parent for one in found if Path(one).name == "libc.so.6").relative_to("/")
    for library in found:
        if not library.startswith(f"{target}/"):
            known = library.startswith(("/lib", "/usr/lib"))
            # What is none of the system's is Python's own. Beside it as well, for whoever runs it here and not inside.
            places = (
                [library.lstrip("/")]
                if known
                else [f"{folder}/{Path(library).name}" for folder in (system, f"{HOME}/lib")]
            )
            for place in (target / one for one in places):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(library, place)


def _links(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
