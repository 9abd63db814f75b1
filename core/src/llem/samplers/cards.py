"""Reads GPUs one after another, each stamped at the middle of its own reading."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from llem.specs.sampler import Reading


class Card(Protocol):
    """One GPU, or its module, as a sampler reads it; None is what it does not tell."""

    @property
    def id(self) -> str:
        """Of the device that it is read as."""

    def energy_j(self) -> float | None:
        """Its cumulative energy (J)."""

    def power_w(self) -> float | None:
        """Its power (W)."""

    def telemetry(self, now_ns: int) -> Mapping[str, float]:
        """Temperature, clocks and the like at this time."""


def read_cards(cards: Iterable[Card]) -> list[Reading]:
    """A reading of each card. One that says nothing is still listed: its silence must be seen where its energy was counted."""
    readings = []
    for card in cards:
        before = time.monotonic_ns()
        energy_j, power_w = card.energy_j(), card.power_w()
        t_ns = (before + time.monotonic_ns()) // 2
        readings.append(Reading(card.id, t_ns, energy_j, power_w, card.telemetry(t_ns)))
    return readings


def count_cards(cards: Iterable[Card]) -> dict[str, tuple[int, float]]:
    """Cumulative energy alone, as fast as the driver answers: UUID to (monotonic ns, joules)."""
    return _one_of_each((card.id, card.energy_j) for card in cards)


def power_cards(cards: Iterable[Card]) -> dict[str, tuple[int, float]]:
    """Power alone, as fast as the driver answers: UUID to (monotonic ns, watts)."""
    return _one_of_each((card.id, card.power_w) for card in cards)


def _one_of_each(reads: Iterable[tuple[str, Callable[[], float | None]]]) -> dict[str, tuple[int, float]]:
    """One quantity of each card, stamped at the middle of its own reading; of a card that tells none nothing."""
    found = {}
    for card_id, read in reads:
        before = time.monotonic_ns()
        value = read()
        if value is not None:
            found[card_id] = ((before + time.monotonic_ns()) // 2, value)
    return found
