"""Idle power is held against everything else that is known, before it is kept, before it is used, and after load."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.baseline import BaselineCache, IdlePower, boot_clock_s
from llem.measure.baseline_checks import (
    contradictions,
    contradicts,
    impossible,
    limits_w,
    usable_idle_w,
    without_negative,
)
from llem.results.job_directory import RESULT
from llem.results.models import Baseline, DeviceEnergy
from llem.specs.sampler import Device

Make = Callable[..., Any]
METERED = Device(id="GPU-1", name="A GPU", scope="gpu", methods=frozenset({"counter", "power"}))
ESTIMATED = Device(id="estimate:cpu", name="CPU", scope="cpu", methods=frozenset({"estimate"}))


def idle(age_s: float = 0.0, **watts: float) -> IdlePower:
    return IdlePower(idle_w=watts, duration_s=30.0, measured_at_s=boot_clock_s() - age_s, other_share=0.01)


def device(energy_j: float | None, idle_w: float | None, adjusted_j: float | None) -> DeviceEnergy:
    mean_w = None if energy_j is None else energy_j / 10
    return DeviceEnergy(
        device="GPU-1",
        name="A GPU",
        scope="gpu",
        sampler="nvml",
        method="counter",
        energy_j=energy_j,
        mean_w=mean_w,
        idle_w=idle_w,
        adjusted_j=adjusted_j,
    )


@pytest.mark.parametrize("watts", [math.nan, math.inf, -math.inf, -0.1, -152.7])
def test_power_that_is_no_power_is_never_idle_power(watts: float) -> None:
    assert impossible(METERED, watts) is not None
    assert impossible(ESTIMATED, watts) is not None


def test_a_meter_that_stands_still_says_nothing_and_an_estimate_may_be_nothing() -> None:
    assert impossible(METERED, 0.0) is not None
    assert impossible(ESTIMATED, 0.0) is None
    assert impossible(replace(METERED, contained_in="rapl:package-0"), 0.0) is None, "a part may be switched off"


def test_idle_power_above_the_limit_names_both_numbers() -> None:
    why = impossible(METERED, 781.0, 700.0)
    assert why is not None
    assert "781" in why
    assert "700" in why
    assert impossible(METERED, 769.0, 700.0) is None
    assert impossible(METERED, 5000.0) is None, "no limit is known"


@given(floor=st.floats(0, 2000), noise=st.floats(-0.2, 0.2))
def test_noise_is_no_contradiction_and_load_is_one(floor: float, noise: float) -> None:
    assert not contradicts(floor * (1 + noise), floor)
    assert contradicts(floor * 1.3 + 3, floor)


def test_a_contradiction_names_both_numbers_and_only_devices_that_both_know() -> None:
    found = contradictions({"a": 40.0, "b": 10.0, "c": 99.0}, {"a": 4.0, "b": 12.0}, "power with the model loaded")
    assert found == {"a": "idle power of 40 W is above power with the model loaded, 4 W"}


def test_a_card_s_limit_is_the_highest_that_its_sampler_tells() -> None:
    facts = {
        "nvml": {"driver": "570", "gpus": [{"uuid": "GPU-1", "power_limit_w": 400.0, "power_limit_max_w": 700.0}]},
        "odd": {"gpus": [{"uuid": "GPU-2", "power_limit_w": None}, "x", {"power_limit_w": 5}]},
        "none": None,
    }
    assert limits_w(facts) == {"GPU-1": 700.0}


@pytest.mark.parametrize("nothing", [0, 0.0, -1, True, "700"])
def test_a_limit_that_no_card_can_have_bounds_no_idle_power(nothing: object) -> None:
    card = {"uuid": "GPU-1", "power_limit_w": nothing}
    assert limits_w({"nvml": {"gpus": [card]}}) == {}
    assert limits_w({"nvml": {"gpus": [{**card, "power_limit_max_w": 700.0}]}}) == {"GPU-1": 700.0}


@given(energy=st.floats(0, 1e6), idle_w=st.floats(0, 1e5))
def test_adjusted_energy_is_never_below_zero(energy: float, idle_w: float) -> None:
    ((found, why),) = without_negative([device(energy, idle_w, energy - idle_w * 10)])
    assert found.adjusted_j is None or found.adjusted_j >= 0
    assert (found.adjusted_j is None) == (why is not None)
    if energy - idle_w * 10 >= 0:
        assert found.adjusted_j == energy - idle_w * 10


def test_what_was_negative_names_both_powers_and_rounding_is_nothing() -> None:
    ((found, why),) = without_negative([device(2.4, 24.47, -242.3)])
    assert found.adjusted_j is None
    assert why is not None
    assert "0.24 W" in why
    assert "24.47 W" in why
    ((rounded, why),) = without_negative([device(500.0, 50.0, -1e-9)])
    assert (rounded.adjusted_j, why) == (0.0, None)
    ((unknown, why),) = without_negative([device(None, 50.0, None)])
    assert (unknown.adjusted_j, why) == (None, None)


def test_a_doubtful_device_gives_no_idle_power_and_the_others_do() -> None:
    baseline = Baseline(enabled=True, idle_w={"a": 1.0, "b": 2.0}, doubtful={"a": "why"})
    assert usable_idle_w(baseline) == {"b": 2.0}
    assert usable_idle_w(None) == {}


def test_the_lowest_of_this_machine_s_other_baselines_is_found(tmp_path: Path) -> None:
    cache = BaselineCache(tmp_path, {"own": 1})
    assert cache.lowest(["GPU-1"], 3600) == {}
    cache.store(idle(**{"GPU-1": 1.0}))
    BaselineCache(tmp_path, {"other": 1}).store(idle(**{"GPU-1": 70.0, "cpu": 5.0}))
    BaselineCache(tmp_path, {"other": 2}).store(idle(**{"GPU-1": 60.0}))
    BaselineCache(tmp_path, {"other": 3}).store(idle(age_s=4000, **{"GPU-1": 10.0}))
    assert cache.lowest(["GPU-1", "GPU-2"], 3600) == {"GPU-1": 60.0}


def test_a_baseline_of_another_boot_or_that_is_no_number_serves_nobody(tmp_path: Path) -> None:
    cache = BaselineCache(tmp_path, {})
    cache.store(idle(cpu=10.0))
    (file,) = (tmp_path / "baselines").iterdir()
    data = json.loads(file.read_text())
    assert data["other_share"] == 0.01
    for change in ({"boot": "another"}, {"idle_w": {"cpu": "NaN"}}, {"duration_s": True}):
        file.write_text(json.dumps({**data, **change}))
        assert cache.find(["cpu"], 1.0, 3600.0) is None
    file.write_text(json.dumps(data).replace("10.0", "NaN"))
    assert cache.find(["cpu"], 1.0, 3600.0) is None


def test_a_discarded_baseline_is_gone_and_discarding_twice_is_harmless(tmp_path: Path) -> None:
    cache = BaselineCache(tmp_path, {})
    cache.store(idle(cpu=10.0))
    cache.discard()
    cache.discard()
    assert cache.find(["cpu"], 1.0, 3600.0) is None


@pytest.fixture
def spoilt(make_job: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Path]]:
    """A job whose cached baseline says 400 W of a device that draws 50 W; and the file of the cache."""

    def make(**baseline: float) -> tuple[Any, Path]:
        monkeypatch.setenv("TESTMETER_SCOPE", "gpu")  # what else runs here is not in it
        settings = {"enabled": True, "duration_s": 0.3, "resident_s": 0, **baseline}
        job = make_job(measurement={"min_window_s": 1, "samplers": ["testmeter"]}, baseline=settings)
        assert job.run() == 0, (job.directory / "worker.log").read_text()
        assert job.result.baseline.source == "measured"
        (job.directory / RESULT).unlink()
        (file,) = (job.directory.parent / "cache").rglob("*.json")
        data = json.loads(file.read_text())
        file.write_text(json.dumps({**data, "idle_w": {"testmeter:0": 400.0}}))
        return job, file

    return make


def test_a_cached_baseline_that_the_present_contradicts_is_measured_anew(
    spoilt: Callable[..., tuple[Any, Path]],
) -> None:
    job, file = spoilt(duration_s=0.8)
    assert job.run() == 0
    baseline = job.result.baseline
    assert (baseline.source, baseline.doubtful) == ("measured", {})
    assert baseline.idle_w["testmeter:0"] == pytest.approx(50)
    assert json.loads(file.read_text())["idle_w"]["testmeter:0"] == pytest.approx(50)
    told = [e["text"] for e in job.events if e.get("code") == "baseline_discarded"]
    assert any("400 W" in text and "50 W" in text for text in told)


@pytest.mark.parametrize(("resident_s", "what"), [(0.8, "the model loaded"), (0, "the measured window")])
def test_a_cached_baseline_that_is_contradicted_after_load_is_discarded_and_adjusts_nothing(
    spoilt: Callable[..., tuple[Any, Path]], resident_s: float, what: str
) -> None:
    job, file = spoilt(resident_s=resident_s)
    assert job.run() == 0
    result = job.result
    assert result.baseline.source == "cached"
    assert what in result.baseline.doubtful["testmeter:0"]
    assert result.energy.devices[0].adjusted_j is None
    assert result.energy.devices[0].energy_j == pytest.approx(50 * result.energy.window_s, rel=1e-6)
    (message,) = [w.message for w in result.warnings if w.code == "baseline_doubtful"]
    assert "400 W" in message
    assert "50 W" in message
    assert not file.exists()
