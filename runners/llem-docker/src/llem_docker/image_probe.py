"""Looks into an image before a study: one short container that tells what is in it and what it may see."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from docker.errors import DockerException
from docker.types import Mount

from llem.plugin_api import LlemError
from llem_docker import owner
from llem_docker.container import confinement
from llem_docker.daemon import DockerDaemon, Image, gone
from llem_docker.errors import NOT_FOUND, ImageUnfit, no_python
from llem_docker.intake import remove_folder
from llem_docker.leftovers import PROBE, clear_probes
from llem_docker.logs import LogStream
from llem_docker.mounts import JOB
from llem_docker.options import DockerOptions

WAIT_S = 120
_MOST_BYTES = 2**20
_ANSWER = "probe.json"

SCRIPT = r"""
import glob, importlib.metadata, json, os, subprocess, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
found = {"llem": version("llem"), "schema": None, "backends": {}, "plugins": {}, "aside": []}
if found["llem"]:
    from llem.plugin_api import Registry, missing_requirements
    from llem.plugin_api import JOB_SCHEMA
    from llem.plugin_api import BACKENDS, DATASETS, SAMPLERS, SCENARIOS
    registry = Registry()
    found["schema"] = JOB_SCHEMA
    found["backends"] = {name: missing_requirements(spec.requires) for name, spec in registry[BACKENDS].items()}
    found["plugins"] = {kind.word: list(registry[kind]) for kind in (SCENARIOS, DATASETS, SAMPLERS)}
    found["aside"] = [f"{plugin.label}: {plugin.set_aside}" for plugin in registry.plugins() if plugin.set_aside]
shm = os.statvfs("/dev/shm")
found["shm"] = shm.f_blocks * shm.f_frsize
names = ["nvidia-cuda-runtime", *(f"nvidia-cuda-runtime-cu{major}" for major in (13, 12, 11))]
found["cuda"] = next((v for v in map(version, names) if v), None) or os.environ.get("CUDA_VERSION")
found["forward"] = bool(glob.glob("/usr/local/cuda*/compat/libcuda.so*"))
try:
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    found["smi"] = {"code": done.returncode, "text": (done.stdout + done.stderr)[:20000]}
except OSError:
    found["smi"] = None
with open(sys.argv[1], "w") as out:
    json.dump(found, out)
"""


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """An image's own word about itself. It is taken for what it is: text of whoever made the image.

    Attributes:
        llem: version inside, or None.
        schema: version of `experiment.json` that it reads.
        backends: name to the import names that it needs and that are missing.
        plugins: names of the scenarios, datasets and energy samplers in it, by the word of their kind.
        aside: plugins that do not work, with the reason.
        shm: bytes of /dev/shm.
        cuda: version of CUDA's runtime, where one is told; forward: the forward-compatibility package is there.
        gpus: what `nvidia-smi -L` printed; None where there is no such program.
    """

    llem: str | None
    schema: int | None
    backends: Mapping[str, Sequence[str]] = field(default_factory=dict)
    plugins: Mapping[str, Sequence[str]] = field(default_factory=dict)
    aside: Sequence[str] = ()
    shm: int = 0
    cuda: str | None = None
    forward: bool = False
    gpus: str | None = None


def probe_image(
    daemon: DockerDaemon, image: Image, gpus: Sequence[str], limits: DockerOptions, user: str, near: Path
) -> ImageFacts:
    """Run the probe in an image, confined as an experiment is.

    Args:
        near: a folder on the file system that results go to; what is mounted lies there.

    Raises:
        ToolkitMissing, GpuRefused, ImageUnfit, ContainerRefused, EngineUnavailable: it did not start.
        ImageUnfit: it started and gave no answer.
    """
    clear_probes(daemon, near)
    with ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix=f"{PROBE}{owner.this_process()}-", dir=near))
        undo.callback(remove_folder, folder)
        options: dict[str, Any] = {
            "entrypoint": ["python3", "-c", SCRIPT],
            "command": [f"{JOB}/{_ANSWER}"],
            "environment": {"HOME": "/tmp", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
            if gpus
            else {"HOME": "/tmp"},
            "labels": {owner.STUDY: owner.PREFLIGHT, owner.OWNER: owner.this_process()},
            "mounts": [Mount(JOB, str(folder), type="bind")],
            "network_mode": "none",
            "user": user,
            **confinement(limits, gpus),
        }
        container = daemon.create(image, options)
        undo.callback(daemon.remove, container)
        log = LogStream(daemon.output(container), folder / "log")
        daemon.start(container, image)
        try:
            code = daemon.client.api.wait(container, timeout=WAIT_S)["StatusCode"]
        except (DockerException, requests.RequestException, OSError) as error:
            if not daemon.answers():
                raise gone(daemon.address) from error
            raise ImageUnfit(
                f"a look into the image {image.reference} took more than {WAIT_S} s.",
                remedy="See what it does: docker ps.",
            ) from error
        log.close(10)
        return _read(folder, image, int(code))


def _read(folder: Path, image: Image, code: int) -> ImageFacts:
    try:
        fd = os.open(folder / _ANSWER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as stream:
            data = json.loads(stream.read(_MOST_BYTES))
        smi = data["smi"]
        return ImageFacts(
            llem=_text(data["llem"]),
            schema=int(data["schema"]) if data["schema"] is not None else None,
            backends={str(name): [str(n) for n in missing] for name, missing in data["backends"].items()},
            plugins={str(kind): [str(one) for one in names] for kind, names in data["plugins"].items()},
            aside=[str(one) for one in data["aside"]],
            shm=int(data["shm"]),
            cuda=_text(data["cuda"]),
            forward=bool(data["forward"]),
            gpus=None if smi is None else str(smi["text"]),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if code == NOT_FOUND:
            raise no_python(image.reference) from error
        said = _last_line(folder / "log")
        raise ImageUnfit(
            f"the image {image.reference} cannot run llem: a look into it ended with exit code {code}"
            f"{f' and: {said}' if said else ''}.",
            remedy="On a system with SELinux, see whether containers may write to the results folder; else use an image that "
            "`llem images build` makes, or add python3 and llem to yours.",
        ) from error


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:100]


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300].rstrip(".") if lines else ""


def guarded(look: Any) -> ImageFacts | LlemError:
    """The find of a look, or why there was none."""
    try:
        found: ImageFacts = look()
    except LlemError as error:
        return error
    return found
