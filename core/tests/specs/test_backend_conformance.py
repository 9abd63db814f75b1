"""The conformance kit passes on an honest backend, and catches dishonest ones."""

from __future__ import annotations

from typing import ClassVar

import pytest
from llem_testbed import TestbedEngine

from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit import BackendConformance

pytestmark = pytest.mark.process


class TestTestbedConforms(BackendConformance):
    backend = "testbed"
    model = "random:tiny-llama"
    options: ClassVar = {"batch_size": 2, "token_s": 0.0}
    broken_model: ClassVar = None  # it loads none


@pytest.mark.parametrize("name", [n for n in dir(BackendConformance) if n.startswith("test_")])
def test_every_conformance_test_says_what_it_asks(name: str) -> None:
    assert len(name.split("_")) >= 4


def test_the_kit_catches_a_backend_that_pads_its_count() -> None:
    kit = TestTestbedConforms()

    class Padding(TestbedEngine):
        def _record(self, request, start, times):  # type: ignore[no-untyped-def]
            from dataclasses import replace

            return replace(super()._record(request, start, times), input_tokens=9)

    engine = Padding()
    from llem.config.compose import Composer
    from llem.plugin_api import LoadContext
    from llem.plugins import default_registry

    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(
        {"model": "random:tiny-llama", "backend": "testbed"}
    )
    report = engine.load(LoadContext(config=config, base_dir=".", progress=lambda _: None))
    with pytest.raises(AssertionError):
        kit.test_input_is_counted_without_padding((engine, report))
