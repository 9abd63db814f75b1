"""The talk between the bench and a tool's process. Standard library only: the rivals' environment has nothing of ours.

The bench starts `python with_TOOL.py FOLDER`. The process says `ready` once it could measure; it is then told the windows
as JSON, `[[begin_ns, end_ns], ...]` of the monotonic clock, and says one line of JSON for each once all are over. Windows
overlap: a tool holds several open at a time.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Whatever a tool prints goes to the log; answers go where standard output went.
_answers, sys.stdout = sys.stdout, sys.stderr

Call = tuple[int, int]
"""Instants at which a tool was called and came back (monotonic ns)."""


def folder() -> Path:
    """Where this process may write."""
    return Path(sys.argv[1])


def measure(begin: Callable[[int], None], end: Callable[[int], None]) -> dict[int, tuple[Call, Call]]:
    """Say that this process is ready, and begin and end each window, by its number, when it is time to.

    Returns:
        By number of the window, the calls of `begin` and of `end`.
    """
    print("ready", file=_answers, flush=True)
    windows = json.loads(sys.stdin.readline())
    due = [(t_ns, number, at) for number, edges in enumerate(windows) for at, t_ns in enumerate(edges)]
    calls: dict[tuple[int, int], Call] = {}
    for t_ns, number, at in sorted(due):
        wait_until(t_ns)
        called_ns = time.monotonic_ns()
        (begin, end)[at](number)
        calls[number, at] = called_ns, time.monotonic_ns()
    return {number: (calls[number, 0], calls[number, 1]) for number in range(len(windows))}


def wait_until(t_ns: int) -> None:
    """Sleep until a time of the monotonic clock, to a few tens of microseconds."""
    while (left_ns := t_ns - time.monotonic_ns()) > 0:
        time.sleep(max(left_ns - 300_000, 20_000) / 1e9)


def tell(
    number: int,
    calls: tuple[Call, Call],
    asked_j: float | None,
    own_j: float | None,
    own: tuple[Call, Call] | None = None,
    warnings: tuple[str, ...] = (),
) -> None:
    """The figures that a tool measured.

    Args:
        number: of the window.
        calls: as `measure` gave them.
        asked_j: what the tool says about the window that was asked for, all cards together; None where it says nothing.
        own_j: what it says about the window between its own edges.
        own: within these times its own edges lie; one time twice where the tool states the instant. Without it the
            tool states none, and they lie within the calls.
        warnings: codes of what the tool warns about.
    """
    told = {"number": number, "calls": calls, "asked_j": asked_j, "own_j": own_j, "own": own or calls}
    print(json.dumps({**told, "warnings": warnings}), file=_answers, flush=True)
