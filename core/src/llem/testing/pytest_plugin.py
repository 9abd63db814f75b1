"""What llem adds to pytest, by the entry point `llem` of `pytest11`: failures of the conformance suites explain themselves."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "llem.testing.backend", "llem.testing.check", "llem.testing.runner", "llem.testing.sampler"
)
