"""Baselines that were not idle, and neighbours on the machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from sim.meters import GPU, Bench, Load, Meter

from bench.faults.kinds import Kind, Told
from bench.faults.meters import BENCH, CARD, RAPL
from llem.config.experiment import BaselineConfig, MeasurementConfig
from llem.measure.baseline import BaselineCache, IdlePower, boot_clock_s
from llem.measure.baseline_checks import usable_idle_w
from llem.measure.cpu_time import Instant, Process
from llem.measure.disturbances import disturbance_warnings
from llem.measure.draft import Draft
from llem.measure.idle import IdleBaseline, cache_identity
from llem.measure.meter import Meter as RealMeter
from llem.measure.other_load import Share, is_of_the_machine, load_warnings, mark_machine_wide, share_between
from llem.results.job_directory import EventLog
from llem.results.models import ResultWarning
from llem.specs.sampler import Device

HZ, S = 100, 1_000_000_000
UNUSED_S = 0.6
"""A cached baseline is held against so long a look at the machine."""


def idle_run(
    watts: float,
    *,
    device: Device = GPU,
    window_w: float | None = None,
    resident_w: float | None = None,
    cached_w: float | None = None,
    age_s: float = 60.0,
) -> Told:
    """A baseline through its phase, its cache, and the checks that come later, to the window's figures."""
    with tempfile.TemporaryDirectory() as folder, patch("platformdirs.user_cache_path", lambda _: Path(folder)):
        warned: list[ResultWarning] = []
        told: list[tuple[str, str]] = []
        draft = SimpleNamespace(
            events=EventLog(Path(folder) / "events.jsonl"),
            warnings=warned,
            environment={},
            warn=lambda code, message: warned.append(ResultWarning(code=code, message=message)),
            tell=lambda code, message: told.append((code, message)),
        )
        facts = {"nvml": {"gpus": [{"uuid": device.id, "power_limit_w": device.max_power_w}]}}
        meter = SimpleNamespace(devices=[device], environment=lambda: facts, mean_power=lambda a, b: {device.id: watts})
        if cached_w is not None:
            cache = BaselineCache(Path(folder), cache_identity([device], None, facts))
            idle = IdlePower(idle_w={device.id: cached_w}, duration_s=30, measured_at_s=boot_clock_s() - age_s)
            cache.store(idle)
        config = BaselineConfig(duration_s=UNUSED_S, cache=cached_w is not None)
        phase = IdleBaseline(config, MeasurementConfig(), cast(RealMeter, meter), cast(Draft, draft))
        phase.take()
        if resident_w is not None:
            phase.check({device.id: resident_w}, 10.0, "power with the model loaded")
        card = Meter(device=device, period_s=0.1 if device is GPU else 0.001)
        bench = BENCH if window_w is None else replace(BENCH, load=Load([(1e9, window_w)]))
        mean_w = bench.truth_j / 10
        phase.check({device.id: mean_w}, 10.0, "mean power of the window")
        found = bench.figures(card, idle_w=usable_idle_w(phase.result))
        assert all(d.adjusted_j is None or d.adjusted_j >= 0 for d in found.energy.devices)
        return Told.of(found, bench.truth_j, *((w.code, w.message) for w in warned), *told)


def _baseline(name: str, code: str, word: str, watts: float, **more: Any) -> Kind:
    return Kind(who="baseline", name=name, code=code, word=word, happen=lambda: idle_run(watts, **more))


def _process(pid: int, used: int, name: str) -> Process:
    return Process(pid, name, 1, used, 0, 0)


def neighbour(share: float, *, stolen: float = 0.0, counted: float = 1.0, cores: int = 16) -> Told:
    """Somebody else's programs on 16 cores for ten seconds, beside an engine that takes two of them."""
    room = 10 * HZ * cores
    own, theirs = room // 8, round(room * share)
    mine, other = _process(7, 0, "llem"), _process(8, 0, "blender")

    def at(seconds: float, part: float) -> Instant:
        return Instant(
            t_ns=round(seconds * S),
            cores=cores,
            busy=round(part * (own + theirs)),
            counted=round(part * room * counted),
            stolen=round(part * room * stolen),
            tree={mine.key: replace(mine, used=round(part * own))},
            hosts={},
            others={other.key: replace(other, used=round(part * theirs))},
        )

    window: Share = share_between(at(0, 0.0), at(10, 1.0), HZ)
    truth = Load([(20, 30.0), (1e9, 100.0)])
    meter = replace(RAPL, gain=1 + 2 * share)
    bench = Bench(load=truth)
    found = bench.figures(meter)
    if window.is_doubtful:
        mark_machine_wide(found.energy)
    scopes = {d.scope for d in found.energy.devices if d.energy_j is not None and is_of_the_machine(d)}
    said = [(w.code, w.message) for w in load_warnings(window, scopes)]
    if window.reason is not None:
        said.append(("unknown", window.reason))
    return Told.of(found, bench.truth_j, *said)


def _disturbed(change: Callable[[Any], None]) -> Told:
    series = BENCH.read(CARD)
    change(series)
    found = BENCH.figures(CARD)
    said = disturbance_warnings(series, 20 * S, 30 * S, ["GPU-1"])
    return Told.of(found, BENCH.truth_j, *((w.code, w.message) for w in said))


def _on_the_card(series: Any) -> None:
    series.foreign.append((18 * S, {("meter", "GPU-1"): {4711: "blender"}}))


def _slept(series: Any) -> None:
    series.suspended_ns = 40 * S
    series.suspensions.append((25 * S, 40 * S))


def _slow(series: Any) -> None:
    series.hz = 60.0


def _named(who: str, name: str, code: str, word: str, happen: Callable[[], Told]) -> Kind:
    return Kind(who=who, name=name, code=code, word=word, happen=happen)


ALL = [
    _baseline("an idle baseline above the window's power", "baseline_doubtful", "below its idle power", 320.0),
    _baseline("a negative idle baseline", "baseline_doubtful", "negative", -12.0),
    _baseline("an idle baseline of 0 W", "baseline_doubtful", "stands still", 0.0),
    _baseline("an idle baseline that is NaN", "baseline_doubtful", "no power", float("nan")),
    _baseline("an idle baseline above the card's limit", "baseline_doubtful", "above its limit", 900.0),
    _baseline(
        "an idle baseline above resident power", "baseline_doubtful", "with the model loaded", 120.0, resident_w=70.0
    ),
    _baseline(
        "a baseline under load, beside an honest look at rest",
        "baseline_doubtful",
        "with the model loaded",
        200.0,
        resident_w=70.0,
    ),
    _baseline(
        "idle power a little above the window's", "baseline_doubtful", "below its idle power", 61.0, window_w=60.0
    ),
    _baseline("a cached baseline that was taken under load", "baseline_discarded", "draws now", 60.0, cached_w=200.0),
    _named("neighbour", "a neighbour on 6 % of the CPU", "other_load", "blender", lambda: neighbour(0.06)),
    _named("neighbour", "a neighbour on 60 % of the CPU", "other_load", "blender", lambda: neighbour(0.60)),
    _named(
        "neighbour",
        "another virtual machine that takes 10 %",
        "cpu_stolen",
        "virtual machines",
        lambda: neighbour(0.0, stolen=0.1),
    ),
    _named("neighbour", "a process on the card", "gpu_shared", "4711 (blender)", lambda: _disturbed(_on_the_card)),
    _named(
        "host", "a host that sleeps in the window", "host_suspended", "suspended for 40 s", lambda: _disturbed(_slept)
    ),
    _named(
        "host", "a host too busy to read its meters", "slow_sampling", "instead of every", lambda: _disturbed(_slow)
    ),
]
