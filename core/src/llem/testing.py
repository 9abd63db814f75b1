"""The conformance suites by their first name. They live in llem-plugin-kit: `from llem_plugin_kit import …`."""

from __future__ import annotations

from typing import Any

from llem.distributions import attribute_of


def __getattr__(name: str) -> Any:
    return attribute_of("llem_plugin_kit", name, __name__)
