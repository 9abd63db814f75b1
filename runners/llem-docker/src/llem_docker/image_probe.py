"""Looks into an image before a study: one short container that tells what is in it and what it may see."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from docker.errors import DockerException
from docker.types import Mount

from llem_containers.errors import ImageUnfit
from llem_containers.image_facts import SCRIPT, ImageFacts, read_answer
from llem_containers.intake import remove_folder
from llem_containers.mounts import JOB
from llem_containers.process import this_process
from llem_docker import owner
from llem_docker.container import confinement
from llem_docker.daemon import DockerDaemon, Image, gone
from llem_docker.errors import NOT_FOUND
from llem_docker.leftovers import PROBE, clear_probes
from llem_docker.logs import LogStream
from llem_docker.options import DockerOptions

WAIT_S = 120
_ANSWER = "probe.json"


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
        folder = Path(tempfile.mkdtemp(prefix=f"{PROBE}{this_process()}-", dir=near))
        undo.callback(remove_folder, folder)
        options: dict[str, Any] = {
            "entrypoint": ["python3", "-c", SCRIPT],
            "command": [f"{JOB}/{_ANSWER}"],
            "environment": {"HOME": "/tmp", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
            if gpus
            else {"HOME": "/tmp"},
            "labels": {owner.STUDY: owner.PREFLIGHT, owner.OWNER: this_process()},
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
        return read_answer(folder / _ANSWER, folder / "log", image.reference, int(code), not_found=NOT_FOUND)
