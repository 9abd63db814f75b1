"""The analysis by its first name. It lives in llem-analysis: `from llem_analysis import …`."""

from __future__ import annotations

from typing import Any

from llem.distributions import attribute_of


def __getattr__(name: str) -> Any:
    return attribute_of("llem_analysis", name, __name__)
