"""Honest runs that look odd: noisy, coarse and slow meters, steps in load, idle machines, tiny windows, quiet neighbours."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from sim.meters import PACKAGE, Bench, Load, Meter

from bench.faults.engines import answers, told
from bench.faults.kinds import Told
from bench.faults.meters import CARD, ESTIMATE, RAPL, SENSOR_CARD, WALL_METER
from bench.faults.others import idle_run, neighbour
from bench.faults.raw import one, through_the_recorder

PERIODS = 50
"""A window below so many update periods is told to be short: that is true, and no false mark."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """An honest run.

    Attributes:
        what: it is; told: what its result says; true: codes that are true of it all the same.
    """

    what: str
    told: Told
    true: Collection[str] = ()

    @property
    def false(self) -> list[str]:
        """Marks that accuse the innocent, and a headline that is off without one."""
        marks = [f"{code}: {message}" for code, message in self.told.said if code not in self.true]
        figure, truth = self.told.figure_j, self.told.truth_j
        off = figure is not None and truth is not None and abs(figure - truth) > max(0.05 * truth, 0.5)
        return [*marks, f"{figure} J for {truth} J"] if off and "short_window" not in self.true else marks


def _load(chance: random.Random, lowest: float = 20.0, highest: float = 650.0) -> Load:
    steps = [(chance.uniform(0.5, 6), chance.uniform(lowest, highest)) for _ in range(chance.randint(1, 5))]
    return Load([(15, chance.uniform(0.5, lowest)), *steps, (1e9, steps[-1][1])])


def _run(what: str, bench: Bench, *meters: Meter, true: Collection[str] = (), truths: int = 1, **more: Any) -> Run:
    return Run(what=what, told=Told.of(bench.figures(*meters, **more), truths * bench.truth_j), true=true)


def _short(bench: Bench, period_s: float) -> set[str]:
    """True of a window below 50 periods; one of hardly two has no figure by counter."""
    window_s = bench.close_s - bench.open_s
    marks = {"short_window"} if window_s < 1.1 * PERIODS * period_s else set()
    return marks | ({"energy_unmeasured", "sampling_gap"} if window_s < 3 * period_s else set())


def _bench(chance: random.Random, load: Load, **changes: Any) -> Bench:
    close_s = 20 + chance.choice([6, 10, 25])
    return replace(Bench(load=load, close_s=close_s, seconds=close_s + 5, seed=chance.randrange(10**6)), **changes)


def _noisy_card(chance: random.Random) -> Run:
    bench = _bench(chance, _load(chance), jitter=0.8)
    period_s = chance.choice([0.02, 0.1])
    card = replace(CARD, noise=chance.uniform(0, 0.12), period_s=period_s, phase_s=chance.uniform(0, period_s))
    # A sensor's noise may itself make counter and integral differ.
    return _run("a noisy card", bench, card, true=_short(bench, 0.1))


def _coarse_card(chance: random.Random) -> Run:
    bench = _bench(chance, Load([(14, 30.0), (1e9, chance.uniform(100, 650))]))
    card = replace(
        CARD, quantum_j=chance.choice([0.001, 0.1, 1.0]), power_step_w=chance.choice([0.5, 1.0, 5.0]), noise=0.0
    )
    return _run("a coarse card", bench, card, true=_short(bench, 0.1))


def _slow_counter(chance: random.Random) -> Run:
    period_s = chance.choice([0.5, 1.0, 3.0, 15.0])
    bench = Bench(
        load=Load([(1e9, chance.uniform(50, 600))]), open_s=60, close_s=100, seconds=105, seed=chance.randrange(10**6)
    )
    card = replace(CARD, period_s=period_s, phase_s=chance.uniform(0, period_s), noise=0.0)
    return _run(f"a counter that moves every {period_s:g} s", bench, card, true=_short(bench, period_s))


def _package(chance: random.Random) -> Run:
    bench = _bench(chance, _load(chance, 5, 250))
    quantum_j = chance.choice([15.26e-6, 61e-6, 0.015, 0.1])
    return _run(
        "a package's counter",
        bench,
        replace(RAPL, quantum_j=quantum_j, period_s=chance.choice([0.0, 0.001])),
        true={"short_window"} if quantum_j > 0.01 else (),
    )


def _two_sockets(chance: random.Random) -> Run:
    bench = _bench(chance, _load(chance, 5, 250))
    second = replace(
        RAPL, device=replace(PACKAGE, id="rapl:package-1"), gain=1 + chance.uniform(1e-3, 0.04), zero_j=3.0
    )
    return _run("two sockets under one load", bench, RAPL, second, truths=2)


def _wattmeter(chance: random.Random) -> Run:
    bench = _bench(chance, _load(chance, 60, 900), jitter=chance.choice([0.0, 0.9]))
    period_s = chance.choice([0.05, 0.1, 0.5])
    meter = replace(
        WALL_METER, power_step_w=chance.choice([0.1, 1.0, 5.0]), noise=chance.uniform(0, 0.1), power_period_s=period_s
    )
    return _run("a wattmeter", bench, meter, true={"short_window"})


def _steady_wattmeter(chance: random.Random) -> Run:
    bench = _bench(chance, Load([(1e9, float(chance.randint(30, 600)))]))
    return _run("a coarse wattmeter of a steady machine", bench, replace(WALL_METER, power_step_w=1.0, noise=0.0))


def _sensor(chance: random.Random) -> Run:
    bench = _bench(chance, _load(chance))
    return _run("a card with power alone", bench, replace(SENSOR_CARD, noise=chance.uniform(0.005, 0.1)))


def _idle_machine(chance: random.Random) -> Run:
    bench = _bench(chance, Load([(1e9, chance.uniform(0.05, 2.0))]))
    return _run("an idle machine", bench, replace(RAPL, quantum_j=chance.choice([61e-6, 0.001])), tokens=0)


def _estimate(chance: random.Random) -> Run:
    bench = _bench(chance, _load(chance, 2, 390))
    return _run("an estimate", bench, replace(ESTIMATE, quantum_j=0.5, noise=0.0), true={"short_window"})


def _tiny_window(chance: random.Random) -> Run:
    seconds = chance.choice([0.06, 0.2, 0.5, 1.0])
    bench = Bench(load=Load([(14, 40.0), (1e9, 300.0)]), close_s=20 + seconds, seconds=24, seed=chance.randrange(10**6))
    return _run(f"a window of {seconds:g} s", bench, replace(CARD, noise=0.0), true=_short(bench, 0.1))


def _stalled(chance: random.Random) -> Run:
    at = chance.uniform(21, 24)
    bench = _bench(chance, Load([(14, 40.0), (1e9, 300.0)]))
    return _run(
        "a sampler that stalls for 0.2 s",
        bench,
        replace(CARD, noise=0.01, silent=[(at, at + 0.2)]),
        true=_short(bench, 0.1),
    )


def _uncalibrated(chance: random.Random) -> Run:
    bench = _bench(chance, Load([(14, 40.0), (1e9, 300.0)]))
    gain = 1 + chance.choice([-0.018, 0.018, 0.01])
    return _run("a counter 1.8 % off", bench, replace(CARD, gain=gain, noise=0.0), true=_short(bench, 0.1))


def _baseline(chance: random.Random) -> Run:
    watts = chance.uniform(30, 70)
    return Run(
        what="a baseline with a noisy look at rest", told=idle_run(watts, resident_w=watts * chance.uniform(0.9, 1.6))
    )


def _neighbour(chance: random.Random) -> Run:
    return Run(
        what="a neighbour on less than 5 % of the CPU",
        told=replace(neighbour(chance.choice([0.0, 0.02, 0.04])), figure_j=None),
    )


def _engine(chance: random.Random) -> Run:
    def jitter(record: Any, released_ns: int) -> Any:
        times = [t + chance.randrange(4_000_000) for t in record.token_ns]
        return replace(record, token_ns=tuple(sorted(times)), end_ns=max(times) + 1000, start_ns=released_ns)

    return Run(what="an engine with uneven tokens", told=told(answers(jitter, slack_ns=10_000_000)))


def _recorder(chance: random.Random) -> Run:
    lag_ns = chance.randrange(100_000_000)
    found = through_the_recorder(lambda t, s: [one(t - lag_ns, s - lag_ns / 1e9)])
    return Run(what="a sampler that reads in the background", told=found)


FAMILIES: list[Callable[[random.Random], Run]] = [
    _noisy_card,
    _coarse_card,
    _slow_counter,
    _package,
    _two_sockets,
    _wattmeter,
    _steady_wattmeter,
    _sensor,
    _idle_machine,
    _estimate,
    _tiny_window,
    _stalled,
    _uncalibrated,
    _baseline,
    _neighbour,
    _engine,
    _recorder,
]


def run(number: int) -> Run:
    """The honest run of a number."""
    family = FAMILIES[number % len(FAMILIES)]
    return family(random.Random(f"honest {number}"))
