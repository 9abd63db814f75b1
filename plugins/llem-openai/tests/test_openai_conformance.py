"""The backend holds what `llem_plugin_kit` asks of every backend, whatever its server tells of tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit import BackendConformance, CheckConformance

sys.path.insert(0, str(Path(__file__).parent))
from openai_server import VOCABULARY, Behaviour, serving

pytestmark = pytest.mark.process


class OnAServer(BackendConformance):
    backend = "openai"
    model = "small"
    broken_model = "another"
    behaviour: ClassVar[Behaviour]

    @pytest.fixture(scope="class")
    @classmethod
    def given(cls) -> Iterator[Mapping[str, Any]]:
        with serving(cls.behaviour) as address:
            yield {"base_url": address, **cls.options}


class TestAServerThatCountsEachChunk(OnAServer):
    behaviour = Behaviour()
    options: ClassVar = {"vocab_size": VOCABULARY}


class TestAServerThatCountsSeveralTokensInAChunk(OnAServer):
    behaviour = Behaviour(a_piece=3)
    options: ClassVar = {"vocab_size": VOCABULARY}


class TestAServerThatSendsPiecesOfText(OnAServer):
    behaviour = Behaviour(counts=False, a_piece=3)


class TestNobodyThere(CheckConformance):
    check = "openai-server"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        from llem.config.compose import Composer
        from llem.plugins import default_registry

        document = {"model": "small", "backend": "openai", "openai": {"base_url": "http://127.0.0.1:1/v1"}}
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        return PreflightContext(
            registry=default_registry(), experiments=[config], runners={"openai": "local"}, base_dir=tmp_path
        )
