"""Servers with given service times: one, or several, that take requests in the order of arrival."""

from __future__ import annotations

import heapq

import numpy as np
from sim.serving.arrivals import Ints
from sim.serving.path import Path, SteadyTokens
from sim.serving.power import power_of_levels


def fifo(arrivals: Ints, service: Ints, tokens: Ints, *, idle_w: float = 100.0, peak_w: float = 400.0) -> Path:
    """A single server. It draws `peak_w` while it works.

    The start of the n-th service is the latest of a_i + s_i + … + s_(n-1) over i ≤ n: Lindley's recursion, written as a
    running maximum (Lindley, The theory of queues with a single server, 1952).
    """
    done_before = np.concatenate([[0], np.cumsum(service)[:-1]])
    started = np.maximum.accumulate(arrivals - done_before) + done_before
    return _path(arrivals, started, service, tokens, 1, idle_w, peak_w)


def parallel(
    arrivals: Ints, service: Ints, tokens: Ints, servers: int, *, idle_w: float = 100.0, peak_w: float = 400.0
) -> Path:
    """Several servers with one queue. Power above idle is in proportion to the number that work."""
    free = [int(arrivals[0])] * servers
    started = np.empty_like(arrivals)
    for i, (arrived, needs) in enumerate(zip(arrivals.tolist(), service.tolist(), strict=True)):
        begins = max(arrived, free[0])
        heapq.heapreplace(free, begins + needs)
        started[i] = begins
    return _path(arrivals, started, service, tokens, servers, idle_w, peak_w)


def _path(
    arrivals: Ints, started: Ints, service: Ints, tokens: Ints, servers: int, idle_w: float, peak_w: float
) -> Path:
    last = started + service
    ones = np.ones_like(started)
    watts = idle_w + (peak_w - idle_w) * np.arange(servers + 1) / servers
    # An end at the instant of a start comes before it, so that no level is above the number of servers.
    power = power_of_levels(np.concatenate([last, started]), np.concatenate([-ones, ones]), watts)
    times = SteadyTokens(started, service, tokens)
    return Path(arrivals, arrivals, started, started + service // tokens, last, tokens, times, power)
