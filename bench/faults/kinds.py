"""A kind of misbehaviour: what happens, and what the result has to say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llem.measure.window_figures import WindowFigures
from llem.results.models import EnergyFigure
from llem_analysis.warning_codes import kind_of

WRONG = 0.02
"""A headline this far from the truth is a wrong one."""

FAILED = "failed"
"""In the place of a code: the experiment fails, and its message names the cause."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A result's figures and warnings.

    Attributes:
        said: code and message of each warning, and `failed` with its message.
        figure_j: the headline that stands; None where there is none, or where energy is not what went wrong.
        truth_j: what it should be.
        is_unreliable: the headline calls itself so.
    """

    said: Sequence[tuple[str, str]]
    figure_j: float | None = None
    truth_j: float | None = None
    is_unreliable: bool = False

    @classmethod
    def of(cls, found: WindowFigures, truth_j: float, *more: tuple[str, str]) -> Told:
        """The verdict of the window's figures, with warnings from beside them."""
        headline: EnergyFigure | None = found.energy.headline
        return cls(
            said=[*((w.code, w.message) for w in found.warnings), *more],
            figure_j=headline.energy_j if headline is not None else None,
            truth_j=truth_j,
            is_unreliable=headline is not None and headline.unreliable,
        )


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way to misbehave.

    Attributes:
        name: of the kind, unique; who: meter, counter, baseline, engine or neighbour.
        code: the warning that has to be there; word: stands in its message, and names the cause.
        happen: lets it happen, and returns what the result says.
    """

    who: str
    name: str
    code: str
    word: str
    happen: Callable[[], Told]


def unmarked(kind: Kind, told: Told) -> str | None:
    """The reason for which a reader would be misled; None where the result names the cause and no wrong figure stands unmarked."""
    named = [message for code, message in told.said if code == kind.code]
    if not named:
        return f"no `{kind.code}` among {sorted({code for code, _ in told.said}) or 'no warnings'}"
    if not any(kind.word in message for message in named):
        return f"`{kind.code}` does not speak of {kind.word!r}: {named[0]}"
    if told.figure_j is None or told.truth_j is None or abs(told.figure_j / told.truth_j - 1) <= WRONG:
        return None
    marked = told.is_unreliable or any(
        code != FAILED and kind_of(code).weight != "inform" and {"energy", "machine_energy"} & kind_of(code).touches
        for code, _ in told.said
    )
    return None if marked else f"{told.figure_j:.6g} J stand for {told.truth_j:.6g} J, and nothing marks them"
