"""The pauses of users who each wait for an answer before they ask again."""

from __future__ import annotations

from collections.abc import Iterator

from llem_serving.arrivals.seeding import user_stream
from llem_serving.config import LoadConfig


def think_times(load: LoadConfig, cycle: int, user: int) -> Iterator[float]:
    """Pauses of one user (s), without end: first from the start of the load to the first request, then `load.think_s` after
    every answer, the same each time.

    Users would stay in lockstep for ever if they began together. So the first pauses spread over `think_s` (a user who is
    found thinking has a rest of it left that is uniform) or over `ramp_s`, the longer of the two: each user has an equal
    share of that stretch, and begins at a random place in it. Where both are 0 all begin at once.

    Args:
        load: a section with `concurrency`.
        cycle: which repetition, from 1; each draws its own starts.
        user: from 0.

    Raises:
        ValueError: there is no such user.
    """
    if load.concurrency is None or not 0 <= user < load.concurrency:
        raise ValueError(f"no user {user} of {load.concurrency}")
    stretch_s = max(load.think_s, load.ramp_s)
    place = (user + float(user_stream(load.seed, cycle, user).random())) / load.concurrency
    return _pauses(min(place, 1.0) * stretch_s, load.think_s)


def _pauses(start_s: float, think_s: float) -> Iterator[float]:
    yield start_s
    while True:
        yield think_s
