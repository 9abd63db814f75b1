"""The search for capacity under an SLO, and for the rate of the least energy within it."""

from __future__ import annotations

from llem_serving.capacity.answer import Answer
from llem_serving.capacity.capacity_search import CapacitySearch
from llem_serving.capacity.energy_search import EnergySearch
from llem_serving.capacity.runs import Steady

__all__ = ["Answer", "CapacitySearch", "EnergySearch", "Steady"]
