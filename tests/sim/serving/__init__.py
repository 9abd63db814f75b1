"""A simulated server in virtual time: service, batching and power are known, and so is the truth of every figure.

Requests arrive at given times; a model of a server says when each token is given out and what power is drawn. All times
are whole nanoseconds and all arithmetic on them is exact; nothing waits, and everything follows from seeds.
"""

from __future__ import annotations

from sim.serving.arrivals import constant, gamma, lengths, poisson
from sim.serving.batching import Batching
from sim.serving.path import Path, SteadyTokens
from sim.serving.power import StepPower
from sim.serving.queueing import fifo, parallel
from sim.serving.stopping import coordinated, stopped
from sim.serving.truth import Truth
from sim.serving.window import Objective, Window

__all__ = [
    "Batching",
    "Objective",
    "Path",
    "SteadyTokens",
    "StepPower",
    "Truth",
    "Window",
    "constant",
    "coordinated",
    "fifo",
    "gamma",
    "lengths",
    "parallel",
    "poisson",
    "stopped",
]
