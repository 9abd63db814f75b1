"""The sampler `file-meter` holds what llem asks of every sampler, on a file that is written meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llem.plugin_api import SamplerUnavailable
from llem_file_meter.sampler import FILE, STALE_S, FileMeterSampler
from llem_plugin_kit import SamplerConformance

WATTS = 120.5


class TestFileMeter(SamplerConformance):
    sampler = "file-meter"

    @pytest.fixture
    def meter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        file, ended = tmp_path / "meter", threading.Event()

        def write() -> None:
            half = tmp_path / ".meter"
            half.write_text(f"{WATTS} {WATTS * time.monotonic():.6f}\n")
            half.replace(file)

        def keep_writing() -> None:
            while not ended.wait(0.02):
                write()

        write()
        monkeypatch.setenv(FILE, str(file))
        thread = threading.Thread(target=keep_writing)
        thread.start()
        yield
        ended.set()
        thread.join()


@pytest.mark.parametrize("text", ["", "many", "1 2 3", "nan", "-5", "inf"])
def test_what_is_no_figure_is_no_reading(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "meter"
    monkeypatch.setenv(FILE, str(file))
    file.write_text("120\n")
    sampler = FileMeterSampler()
    sampler.open({})
    assert [(r.power_w, r.energy_j) for r in sampler.read()] == [(120.0, None)]
    file.write_text(text)
    assert list(sampler.read()) == []


def test_a_file_that_nobody_writes_any_more_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "meter"
    file.write_text("120\n")
    monkeypatch.setenv(FILE, str(file))
    os.utime(file, (0, time.time() - 2 * STALE_S))
    with pytest.raises(SamplerUnavailable, match="not written"):
        FileMeterSampler().open({})
