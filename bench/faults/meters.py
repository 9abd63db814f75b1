"""Counters and sensors that lie, on a simulated clock, through the gate that the worker uses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sim.meters import GPU, IDLE_THEN_WORK, PACKAGE, WALL, Bench, Load, Meter, S

from bench.faults.kinds import Kind, Told
from llem.measure.window_figures import window_figures
from llem.results.models import Tokens

BENCH = Bench(load=IDLE_THEN_WORK)
LONG = replace(BENCH, close_s=80, seconds=85)
CARD = Meter(device=GPU, period_s=0.1, noise=0.03)
COUNTER_CARD = replace(CARD, device=replace(GPU, methods=frozenset({"counter"})))
SENSOR_CARD = replace(CARD, device=replace(GPU, methods=frozenset({"power"}), update_period_s=None))
RAPL = Meter(device=PACKAGE, period_s=0.001, quantum_j=15.26e-6)
WALL_METER = Meter(device=WALL, power_step_w=0.1, noise=0.01)
ESTIMATE = Meter(
    device=replace(PACKAGE, id="estimate:cpu", methods=frozenset({"estimate"}), update_period_s=0.01, max_power_w=400)
)

Lie = Callable[[float, float], float | None]


def _named(meter: Meter, id_: str, **changes: Any) -> Meter:
    return replace(meter, device=replace(meter.device, id=id_, **changes))


def _of(*meters: Meter, bench: Bench = BENCH, truth_j: float | None = None, **more: Any) -> Callable[[], Told]:
    return lambda: Told.of(bench.figures(*meters, **more), bench.truth_j if truth_j is None else truth_j)


def _counter(name: str, code: str, word: str, lie: Lie, meter: Meter = CARD, **more: Any) -> Kind:
    return Kind(who="counter", name=name, code=code, word=word, happen=_of(meter.lying(counter=lie), **more))


def _power(name: str, code: str, word: str, lie: Lie, meter: Meter = SENSOR_CARD, **more: Any) -> Kind:
    return Kind(who="meter", name=name, code=code, word=word, happen=_of(meter.lying(power=lie), **more))


def _meter(name: str, code: str, word: str, *meters: Meter, **more: Any) -> Kind:
    return Kind(who="meter", name=name, code=code, word=word, happen=_of(*meters, **more))


def _held(at_s: float, load: Load = IDLE_THEN_WORK) -> float:
    return 1000 + load.energy_j(at_s)


def _no_idle(t_s: float, joules: float) -> float:
    """A counter that is reset when the window's middle comes."""
    return joules - _held(25) if t_s >= 25 else joules


def _same_noise(t_s: float, _watts: float) -> float:
    return round(IDLE_THEN_WORK.power_w(t_s) * (1 + random.Random(round(t_s * 100)).gauss(0, 0.01)), 1)


WRAP_J = 2**32 * 1e-6

WAVY = Load([(20, 60.0), *((0.37, 200.0 + 37 * (i % 7) + i) for i in range(60)), (1e9, 300.0)])
CHANGING = Load([(20, 60.0), (6, 600.0), (1e9, 100.0)])

COUNTERS = [
    _counter("a counter that stands still", "counter_stuck", "stood still", lambda t, j: 1234.5),
    _counter("a counter that reads 0", "counter_stuck", "stood still", lambda t, j: 0.0),
    _counter("a counter that freezes half-way", "counter_froze", "stood still", lambda t, j: min(j, _held(25))),
    _counter(
        "a counter that freezes half-way, without power",
        "counter_froze",
        "stood still",
        lambda t, j: min(j, _held(25)),
        COUNTER_CARD,
    ),
    _counter(
        "a counter that pauses for 3 s and forgets them",
        "counter_froze",
        "stood still",
        lambda t, j: j if t < 23 else max(_held(23), j - 900),
        COUNTER_CARD,
    ),
    _counter("a counter that is reset to 0 mid-window", "counter_backwards", "went back", _no_idle),
    _counter(
        "a counter that is reset to 0 mid-window, without power", "counter_backwards", "went back", _no_idle, RAPL
    ),
    _counter(
        "a counter that wraps at 2^32 µJ",
        "counter_backwards",
        "went back",
        lambda t, j: (j + WRAP_J - _held(24)) % WRAP_J,
        RAPL,
    ),
    _counter("a counter that jumps by 6.5 MJ", "counter_jumped", "rose by", lambda t, j: j + 6.5e6 * (t > 25)),
    _counter(
        "a counter that jumps by 3 kJ, without power or limit",
        "counter_jumped",
        "rose by",
        lambda t, j: j + 3e3 * (t > 25),
        RAPL,
    ),
    _counter("millijoules called joules", "energy_implausible", "above 700 W", lambda t, j: 1000 * j),
    _counter(
        "millijoules called joules, without power or limit",
        "energy_implausible",
        "no such device draws",
        lambda t, j: 1000 * j,
        RAPL,
    ),
    _counter("joules called millijoules", "energy_disagreement", "differ by", lambda t, j: j / 1000),
    _counter("a counter that counts half", "energy_disagreement", "differ by", lambda t, j: j / 2),
    _counter("a counter that runs backwards", "counter_backwards", "went back", lambda t, j: 1e9 - j),
    _counter(
        "a counter that answers in turns", "counter_backwards", "went back", lambda t, j: j if int(t * 10) % 2 else 0.0
    ),
    _counter(
        "a counter that is not there in the window",
        "counter_failed",
        "failed in the window",
        lambda t, j: j if t < 19 else None,
    ),
    _counter(
        "a counter that is gone for a second, without power",
        "energy_unmeasured",
        "gave no energy",
        lambda t, j: None if 24 < t < 25 else j,
        COUNTER_CARD,
    ),
    _counter(
        "a counter 2.1 % off", "energy_disagreement", "differ by", lambda t, j: j / 0.9785, replace(CARD, noise=0)
    ),
    _counter(
        "a counter 5.1 % off", "energy_disagreement", "unreliable", lambda t, j: j / 0.9485, replace(CARD, noise=0)
    ),
    _counter("a counter at 1e300 J", "energy_implausible", "above 700 W", lambda t, j: j * 1e297),
    _counter(
        "a window below one tick of its counter",
        "energy_unmeasured",
        "was seen to move every",
        lambda t, j: j,
        replace(COUNTER_CARD, period_s=15.0, phase_s=1.0),
        bench=replace(BENCH, load=Load([(1e9, 300)])),
    ),
    _counter(
        "a counter that moves every 15 s, beside power",
        "short_window",
        "update periods",
        lambda t, j: j,
        replace(CARD, period_s=15.0, phase_s=1.0),
    ),
]

SWAPPED = (
    CARD.lying(counter=lambda t, j: j if t < 25 else 300 + 20 * t),
    _named(CARD, "GPU-2").lying(counter=lambda t, j: 300 + 20 * t if t < 25 else j, power=lambda t, w: 20.0),
)

METERS = [
    _power("power in milliwatts", "power_implausible", "above 700 W", lambda t, w: 1000 * w),
    _power("power in kilowatts", "energy_disagreement", "differ by", lambda t, w: w / 1000, CARD),
    _power("negative power", "power_implausible", "negative", lambda t, w: -w),
    _power(
        "power that is negative now and then",
        "power_implausible",
        "negative",
        lambda t, w: -w if int(t * 10) % 9 == 0 else w,
    ),
    _power("no power at all at work", "zero_energy", "0 J", lambda t, w: 0.0),
    _power("power that drops to 0 for 4 s", "power_implausible", "exactly 0 W", lambda t, w: 0.0 if 22 < t < 26 else w),
    _power(
        "a cached sensor without a counter", "power_stuck", "to the last bit", lambda t, w: w if t < 22 else 300.125
    ),
    _power("a cached idle value while the counter moves", "power_stuck", "to the last bit", lambda t, w: 58.25, CARD),
    _power("power capped at half of the load", "energy_disagreement", "differ by", lambda t, w: min(w, 150.0), CARD),
    _power("a sensor that saturates at 250 W", "power_stuck", "to the last bit", lambda t, w: min(w, 250.0)),
    _power(
        "power that is an average over a second",
        "averaged_power",
        "is an average",
        lambda t, w: w,
        replace(
            SENSOR_CARD,
            device=replace(SENSOR_CARD.device, update_period_s=1.0, note="power field nvmlDeviceGetPowerUsage"),
        ),
    ),
    _power(
        "power that lags by 2 s behind a changing load",
        "energy_disagreement",
        "differ by",
        lambda t, w: CHANGING.power_w(max(t - 2, 0)) * (1 + 0.01 * math.sin(97 * t)),
        CARD,
        bench=replace(BENCH, load=CHANGING),
    ),
    _power("1e300 W", "power_implausible", "above 700 W", lambda t, w: 1e300),
    _meter("a sampler that stops after half", "sampling_gap", "no reading", SENSOR_CARD.lying(silent=[(25, 29.9)])),
    _meter(
        "a sampler that ends in the window", "energy_unmeasured", "last reading", SENSOR_CARD.lying(silent=[(25, 99)])
    ),
    _meter(
        "the sampler of a counter that ends in the window",
        "energy_unmeasured",
        "last reading",
        COUNTER_CARD.lying(silent=[(25, 99)]),
    ),
    _meter("a sampler that sleeps for 3 s", "sampling_gap", "no reading", SENSOR_CARD.lying(silent=[(22, 25)])),
    _meter(
        "a sampler that answers in bursts",
        "sampling_gap",
        "no reading",
        SENSOR_CARD.lying(silent=[(t, t + 0.9) for t in range(20, 30)]),
    ),
    _meter(
        "a sampler that sleeps 3 s each time",
        "sampling_gap",
        "no reading",
        SENSOR_CARD.lying(silent=[(t + 0.06, t + 3) for t in range(0, 36, 3)]),
    ),
    _meter(
        "one device under two names",
        "same_meter",
        "under two names",
        _named(RAPL, "rapl:package-0-die-0"),
        replace(_named(RAPL, "rapl:package-0-die-1"), zero_j=5.0),
    ),
    _meter(
        "MSR and MMIO", "same_meter", "under two names", RAPL, replace(_named(RAPL, "rapl:package-0@mmio"), zero_j=7.0)
    ),
    _meter(
        "one wattmeter under two names",
        "same_meter",
        "under two names",
        WALL_METER.lying(power=_same_noise),
        _named(WALL_METER, "usb:7").lying(power=_same_noise),
        truth_j=BENCH.truth_j,
    ),
    _meter(
        "one of two cards dead",
        "counter_stuck",
        "stood still",
        CARD,
        _named(CARD, "GPU-2").lying(counter=lambda t, j: 0.0),
        truth_j=2 * BENCH.truth_j,
    ),
    _meter(
        "one of two sockets at 0 J",
        "counter_stuck",
        "gives 0 J",
        RAPL,
        _named(RAPL, "rapl:package-1").lying(counter=lambda t, j: 0.0),
        truth_j=2 * BENCH.truth_j,
    ),
    _meter(
        "a card in use that its sampler no longer lists",
        "energy_unmeasured",
        "not metered",
        CARD,
        used=["GPU-1", "GPU-2"],
        truth_j=2 * BENCH.truth_j,
    ),
    _meter(
        "one of two counters at double pace",
        "energy_disagreement",
        "differ by",
        CARD,
        _named(CARD, "GPU-2").lying(counter=lambda t, j: 2 * j),
        truth_j=2 * BENCH.truth_j,
    ),
    _meter("two devices that swap their names", "counter_backwards", "went back", *SWAPPED, used=["GPU-1"]),
    _meter(
        "a module's counter shown as a card's",
        "same_meter",
        "under two names",
        replace(_named(CARD, "GPU-1/module", scope="module"), noise=0.02),
        CARD,
        bench=replace(BENCH, load=WAVY),
    ),
    _meter("an estimate without end", "energy_implausible", "above 400 W", ESTIMATE.lying(counter=lambda t, j: 3 * j)),
    _meter("an estimate of nothing", "zero_energy", "0 J", ESTIMATE.lying(counter=lambda t, j: 7.0)),
    _meter(
        "an estimate without a TDP",
        "energy_unmeasured",
        "no energy could be told",
        ESTIMATE.lying(counter=lambda t, j: None),
    ),
]


def _ticking(meter: Meter, gain: float) -> Told:
    """A meter whose counter is read closely at the edges, where it shows another scale than in its readings."""
    series = BENCH.read(meter)
    (track,) = series.tracks
    for at_s in (BENCH.open_s, BENCH.close_s):
        tick = (round(at_s * S), gain * _held(at_s))
        series.edges[tick[0]] = {track.key: tick}
        track.ticks.append(tick)
    counted = Tokens(requests=10, input=100, output=1000)
    return Told.of(window_figures(series, round(20 * S), round(30 * S), tokens=counted), BENCH.truth_j)


TICKS = [
    Kind(
        who="counter",
        name=f"ticks of another scale than readings{name}",
        code="counter_inconsistent",
        word="read closely",
        happen=partial(_ticking, meter, gain),
    )
    for name, meter, gain in ((", without power", RAPL, 1.5), (", beside power", CARD, 0.5))
]
ALL = [*COUNTERS, *METERS, *TICKS]
