"""The program `apptainer` of this machine: found, asked for its version, and run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import PreflightError

LEAST = (1, 1)
"""Older ones take no `--no-eval`, and would let a shell expand the values of variables."""

_STEERING = re.compile(r"(?:APPTAINER|SINGULARITY)(?:_|ENV_)")
_KEPT = frozenset(
    {
        "APPTAINER_TMPDIR",
        "APPTAINER_CACHEDIR",
        "APPTAINER_CONFIGDIR",
        "APPTAINER_DOCKER_USERNAME",
        "APPTAINER_DOCKER_PASSWORD",
    }
)
"""Variables that say where Apptainer keeps its files, and who one is to a registry. Others would steer what a container sees."""


RIGHTS_REMEDY = (
    "Ask the site for one of the two: Apptainer's setuid installation (apptainer-suid), or user namespaces for users "
    "(sysctl user.max_user_namespaces above 0; on Ubuntu also a profile of AppArmor for apptainer)."
)


class ApptainerUnavailable(PreflightError):  # noqa: N818
    """Apptainer is not installed, too old, or this user may not start containers."""

    topic = "apptainer"


@dataclass(frozen=True, kw_only=True)
class Apptainer:
    """The program.

    Attributes:
        path: absolute; version: as it tells it, such as `1.4.5`.
    """

    path: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Done:
    """The end of a run of it."""

    code: int
    output: str


def find() -> Apptainer:
    """The program on the PATH.

    Raises:
        ApptainerUnavailable: it is not there, is another program, or too old.
    """
    path = shutil.which("apptainer")
    if path is None:
        other = shutil.which("singularity")
        aside = (
            f" There is {other}, which llem does not use: it takes its variables under other names." if other else ""
        )
        raise ApptainerUnavailable(
            f"Apptainer is not installed here, or not on the PATH.{aside}",
            remedy="On a cluster it may be a module (module load apptainer), or be on the compute nodes alone; else see "
            "https://apptainer.org/docs/admin/latest/installation.html.",
        )
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
        said = done.stdout.strip() or done.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    found = re.search(r"apptainer version (\S+)", said)
    if found is None:
        raise ApptainerUnavailable(
            f"`apptainer --version` tells no version of Apptainer: {said[:200] or 'it printed nothing'}.",
            where=path,
            remedy="Run it by hand, and look at what `type apptainer` finds.",
        )
    version = found[1]
    if numbers(version) < LEAST:
        raise ApptainerUnavailable(
            f"Apptainer {version} is too old.", where=path, remedy=f"llem needs {'.'.join(map(str, LEAST))} or newer."
        )
    return Apptainer(path=path, version=version)


def numbers(version: str) -> tuple[int, int]:
    """`1.4.5-2` as (1, 4); (0, 0) for what is no version."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def why_no_rights() -> ApptainerUnavailable | None:
    """The reason why this user may not start containers; None where the user may.

    Without root it takes a program with the setuid bit, or a user namespace; whether the kernel gives one is tried.
    """
    if os.geteuid() == 0 or setuid_starter() is not None:
        return None
    unshare = shutil.which("unshare")
    if unshare is None:
        return None  # the look into the image will tell
    done = subprocess.run([unshare, "--user", "--map-root-user", "true"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return ApptainerUnavailable(
        f"this user may not start containers: Apptainer has no setuid part here, and the kernel gives no user namespace "
        f"({' '.join(done.stderr.split()) or f'exit code {done.returncode}'}).",
        remedy=RIGHTS_REMEDY,
    )


def setuid_starter() -> Path | None:
    """Apptainer's part with the setuid bit, where the installation has one."""
    path = shutil.which("apptainer")
    if path is None:
        return None
    prefix = Path(path).resolve().parents[1]
    for folder in (
        "libexec/apptainer/bin",
        "lib/apptainer/bin",
        "lib64/apptainer/bin",
        "lib/x86_64-linux-gnu/apptainer/bin",
    ):
        starter = prefix / folder / "starter-suid"
        try:
            found = starter.stat()
        except OSError:
            continue
        if found.st_mode & 0o4000 and found.st_uid == 0:
            return starter
    return None


def steering(environ: Mapping[str, str]) -> list[str]:
    """Names of this machine's variables that would change what a container sees or does; the user's settings of a shell."""
    return sorted(name for name in environ if _STEERING.match(name) and name not in _KEPT)


def run(command: Sequence[str], environ: Mapping[str, str], timeout_s: float | None) -> Done:
    """Run Apptainer to its end and collect what it prints; on an interrupt or after the time, it is ended with all that it started.

    Raises:
        subprocess.TimeoutExpired: it took longer.
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except BaseException:
        # A session of its own: its helpers are in it, and the terminal's Ctrl+C is not.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return Done(code=process.returncode, output=output)


def cleared(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables for Apptainer: this machine's, without what would steer the container."""
    names = set(steering(environ))
    return {name: value for name, value in environ.items() if name not in names}
