"""The window with its parts.

Whatever arrives at the opening arrives inside; whatever is given out or ends at the opening was before it, and at the close is
inside, as for every window of llem. So nothing is counted twice in neighbouring parts.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Window:
    """A measured window. Times are monotonic ns.

    Attributes:
        open_ns, close_ns: its edges.
        parts: number of its equal parts.

    Raises:
        ValueError: it has no length, or no part.
    """

    open_ns: int
    close_ns: int
    parts: int = 1

    def __post_init__(self) -> None:
        if self.close_ns <= self.open_ns or self.parts < 1:
            raise ValueError("a window has a length and at least one part")

    @property
    def length_s(self) -> float:
        """From edge to edge."""
        return (self.close_ns - self.open_ns) / 1e9

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """The edges of its parts, one more than there are parts."""
        length = self.close_ns - self.open_ns
        return tuple(self.open_ns + length * place // self.parts for place in range(self.parts + 1))

    def part_of_arrival(self, at_ns: int) -> int | None:
        """The part in which something arrives, from 1; None outside of the window."""
        return bisect_right(self.edges, at_ns) if self.arrives_inside(at_ns) else None

    def arrives_inside(self, at_ns: int) -> bool:
        """True where something that arrives then does so inside: at the opening, and no more at the close."""
        return self.open_ns <= at_ns < self.close_ns

    def ends_inside(self, at_ns: int | None) -> bool:
        """True where this end lies inside; False for None."""
        return at_ns is not None and self.open_ns < at_ns <= self.close_ns
