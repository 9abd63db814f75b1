"""Labels of containers: which study and which llem they belong to, so that what a killed llem left is found again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llem_containers.process import has_ended, this_process

STUDY = "llem.study"
JOB = "llem.job"
CONFIG_HASH = "llem.config_hash"
BACKEND = "llem.backend"
OWNER = "llem.owner"

PREFLIGHT = "preflight"
"""In the place of a study: the container only looks into an image."""


def labels(study: str, job: Path, config_hash: str, backend: str) -> dict[str, str]:
    """The labels of an experiment's container."""
    return {
        STUDY: study or "none",
        JOB: str(job),
        CONFIG_HASH: config_hash,
        BACKEND: backend,
        OWNER: this_process(),
    }


def is_gone(found: Mapping[str, str]) -> bool:
    """Tell whether the llem that a container's labels name has ended."""
    return has_ended(found.get(OWNER, ""))
