"""Arrivals: the instants at which requests of a load arrive, drawn before any of them is sent.

from llem_serving.arrivals import draw, think_times

draw(load, cycle, span_s).t_ns                # of a load that waits for no answer
think_times(load, cycle, user)                # of one of `concurrency` users
"""

from __future__ import annotations

from llem_serving.arrivals.drawing import Arrivals, draw
from llem_serving.arrivals.limits import MOST_ARRIVALS
from llem_serving.arrivals.thinking import think_times

__all__ = ["MOST_ARRIVALS", "Arrivals", "draw", "think_times"]
