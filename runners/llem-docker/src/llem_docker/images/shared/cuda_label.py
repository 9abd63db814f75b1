"""Fails where torch is built for another CUDA than the image's label says, which preflight compares with the driver.

It runs while an image is built, so it uses the standard library and what the image holds.
"""

from __future__ import annotations

import importlib.util
import os
import sys


def fault(built: str | None, said: str) -> str | None:
    """The fault in one sentence, or None.

    Args:
        built: the CUDA that torch is built for, such as `13.0`; None where it is built for none.
        said: the label, empty in an image for CPUs.
    """
    found = ".".join((built or "").split(".")[:2])
    return None if found == said else f"torch is built for CUDA {found!r}, IMAGE_CUDA says {said!r}"


if __name__ == "__main__":
    if importlib.util.find_spec("torch") is not None:
        import torch

        sys.exit(fault(torch.version.cuda, os.environ.get("IMAGE_CUDA", "")))
