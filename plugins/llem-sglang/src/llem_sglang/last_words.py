"""The cause of a failure out of SGLang's log. Pure functions over text."""

from __future__ import annotations

import re

_MOST = 300
_ERROR = re.compile(r"^(?:\[[^\]]*\]\s*)*((?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*)$")
"""The last line of a traceback, which SGLang may put its own stamp in front of."""

_STAMP = re.compile(r"^\[\d{4}-\d\d-\d\d [^\]]*\]\s*")
_AFTERMATH = ("Received sigquit", "kill_process_tree", "Traceback (most", "resource_tracker")
"""Lines that tell what followed from a failure, and not why it was."""


def cause_in(log: str) -> str | None:
    """The error that the end of a log names last, else its last line; None where it says nothing."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [match[1] for line in lines if (match := _ERROR.match(line))]
    told = errors or [_STAMP.sub("", line) for line in lines if not any(word in line for word in _AFTERMATH)]
    return told[-1].rstrip(".")[:_MOST] if told else None
