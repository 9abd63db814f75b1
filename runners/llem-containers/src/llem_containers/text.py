"""A container's text made fit for a log: without secrets and without what steers a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_BYTES = 64 * 2**20
"""Most bytes that a log may take."""
_STEERING = re.compile(
    rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)


def clean(text: bytes, secrets: Sequence[bytes]) -> bytes:
    """Text without secrets, and without control characters but line ends and tabs."""
    for secret in secrets:
        text = text.replace(secret, b"***")
    return _STEERING.sub(b"", text)
