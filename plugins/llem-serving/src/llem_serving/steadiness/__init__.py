"""The steady state of a load: the gate before the window opens, and the signs of saturation."""

from __future__ import annotations

from llem_serving.steadiness.failing import failing
from llem_serving.steadiness.gate import SteadyGate
from llem_serving.steadiness.part import IN_A_ROW, LoadPart
from llem_serving.steadiness.saturation import Saturation, growing, saturates

__all__ = ["IN_A_ROW", "LoadPart", "Saturation", "SteadyGate", "failing", "growing", "saturates"]
