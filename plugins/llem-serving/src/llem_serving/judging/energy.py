"""The window's energy over what came out of it. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from llem_serving.judging.tokens import tokens_inside
from llem_serving.requests import ServedRequest


def j_per_good_token(energy_j: float | None, good_tokens: int) -> float | None:
    """Window energy over good tokens (METHOD.md, "SLO"); None without energy, and where no token was good."""
    return _over(energy_j, good_tokens)


def j_per_output_token(energy_j: float | None, output_tokens: int) -> float | None:
    """Window energy over the output tokens that were given out inside it; None without energy or tokens."""
    return _over(energy_j, output_tokens)


def j_per_request(energy_j: float | None, completed: int) -> float | None:
    """Window energy over the requests that were completed inside it; None without energy, and where none was."""
    return _over(energy_j, completed)


def energy_shares(
    requests: Sequence[ServedRequest],
    energy_j: float,
    open_ns: int,
    close_ns: int,
    *,
    tokens: Sequence[int] | None = None,
) -> list[float] | None:
    """A share of the window's energy for each request, by its output tokens inside the window.

    It is a division of what all used together, and no measurement of a request: prefill, waiting and idle power are spread over
    tokens alike. The shares add up to the window's energy. None where no token was given out.

    Args:
        requests: all that had tokens given out inside, whenever they arrived.
        energy_j: of the window.
        open_ns, close_ns: the window.
        tokens: of each request, its output tokens inside where they have been counted; None counts them.
    """
    counts = [tokens_inside(one, open_ns, close_ns) for one in requests] if tokens is None else tokens
    whole = sum(counts)
    return [energy_j * count / whole for count in counts] if whole else None


def _over(energy_j: float | None, count: int) -> float | None:
    return None if energy_j is None or count <= 0 else energy_j / count
