"""The metrics that plugins compute, as columns of results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from llem.plugin_api import METRICS, MetricSpec, SpecRegistry, load_object
from llem_analysis.computed import ComputedColumn


def computed_columns(registry: SpecRegistry) -> list[ComputedColumn]:
    """A column for each metric that is computed. What a plugin's function raises is said once, and its value is None."""
    return [
        ComputedColumn(
            name=spec.column,
            unit=spec.unit,
            of=spec.of,
            compute=_Guarded(spec, registry.provider(METRICS, spec.name).label),
            positive=spec.scale == "log",
        )
        for spec in registry[METRICS].values()
        if spec.value is not None
    ]


class _Guarded:
    """A plugin's function: it is imported when the first value is asked for."""

    def __init__(self, spec: MetricSpec, label: str) -> None:
        self._spec, self._label = spec, label
        self._function: Callable[[Mapping[str, Any]], float | None] | None = None
        self._failed = False

    def __call__(self, row: Mapping[str, Any]) -> float | None:
        if self._failed:
            return None
        try:
            if self._function is None:
                self._function = load_object(str(self._spec.value))
            return self._function(row)
        except Exception as error:  # noqa: BLE001 - whatever a third party does must not keep results from being read
            self._failed = True
            logging.getLogger("llem").warning(
                "llem: the metric %s of %s is left out, since its function fails (%s: %s).",
                self._spec.name,
                self._label,
                type(error).__name__,
                error,
            )
            return None
