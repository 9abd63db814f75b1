"""Columns that are computed from others whenever results are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llem_analysis.weighed_rows import weighed


@dataclass(frozen=True)
class ComputedColumn:
    """A column that no file holds.

    Attributes:
        name: of the column.
        unit: of its values.
        of: the columns that it is computed from.
        compute: takes these, returns the value, or None where they do not tell it.
        positive: 0 and what is below is no value of it.
    """

    name: str
    unit: str
    of: tuple[str, ...]
    compute: Callable[[Mapping[str, Any]], float | None]
    positive: bool

    def value(self, row: Mapping[str, Any]) -> float | None:
        """Of a row, from what its warnings leave of it; None for an experiment that is not done, and for no possible value."""
        if row.get("status") != "done":
            return None
        known = weighed(row)
        found = self.compute({name: known.get(name) for name in self.of})
        if found is None or not math.isfinite(found) or (self.positive and found <= 0):
            return None
        return float(found)
