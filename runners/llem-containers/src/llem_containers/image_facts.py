"""Looks into an image before a study: a program that tells there what is in it and what it may see, and its answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llem_containers.errors import ImageUnfit

_MOST_BYTES = 2**20

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


def read_answer(answer: Path, log: Path, image: str, code: int, *, not_found: int) -> ImageFacts:
    """Read what the program wrote.

    Args:
        answer: its file; log: what it printed.
        image: its name, for messages.
        code: its exit code; not_found: the one of whatever runs it, where the image has no python3.

    Raises:
        ImageUnfit: there is no answer, or none of that form.
    """
    try:
        fd = os.open(answer, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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
        if code == not_found:
            raise no_python(image) from error
        said = _last_line(log)
        raise ImageUnfit(
            f"the image {image} cannot run llem: a look into it ended with exit code {code}"
            f"{f' and: {said}' if said else ''}.",
            remedy="On a system with SELinux, see whether containers may write to the results folder; else use an image that "
            "`llem images build` makes, or add python3 and llem to yours.",
        ) from error


def no_python(image: str) -> ImageUnfit:
    """The image cannot start the worker."""
    return ImageUnfit(
        f"the image {image} has no python3 on its PATH.",
        remedy="Use an image with python3, llem and the backend's plugin in it, such as `llem images build` makes.",
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:100]


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300].rstrip(".") if lines else ""
