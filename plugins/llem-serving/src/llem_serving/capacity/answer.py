"""The answer of a search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A rate with its bracket: where the runs leave it, by the model of `crossing`.

    How often it holds the truth is known of one simulated server alone.

    Attributes:
        rate_rps: the estimate, never outside of the rates that ran; None where the runs tell none.
        low_rps: end of the bracket; 0 where nothing bounds it.
        high_rps: end of the bracket; infinite where nothing bounds it.
        runs: number of runs that it rests on.
        why: a sentence on why the search ended, or what it still needs.
        beyond: sentences on what the model has outside of the rates that ran; empty where that is nothing.
    """

    rate_rps: float | None
    low_rps: float
    high_rps: float
    runs: int
    why: str
    beyond: str = ""

    @property
    def said(self) -> str:
        """All its sentences."""
        return " ".join(filter(None, (self.why, self.beyond)))


def percent(share: float) -> str:
    """A share in percent, for people."""
    return f"{share * 100:.5g} %"
