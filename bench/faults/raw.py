"""Samplers that break their contract, read by the recorder of the sampling process on a simulated clock."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from bench.faults.kinds import Kind, Told
from llem.measure.power_now import PowerNow
from llem.measure.sampling import Recorder
from llem.measure.series import Series, SeriesReader
from llem.measure.window_figures import window_figures
from llem.results.models import Tokens
from llem.specs.sampler import Device

S = 1_000_000_000
HZ, SECONDS, OPEN_S, CLOSE_S, WATTS = 20, 35, 20, 30, 300.0
START_NS = 1_000 * S
"""The machine has been up for so long."""

Readings = Callable[[int, float], Any]
"""Return value of `read`, by (monotonic ns, seconds since the start)."""

CARD = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}), max_power_w=700)


class Clock:
    """Monotonic time as the recorder sees it, and what the sampler says at that time."""

    now_ns = START_NS
    says: Readings


class Scripted:
    """A sampler that says what the kind has it say."""

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return [CARD]

    def read(self) -> Any:
        return Clock.says(Clock.now_ns, (Clock.now_ns - START_NS) / S)

    def environment(self) -> Mapping[str, object]:
        return {}

    def close(self) -> None: ...


def one(t_ns: Any, seconds: float, device: Any = "GPU-1", **changes: Any) -> SimpleNamespace:
    """An honest reading of a card that draws 300 W with a little noise, changed where a kind wants it."""
    power_w = WATTS * (1 + 0.01 * math.sin(97 * seconds))
    fields = {"device": device, "t_ns": t_ns, "energy_j": WATTS * seconds, "power_w": power_w, "telemetry": {}}
    return SimpleNamespace(**{**fields, **changes})


def recorded(says: Readings) -> Series:
    """The series that reaches the worker from 35 simulated seconds."""
    Clock.says, Clock.now_ns = staticmethod(says), START_NS
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "readings.jsonl").open("ab", buffering=0) as stream:
        with (Path(os.devnull)).open("wb") as nowhere, patch("time.monotonic_ns", lambda: Clock.now_ns):
            recorder = Recorder(stream.fileno(), PowerNow(nowhere.fileno()))
            recorder.open(
                {
                    "worker": os.getpid(),
                    "samplers": [["scripted", f"{__name__}:Scripted"]],
                    "settings": {},
                    "hz": HZ,
                    "start_ns": START_NS,
                }
            )
            with patch("sys.stderr", nowhere_text()):
                for slot in range(HZ * SECONDS):
                    Clock.now_ns = START_NS + slot * S // HZ
                    recorder.read_all(slot)
        return SeriesReader(Path(stream.name)).update()


def nowhere_text() -> Any:
    """The log, which is not what a reader of the result sees."""
    return SimpleNamespace(write=lambda _: None, flush=lambda: None)


def through_the_recorder(says: Readings) -> Told:
    """The result of a window of ten seconds."""
    found = window_figures(
        recorded(says),
        START_NS + OPEN_S * S,
        START_NS + CLOSE_S * S,
        tokens=Tokens(requests=10, input=100, output=1000),
        used=["GPU-1"],
    )
    return Told.of(found, WATTS * (CLOSE_S - OPEN_S))


def _kind(name: str, code: str, word: str, says: Readings) -> Kind:
    return Kind(who="sampler", name=name, code=code, word=word, happen=lambda: through_the_recorder(says))


def _raises(_t_ns: int, _s: float) -> Any:
    raise OSError("the driver is gone")


def _values(value: Any) -> Readings:
    return lambda t, s: [one(t, s, energy_j=value, power_w=value)]


ALL = [
    _kind("NaN instead of numbers", "energy_unmeasured", "nan", _values(math.nan)),
    _kind("infinity instead of numbers", "energy_unmeasured", "inf", _values(math.inf)),
    _kind("text instead of numbers", "energy_unmeasured", "'300 W'", _values("300 W")),
    _kind("true instead of numbers", "energy_unmeasured", "True", _values(True)),
    _kind("None instead of numbers", "energy_unmeasured", "neither energy nor power", _values(None)),
    _kind("None instead of readings", "energy_unmeasured", "NoneType instead of readings", lambda t, s: None),
    _kind(
        "NaN now and then",
        "reading_refused",
        "nan",
        lambda t, s: [one(t, s, power_w=math.nan if int(s * 20) % 7 == 0 else WATTS + math.sin(97 * s))],
    ),
    _kind(
        "a device that it never announced",
        "reading_refused",
        "none of its devices",
        lambda t, s: [one(t, s), one(t, s, "GPU-9")],
    ),
    _kind(
        "only devices that it never announced",
        "energy_unmeasured",
        "none of its devices",
        lambda t, s: [one(t, s, "GPU-9")],
    ),
    _kind(
        "times from the wall clock",
        "energy_unmeasured",
        "ahead of the clock",
        lambda t, s: [one(t + 1_700_000_000 * S, s)],
    ),
    _kind("times in milliseconds", "energy_unmeasured", "behind the clock", lambda t, s: [one(t // 1_000_000, s)]),
    _kind("times in seconds", "energy_unmeasured", "no time in nanoseconds", lambda t, s: [one(t / S, s)]),
    _kind("frozen times", "energy_unmeasured", "older than the window", lambda t, s: [one(START_NS, s)]),
    _kind(
        "times that freeze within the window",
        "energy_unmeasured",
        "before the end of the window",
        lambda t, s: [one(min(t, START_NS + 25 * S), s)],
    ),
    _kind(
        "times that go backwards",
        "energy_unmeasured",
        "behind the clock",
        lambda t, s: [one(2 * START_NS - t - 40 * S, s)],
    ),
    _kind(
        "a clock that is 5 % slow",
        "energy_unmeasured",
        "behind the clock",
        lambda t, s: [one(START_NS + (t - START_NS) * 95 // 100, s)],
    ),
    _kind(
        "a clock that is twice as fast",
        "energy_unmeasured",
        "ahead of the clock",
        lambda t, s: [one(START_NS + (t - START_NS) * 2, s)],
    ),
    _kind(
        "a sampler that raises in the window",
        "sampling_gap",
        "the driver is gone",
        lambda t, s: _raises(t, s) if 22 < s < 25 else [one(t, s)],
    ),
    _kind(
        "a sampler that raises from the window on",
        "energy_unmeasured",
        "the driver is gone",
        lambda t, s: _raises(t, s) if s > 22 else [one(t, s)],
    ),
    _kind(
        "a list of devices that shrinks",
        "energy_unmeasured",
        "before the end of the window",
        lambda t, s: [one(t, s)] if s < 25 else [],
    ),
]
