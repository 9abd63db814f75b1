"""Random streams of a load: one for its arrivals and one for each user, of their own in each cycle.

The rate, the span and everything else of a configuration stay out of the seed, so that all configurations of a cycle are
compared on the same random numbers.
"""

from __future__ import annotations

from numpy.random import Generator, SeedSequence, default_rng

_ARRIVALS, _USERS = 0, 1


def arrivals_stream(seed: int, cycle: int) -> Generator:
    """The stream that gaps of arrival are drawn from."""
    return default_rng(SeedSequence((seed, cycle), spawn_key=(_ARRIVALS,)))


def user_stream(seed: int, cycle: int, user: int) -> Generator:
    """The stream of one user, counted from 0."""
    return default_rng(SeedSequence((seed, cycle), spawn_key=(_USERS, user)))
