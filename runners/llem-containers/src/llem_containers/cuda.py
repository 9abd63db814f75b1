"""Judges of CUDA in an image on a driver: NVIDIA's compatibility rules, as functions over versions.

Source: NVIDIA, "CUDA Compatibility" (backward, minor-version and forward compatibility).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Version = tuple[int, int]


@dataclass(frozen=True)
class Verdict:
    """A judgement: it runs, or the reason why not.

    Attributes:
        level: `ok`, `warning` where it runs with a condition, `error` where it does not.
        rule: the rule that applies, a clause.
        remedy: what to do, or None.
    """

    level: Literal["ok", "warning", "error"]
    rule: str
    remedy: str | None = None


def parse(text: str | None) -> Version | None:
    """`13.0`, `12.8.90` or `cu128` as (major, minor); None for what is no version of CUDA."""
    found = re.match(r"(?:cu)?(\d{2})[.]?(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None


def judge(image: Version, driver: Version, *, forward_package: bool) -> Verdict:
    """The judgement on an image's CUDA and a driver.

    Args:
        image: the CUDA that the engine inside was built for.
        driver: the highest CUDA that the driver supports.
        forward_package: the image brings NVIDIA's forward-compatibility package (`cuda-compat`).
    """
    if image <= driver:
        return Verdict("ok", "backward compatibility: a driver runs every CUDA up to its own")
    if image[0] == driver[0]:
        return Verdict(
            "warning",
            f"minor-version compatibility: within CUDA {image[0]} the driver runs it, except kernels that are compiled "
            "from PTX on the spot",
            f"Where a kernel fails with `unsupported PTX`, update the driver to one for CUDA {_text(image)}.",
        )
    if forward_package:
        return Verdict(
            "warning",
            "forward compatibility: the image's cuda-compat package stands in for the driver, on data-centre cards only",
            f"On other cards, update the driver to one for CUDA {_text(image)}.",
        )
    return Verdict(
        "error",
        "no rule allows it: minor-version compatibility ends at the major version, and the image brings no cuda-compat package",
        f"Update the driver to one for CUDA {image[0]}, or use an image for CUDA {driver[0]}.",
    )


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
