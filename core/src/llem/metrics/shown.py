"""The metrics of plugins that have a column in a study's table."""

from __future__ import annotations

from dataclasses import dataclass


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
