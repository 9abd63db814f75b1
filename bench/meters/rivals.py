"""The environment with the two other tools, at fixed versions: made once, in the user's cache."""

from __future__ import annotations

from pathlib import Path

from bench.tools import interpreter

PINS = ("zeus==0.16.0", "codecarbon==3.3.2", "nvidia-ml-py==13.615.71")


def python() -> Path:
    """Its interpreter."""
    return interpreter("meters", PINS)
