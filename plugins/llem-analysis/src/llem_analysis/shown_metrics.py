"""The metrics of plugins that have a column in a study's table."""

from __future__ import annotations

from dataclasses import dataclass

from llem.plugin_api import METRICS, MetricSpec, Registry


@dataclass(frozen=True, slots=True)
class ShownMetric:
    """A registered metric as a table of configurations takes it.

    Attributes:
        name: the word in `--figure`.
        column: of results, that holds it.
        header: above its column, with its unit.
        energy: it comes from a meter, so that its method counts.
        of: the columns that it is computed from; none where it is one.
    """

    name: str
    column: str
    header: str
    energy: bool
    of: tuple[str, ...] = ()


def shown_metrics(registry: Registry) -> list[ShownMetric]:
    """The metrics that have a column in a study's table."""
    return [
        ShownMetric(spec.name, spec.column, _header(spec), spec.energy, spec.of)
        for spec in registry[METRICS].values()
        if spec.shown
    ]


def _header(spec: MetricSpec) -> str:
    return spec.label if spec.unit == "1" else f"{spec.label}, {spec.unit}"
