"""How the bench talks with a tool's process. Standard library only: the rivals' environment has nothing of ours.

The bench starts `python with_TOOL.py FOLDER`. The process says `ready` once it could measure; it is then told the windows
as JSON, `[[begin_ns, end_ns], ...]` of the monotonic clock, and says one line of JSON for each.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Whatever a tool prints goes to the log; answers go where standard output went.
_answers, sys.stdout = sys.stdout, sys.stderr


def folder() -> Path:
    """Where this process may write."""
    return Path(sys.argv[1])


def windows() -> Iterator[tuple[int, Callable[[], None]]]:
    """Say that this process is ready; then number each window when it is time to begin it, with a wait for its end."""
    print("ready", file=_answers, flush=True)
    for number, (begin_ns, end_ns) in enumerate(json.loads(sys.stdin.readline())):
        wait_until(begin_ns)
        yield number, lambda end_ns=end_ns: wait_until(end_ns)


def wait_until(t_ns: int) -> None:
    """Sleep until a time of the monotonic clock, to a few tens of microseconds."""
    while (left_ns := t_ns - time.monotonic_ns()) > 0:
        time.sleep(max(left_ns - 300_000, 20_000) / 1e9)


def tell(
    number: int, energy_j: float, begin: tuple[int, int], end: tuple[int, int], warnings: tuple[str, ...] = ()
) -> None:
    """What a tool measured.

    Args:
        number: of the window.
        energy_j: all cards together.
        begin, end: within these times the window began and ended: when the tool was called, and when it came back. One
            time twice where the tool itself says to which instants its figure belongs.
        warnings: codes of what the tool warns about.
    """
    told = {"number": number, "energy_j": energy_j, "begin": begin, "end": end, "warnings": warnings}
    print(json.dumps(told), file=_answers, flush=True)
