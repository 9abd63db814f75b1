"""The command line that runs a program in a container, and the variables that it gets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llem_apptainer.causes import ContainerRefused
from llem_apptainer.options import ApptainerOptions
from llem_containers.mounts import HOME, HUB, JOB, SCRATCH, TOKEN, Places

WORKER = ("python3", "-m", "llem.worker", JOB)
"""The command that runs inside."""

PREFIX = "APPTAINERENV_"
"""A variable of this name goes inside without it. It is on no command line, which everybody on a machine can read."""

WORK = "work"
"""The folder in the scratch folder that holds /tmp and /var/tmp of the container."""

_TEMPORARY = {"/tmp": "tmp", "/var/tmp": "var_tmp"}
"""Folders of the container and what Apptainer calls them below `--workdir`."""
_KERNELS = ("/dev", "/proc", "/sys")

VOID = "void"
"""An empty folder in the scratch folder."""
_VOID_INSIDE = ".llem"


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The inside of a container.

    Attributes:
        image: the SIF file or folder.
        job: the exchange folder here; scratch: its temporary folder here.
        online: this machine's network.
        gpus: it gets NVIDIA's devices and libraries.
        token: the file that holds the hub's token, or None.
    """

    image: Path
    job: Path
    scratch: Path
    options: ApptainerOptions
    places: Places = field(default_factory=Places)
    online: bool = False
    gpus: bool = False
    token: Path | None = None


def mount_points(read_only: Mapping[str, str], scratch: Path) -> None:
    """Make the places that files of this machine are mounted at, where Apptainer cannot: in the container's own /tmp and /var/tmp.

    Raises:
        ContainerRefused: a place that is the kernel's inside.
        OSError: one cannot be made.
    """
    for here, there in read_only.items():
        if (system := next((one for one in _KERNELS if there.startswith(f"{one}/")), None)) is not None:
            raise ContainerRefused(
                f"{there} cannot be shown in a container: {system} is the container's own there.",
                where=here,
                remedy=f"Put it into another folder than {system}.",
            )
        for outside, name in _TEMPORARY.items():
            if there.startswith(f"{outside}/"):
                place = scratch / WORK / name / there.removeprefix(f"{outside}/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.mkdir(exist_ok=True) if Path(here).is_dir() else place.touch()


def exec_line(apptainer: str, inside: Inside, program: Sequence[str]) -> list[str]:
    """The command line of `apptainer exec`. Nothing of this machine is seen inside but what is named here, and the kernel's own.

    `--containall` gives it processes, memory segments and variables of its own; `--no-eval` keeps shells away from the variables.
    """
    options = inside.options
    limits = []
    if options.memory_bytes is not None:
        limits += ["--memory", str(options.memory_bytes)]
    if options.cpus is not None:
        limits += ["--cpus", f"{options.cpus:g}"]
    if options.pids is not None:
        limits += ["--pids-limit", str(options.pids)]
    return [
        *(apptainer, "--silent", "exec", "--containall", "--no-eval", "--no-privs"),
        *([] if inside.online else ["--net", "--network", "none"]),
        *(["--nv"] if inside.gpus else []),
        *limits,
        *("--home", f"{inside.scratch / 'home'}:{HOME}"),
        *("--workdir", str(inside.scratch / WORK)),
        *("--pwd", SCRATCH),
        *(word for mount in _mounts(inside) for word in ("--mount", mount)),
        str(inside.image),
        *program,
    ]


def _mounts(inside: Inside) -> list[str]:
    places = inside.places
    found = [_mount(inside.job, JOB), _mount(inside.scratch, SCRATCH)]
    # A folder that a path leads through is there as soon as something is mounted below it.
    found += [
        _mount(inside.scratch / VOID, f"{place.rstrip('/')}/{_VOID_INSIDE}", read_only=True)
        for place in dict.fromkeys(places.empty)
    ]
    # The outer of two first: it would hide the inner one.
    found += [
        _mount(here, there, read_only=True) for here, there in sorted(places.read_only.items(), key=lambda two: two[1])
    ]
    if places.hub is not None:
        found.append(_mount(places.hub, HUB, read_only=not places.fetches))
    if inside.token is not None:
        found.append(_mount(inside.token, TOKEN, read_only=True))
    return found


def _mount(here: str | Path, there: str, *, read_only: bool = False) -> str:
    """A mount as Apptainer reads it: CSV, so that a path may hold commas, colons and quotation marks."""
    line = io.StringIO()
    words = ["type=bind", f"source={here}", f"destination={there}", *(["ro"] if read_only else [])]
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()


def variables_for(found: Mapping[str, str]) -> dict[str, str]:
    """Variables for inside, as Apptainer's own process gets them. The home folder is given by an option, and by no variable."""
    return {f"{PREFIX}{name}": value for name, value in found.items() if name != "HOME"}
