"""The steady state of a load: the gate before the window opens, and the signs of saturation."""

from __future__ import annotations

from llem_serving.steadiness.gate import SteadyGate
from llem_serving.steadiness.part import LoadPart
from llem_serving.steadiness.saturation import Saturation, saturates

__all__ = ["LoadPart", "Saturation", "SteadyGate", "saturates"]
