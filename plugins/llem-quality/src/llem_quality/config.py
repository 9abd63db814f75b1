"""The section `quality:` of an experiment: how answers become right or wrong."""

from __future__ import annotations

from pydantic import Field

from llem.plugin_api import Section


class QualityConfig(Section):
    """Scoring of the answers to a task."""

    metric: str | None = Field(
        None,
        min_length=1,
        description="metric of the task that tells right (1) from wrong (0); null: exact_match, else acc, else its only one",
    )
    filter: str | None = Field(
        None, min_length=1, description="filter of the task that an answer goes through before; null: its first"
    )
