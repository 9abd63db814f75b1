"""A load on the loadbed in virtual time, and what its meter reads meanwhile: 20 times a second, and at the edges of the window."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from driven_load import PlainWindow, drive_of
from virtual_loop import run_virtually

from llem.measure.energy import window_energy
from llem.measure.series import Series, Track
from llem.plugin_api import Request
from llem_serving.config import LoadConfig
from llem_serving.course import Course

SAMPLES_HZ = 20


@dataclass
class MeteredWindow(PlainWindow):
    """A window whose edges the meter is read at, as llem's own are."""

    meter: Any = None
    series: Series = field(default_factory=lambda: Series(hz=SAMPLES_HZ))

    def begin(self) -> None:
        """Find the meter's device."""
        (device,) = self.meter.open({})
        self.series.tracks.append(Track("loadbed", device))

    def read(self) -> tuple[int, float]:
        """One reading, which is kept."""
        (one,) = self.meter.read()
        self.series.tracks[0].append(one.t_ns, one.energy_j, one.power_w, {})
        return one.t_ns, one.energy_j

    async def sample(self) -> None:
        """Read for ever."""
        while True:
            self.read()
            await asyncio.sleep(1 / SAMPLES_HZ)

    def open(self) -> int:
        return self._edge(super().open())

    def close(self) -> int:
        return self._edge(super().close())

    def _edge(self, t_ns: int) -> int:
        self.series.edges[t_ns] = {self.series.tracks[0].key: self.read()}
        return t_ns


@dataclass(frozen=True)
class Driven:
    """A load that has ended, and the energy of its window by llem's arithmetic."""

    course: Course
    energy_j: float


def driven_on_loadbed(options: Mapping[str, Any], tokens: int, load: LoadConfig) -> Driven:
    """Drive a load of answers of so many tokens; the folder `loadbed` is on the path."""
    from llem_loadbed import LoadbedConfig, LoadbedEngine, LoadbedMeter

    requests: Sequence[Request] = [Request(id=one, output_tokens=tokens, prompt="hi") for one in range(50)]

    async def drive() -> Driven:
        engine, window = LoadbedEngine(), MeteredWindow(meter=LoadbedMeter())
        config = SimpleNamespace(options=LoadbedConfig(**options))
        engine.load(cast("Any", SimpleNamespace(config=config, job_dir=None)))
        window.begin()
        samples = asyncio.create_task(window.sample())
        course = await drive_of(engine, requests, load, window=window).run()
        window.read()
        samples.cancel()
        (found,) = window_energy(window.series, course.open_ns, course.close_ns)
        assert found.energy_j is not None
        assert time.monotonic_ns() > course.close_ns
        return Driven(course, found.energy_j)

    return run_virtually(drive)
