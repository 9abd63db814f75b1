"""Leftovers of a killed llem with the engine: containers of its study, removed before that is resumed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llem.plugin_api import EXPERIMENTS, PreflightError
from llem_containers.intake import remove_folder
from llem_containers.process import was_here
from llem_docker import owner
from llem_docker.container import EXCHANGE
from llem_docker.daemon import DockerDaemon

PROBE = ".llem-probe-"
"""The name of the folder of a look into an image, before its owner."""


def reclaim(study_dir: Path) -> Iterable[str]:
    """Remove every container that works, or worked, on a job of this study for an llem that is gone.

    The engine is asked only where a job directory still has the folder that its container saw.

    Raises:
        LlemError: the engine does not answer, or does not remove one.
    """
    if not any((study_dir / EXPERIMENTS).glob(f"*/{EXCHANGE}")):
        return []
    daemon = DockerDaemon()
    try:
        with daemon.answering():
            containers = daemon.client.api.containers(all=True, filters={"label": f"{owner.STUDY}={study_dir.name}"})
        ours = [c["Id"] for c in containers if _is_ours(c.get("Labels") or {}, study_dir)]
        if left := [container[:12] for container in ours if not daemon.remove(container)]:
            raise PreflightError(
                f"container(s) {', '.join(left)} of an earlier run of this study cannot be removed.",
                where=daemon.address,
                remedy=f"docker rm --force --volumes {' '.join(left)}",
            )
    finally:
        daemon.close()
    return [f"removed {len(ours)} container(s) that an earlier run of this study left behind."] if ours else []


def clear_probes(daemon: DockerDaemon, near: Path) -> None:
    """Remove the containers and folders of looks into an image whose llem was killed meanwhile.

    Args:
        near: the folder that holds the folders of probes.

    Raises:
        LlemError: the engine does not answer.
    """
    with daemon.answering():
        containers = daemon.client.api.containers(all=True, filters={"label": f"{owner.STUDY}={owner.PREFLIGHT}"})
    for container in containers:
        if owner.is_gone(container.get("Labels") or {}):
            daemon.remove(container["Id"])
    for folder in near.glob(f"{PROBE}*"):
        # Only those of this machine since its boot: others may be at work on a shared file system.
        if was_here(folder.name.removeprefix(PROBE).rpartition("-")[0]):
            remove_folder(folder)


def _is_ours(labels: dict[str, str], study_dir: Path) -> bool:
    return Path(labels.get(owner.JOB, "")).parent == study_dir / EXPERIMENTS and owner.is_gone(labels)
