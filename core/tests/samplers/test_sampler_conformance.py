"""llem's own samplers hold what `llem_plugin_kit` asks of every sampler, on meters of known behaviour."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from llem.samplers.rapl import RaplSampler
from llem_plugin_kit import SamplerConformance

pytestmark = pytest.mark.process

_ZONES = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "package-1"}


class TestEstimate(SamplerConformance):
    sampler = "estimate"
    settings: ClassVar = {"devices": None, "cpu_tdp_w": 65.0}


class TestRapl(SamplerConformance):
    """On a powercap tree of real files, whose counters a thread advances, and wraps around."""

    sampler = "rapl"
    elsewhere = """
import os, pathlib
from llem.samplers.rapl import RaplSampler
RaplSampler.root = pathlib.Path(os.environ["POWERCAP_OF_TEST"])
"""

    @pytest.fixture
    def meter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for folder, name in _ZONES.items():
            zone = tmp_path / folder
            zone.mkdir()
            (zone / "name").write_text(f"{name}\n")
            (zone / "max_energy_range_uj").write_text("1000000\n")
        ended = threading.Event()

        def show(energy_uj: int) -> None:
            for folder in _ZONES:
                temporary = tmp_path / folder / ".new"
                temporary.write_text(f"{energy_uj % 1_000_000}\n")
                temporary.replace(tmp_path / folder / "energy_uj")

        def advance() -> None:
            for energy_uj in itertools.count(720_000, 20_000):
                show(energy_uj)
                if ended.wait(0.02):
                    return

        show(700_000)
        monkeypatch.setattr(RaplSampler, "root", tmp_path)
        monkeypatch.setenv("POWERCAP_OF_TEST", str(tmp_path))
        thread = threading.Thread(target=advance)
        thread.start()
        yield
        ended.set()
        thread.join()
