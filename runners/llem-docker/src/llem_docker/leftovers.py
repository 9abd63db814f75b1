"""Containers of a study whose llem was killed: removed before the study is resumed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llem.errors import PreflightError
from llem.results.store import EXPERIMENTS
from llem_docker import owner
from llem_docker.engine import Engine
from llem_docker.runner import EXCHANGE


def reclaim(study_dir: Path) -> Iterable[str]:
    """Remove every container that works, or worked, on a job of this study for an llem that is gone.

    The engine is asked only where a job directory still has the folder that its container saw.

    Raises:
        LlemError: the engine does not answer, or does not remove one.
    """
    if not any((study_dir / EXPERIMENTS).glob(f"*/{EXCHANGE}")):
        return []
    engine = Engine()
    try:
        with engine.answering():
            containers = engine.client.api.containers(all=True, filters={"label": f"{owner.STUDY}={study_dir.name}"})
        ours = [c["Id"] for c in containers if _is_ours(c.get("Labels") or {}, study_dir)]
        if left := [container[:12] for container in ours if not engine.remove(container)]:
            raise PreflightError(
                f"container(s) {', '.join(left)} of an earlier run of this study cannot be removed.",
                where=engine.address,
                remedy=f"docker rm --force --volumes {' '.join(left)}",
            )
    finally:
        engine.close()
    return [f"removed {len(ours)} container(s) that an earlier run of this study left behind."] if ours else []


def _is_ours(labels: dict[str, str], study_dir: Path) -> bool:
    return Path(labels.get(owner.JOB, "")).parent == study_dir / EXPERIMENTS and owner.is_gone(labels)
