"""From one study to its experiments, lazily: `Sweep` is the one door."""

from llem.sweep.expansion import Duplicate, Duplicates, Point, Sweep

__all__ = ["Duplicate", "Duplicates", "Point", "Sweep"]
