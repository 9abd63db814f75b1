"""The addition to pytest, by the entry point `llem_plugin_kit` of `pytest11`: failures of the conformance suites explain themselves."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "llem_plugin_kit.backend", "llem_plugin_kit.check", "llem_plugin_kit.runner", "llem_plugin_kit.sampler"
)
