"""Output tokens of a request where they were given out."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from llem_serving.judging.window import Window
from llem_serving.requests import ServedRequest


def tokens_inside(request: ServedRequest, open_ns: int, close_ns: int) -> int:
    """Output tokens that were given out after `open_ns` and up to `close_ns`, also of a request that was never answered whole.

    Where the answer came in pieces whose tokens nobody counted, its tokens are spread over these as they came; where only the first
    and the last time were seen, evenly between them; where one time was seen, all are given out then.
    """
    return _given_out(request, close_ns) - _given_out(request, open_ns)


def tokens_by_part(request: ServedRequest, window: Window) -> list[int]:
    """The same for each part of a window; they add up to the window's."""
    reached = [_given_out(request, edge) for edge in window.edges]
    return [later - earlier for earlier, later in pairwise(reached)]


def _given_out(request: ServedRequest, at_ns: int) -> int:
    """Output tokens up to a moment."""
    tokens = request.output_tokens
    if request.token_ns is not None and len(request.token_ns):
        return tokens * bisect_right(request.token_ns, at_ns) // len(request.token_ns)
    seen = [edge for edge in (request.first_ns, request.last_ns) if edge is not None]
    if not seen or at_ns < seen[0]:
        return 0
    if at_ns >= seen[-1] or tokens < 2:
        return tokens
    return (at_ns - seen[0]) * (tokens - 1) // (seen[-1] - seen[0]) + 1
