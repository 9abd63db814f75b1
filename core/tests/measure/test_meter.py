"""The meter as the worker uses it: start, edges, mean power, stop; with the estimate, and with a meter of known power."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.config.experiment import MeasurementConfig
from llem.errors import SamplerUnavailable
from llem.hookspecs import API_VERSION
from llem.measure.energy import window_energy
from llem.measure.meter import Meter
from llem.measure.series import Series
from llem.plugins import Registry, default_registry
from llem.results.job_directory import READINGS
from llem.specs.kinds import SAMPLERS
from llem.specs.sampler import SamplerSpec

pytestmark = pytest.mark.process

STEADY = '''
import os
import time
from llem.errors import SamplerUnavailable
from llem.specs.sampler import Device, Reading

T0 = 0
PERIOD = 20_000_000


class Steady:
    """80 W since boot, by a counter that ticks every 20 ms, and by power."""

    def open(self, settings):
        self.closed = False
        if os.environ.get("STEADY_IN_PROCESS", str(os.getpid())) != str(os.getpid()):
            raise SamplerUnavailable("the card is lost.")
        return [Device(id="GPU-steady", name="a card", scope="gpu", methods=frozenset({"counter", "power"}),
                       update_period_s=0.02)]

    def _joules(self, t_ns):
        return 80.0 * (t_ns // PERIOD * PERIOD) / 1e9

    def read(self):
        t = time.monotonic_ns()
        return [Reading("GPU-steady", t, energy_j=self._joules(t), power_w=80.0)]

    def counters(self):
        t = time.monotonic_ns()
        return {"GPU-steady": (t, self._joules(t))}

    def environment(self):
        return {"power_limit_w": 300}

    def close(self):
        self.closed = True
'''
Said = list[tuple[str, str]]


class Table(Registry):
    """A registry of one sampler."""

    def __init__(self) -> None:
        super().__init__([], builtin=False)
        spec = SamplerSpec(
            name="steady",
            api_version=API_VERSION,
            summary="80 W",
            methods=frozenset({"counter", "power"}),
            scopes=frozenset({"gpu"}),
            sampler="llem_steady_sampler:Steady",
        )
        self._own = {"steady": spec}

    def __getitem__(self, kind: Any) -> Any:
        return self._own if kind is SAMPLERS else super().__getitem__(kind)


@pytest.fixture
def said() -> Said:
    return []


@pytest.fixture
def steady(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    """A meter of known power, found here and in the sampling process."""
    code, job = tmp_path / "code", tmp_path / "job"
    code.mkdir()
    job.mkdir()
    (code / "llem_steady_sampler.py").write_text(STEADY)
    monkeypatch.syspath_prepend(str(code))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(code), os.environ.get("PYTHONPATH", "")]))
    meter = Meter(job, MeasurementConfig(sample_hz=100), Table(), lambda *words: said.append(words))
    yield meter
    meter.stop()
    sys.modules.pop("llem_steady_sampler", None)


@pytest.fixture
def estimate(tmp_path: Path, said: Said) -> Iterator[Meter]:
    config = MeasurementConfig(samplers=["estimate"], cpu_tdp_w=100, sample_hz=50)
    meter = Meter(tmp_path, config, default_registry(), lambda *words: said.append(words))
    yield meter
    meter.stop()


def nothing() -> None:
    """No device to wait for."""


def window(meter: Meter, seconds: float) -> tuple[int, int, Series]:
    open_ns = meter.edge(nothing)
    time.sleep(seconds)
    close_ns = meter.edge(nothing)
    return open_ns, close_ns, meter.stop()


def test_the_estimate_measures_a_window_from_end_to_end(estimate: Meter, said: Said) -> None:
    (report,) = estimate.start()
    assert report.used
    assert report.devices == ["estimate:cpu"]
    open_ns = estimate.edge(nothing)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        sum(range(1000))
    close_ns = estimate.edge(nothing)
    series = estimate.stop()
    (found,) = window_energy(series, open_ns, close_ns)
    assert found.method == "estimate"
    assert found.energy_j is not None
    assert 0 < found.energy_j <= 100 * (close_ns - open_ns) / 1e9 * 1.2
    assert found.counter_j is None
    assert "an estimate" in (found.note or "")
    assert [code for code, _ in said] == ["sampler_used"]
    assert "estimate" in said[0][1]


def test_what_it_did_is_reported(estimate: Meter) -> None:
    estimate.start()
    _, _, series = window(estimate, 0.3)
    (report,) = series.reports
    assert report.requested_hz == 50
    assert report.readings >= 5
    assert report.achieved_hz is not None
    assert report.longest_gap_s is not None
    assert series.warnings == []
    assert series.ended


def test_a_ticking_counter_is_read_exactly_at_both_edges(steady: Meter) -> None:
    steady.start()
    open_ns, close_ns, series = window(steady, 0.4)
    assert set(series.edges) == {open_ns, close_ns}
    assert any(("steady", "GPU-steady") in exact for exact in series.edges.values())
    (found,) = window_energy(series, open_ns, close_ns)
    assert found.method == "counter"
    assert found.mean_w == pytest.approx(80, rel=0.1)  # a busy machine polls late
    assert found.power_j == pytest.approx(80 * (close_ns - open_ns) / 1e9, rel=1e-6)


def test_an_edge_comes_after_the_work_is_done(steady: Meter) -> None:
    steady.start()
    done: list[int] = []
    edge = steady.edge(lambda: done.append(time.monotonic_ns()))
    assert len(done) == 1
    assert edge >= done[0]


def test_mean_power_is_told_while_it_samples(steady: Meter) -> None:
    steady.start()
    start = time.monotonic_ns()
    time.sleep(0.3)
    assert steady.mean_power(start, time.monotonic_ns()) == {"GPU-steady": pytest.approx(80, rel=0.1)}


def test_mean_power_of_a_span_that_was_hardly_read_is_unknown(steady: Meter) -> None:
    steady.start()
    now = time.monotonic_ns()
    assert steady.mean_power(now - 10**12, now) == {}
    assert steady.mean_power(now, now - 1) == {}


def test_devices_and_their_facts_are_known_after_the_start(steady: Meter) -> None:
    assert steady.devices == []
    steady.start()
    assert [d.id for d in steady.devices] == ["GPU-steady"]
    assert steady.environment() == {"steady": {"power_limit_w": 300}}


def test_a_sampling_process_that_dies_is_a_warning_and_no_figure(steady: Meter) -> None:
    steady.start()
    open_ns = steady.edge(nothing)
    assert steady._process is not None
    os.kill(steady._process.pid, signal.SIGKILL)
    time.sleep(0.1)
    close_ns = steady.edge(nothing)
    series = steady.stop()
    assert [w.code for w in series.warnings] == ["sampler_died"]
    (found,) = window_energy(series, open_ns, close_ns)
    assert found.power_j is None


def test_stopping_twice_or_before_the_start_is_harmless(estimate: Meter, tmp_path: Path) -> None:
    assert estimate.stop() is estimate.stop()
    assert estimate.stop().tracks == []
    assert not (tmp_path / READINGS).exists()


def test_a_named_sampler_that_does_not_work_leaves_nothing_running(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llem.samplers.rapl.RaplSampler.root", tmp_path / "absent")
    meter = Meter(tmp_path, MeasurementConfig(samplers=["estimate", "rapl"]), default_registry(), lambda *_: None)
    with pytest.raises(SamplerUnavailable, match="rapl"):
        meter.start()
    assert list(tmp_path.iterdir()) == []
    assert meter.stop().tracks == []


@pytest.mark.parametrize("named", [True, False])
def test_a_card_that_is_lost_before_the_sampling_process_opens_it_stops_who_named_it(
    steady: Meter, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEADY_IN_PROCESS", str(os.getpid()))
    if named:
        monkeypatch.setattr(steady, "_config", MeasurementConfig(samplers=["steady"]))
        with pytest.raises(SamplerUnavailable, match=r"`steady` does not work here: the card is lost"):
            steady.start()
    else:
        (report,) = steady.start()
        assert (report.used, report.devices) == (False, [])
        assert "the card is lost" in (report.reason or "")


def test_where_nothing_measures_that_is_said_and_the_clock_still_gives_edges(tmp_path: Path, said: Said) -> None:
    bare = Registry([], builtin=False)
    meter = Meter(tmp_path, MeasurementConfig(), bare, lambda *words: said.append(words))
    assert meter.start() == []
    assert [code for code, _ in said] == ["energy_unmeasured"]
    open_ns, close_ns, series = window(meter, 0.01)
    assert close_ns > open_ns
    assert window_energy(series, open_ns, close_ns) == []


def test_an_instant_is_not_waited_for_and_its_energy_is_told_once_counters_have_ticked(steady: Meter) -> None:
    steady.start()
    before = time.monotonic_ns()
    begin_ns = steady.instant(nothing)
    time.sleep(0.3)
    end_ns = steady.instant(nothing)
    assert before <= begin_ns < end_ns <= time.monotonic_ns()
    series = steady.stop()
    assert set(series.asked) == {begin_ns, end_ns}
    assert all(edge_ns > asked_ns for asked_ns, edge_ns in series.asked.items())
    joules = 80 * (end_ns - begin_ns) / 1e9
    assert steady.energy_between(begin_ns, end_ns) == {"GPU-steady": pytest.approx(joules, rel=0.1)}
