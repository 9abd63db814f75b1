"""The server in virtual time: what it has to do with given arrivals, also where it stops, and what a generator does that waits for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sim.serving import Batching, Path, stopped
from sim.serving.arrivals import Ints, S

from bench.simulated_server.running import OPTIONS, TOKENS


def server() -> Batching:
    """The server's model, with the options of the runs."""
    most = int(OPTIONS["max_batch"])
    return Batching(
        base_ns=round(OPTIONS["base_s"] * S),
        per_request_ns=round(OPTIONS["request_s"] * S),
        per_prefill_token_ns=0,
        max_batch=most,
        idle_w=OPTIONS["idle_w"],
        peak_w=OPTIONS["idle_w"] + OPTIONS["request_w"] * most,
    )


def path_of(arrivals: Ints, stop_ns: int | None = None, stop_s: float = 0.0) -> Path:
    """The path of requests that arrive at these instants.

    Args:
        arrivals: ascending (ns).
        stop_ns: when the server stops; None: it never does.
        stop_s: for how long.
    """

    def serve(released: Ints) -> Path:
        nothing = np.zeros_like(released)
        return server().serve(released, nothing, np.full_like(released, TOKENS))

    return serve(arrivals) if stop_ns is None else stopped(serve, arrivals, stop_ns, round(stop_s * S))


def waiting(scheduled: Ints, most: int, stop_ns: int, stop_s: float) -> Ints:
    """Times of release of a generator with so many connections, each of which waits for its answer before it asks again.

    A request is released when it is due and fewer than `most` are under way. What is released later changes nothing that ended before,
    so that each step of this is exact.
    """
    released = scheduled.copy()
    for place in range(most, len(released)):
        ends: Sequence[int] = sorted(path_of(released[:place], stop_ns, stop_s).last.tolist())
        released[place] = max(int(scheduled[place]), int(released[place - 1]), ends[place - most])
    return released
