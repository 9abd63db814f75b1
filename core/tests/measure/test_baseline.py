"""Idle power: steadiness, and when a cached baseline serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from llem.measure.baseline import BaselineCache, IdlePower, boot_clock_s, unsteady_devices
from llem.measure.idle import cache_identity
from llem.specs.sampler import Device

GPU = Device(id="GPU-1", name="A GPU", scope="gpu", methods=frozenset({"counter"}))
SECOND = 1_000_000_000


def curve(level: Callable[[float], float]) -> Callable[[int, int], Mapping[str, float]]:
    return lambda start, end: {"GPU-1": level((start + end) / 2 / SECOND)}


def idle(age_s: float = 0.0, duration_s: float = 30.0, **watts: float) -> IdlePower:
    return IdlePower(idle_w=watts or {"cpu": 10.0}, duration_s=duration_s, measured_at_s=boot_clock_s() - age_s)


def test_level_power_is_steady() -> None:
    assert unsteady_devices(curve(lambda t: 70.0 + 0.5 * (int(t) % 2)), 0, 30 * SECOND, 20.0) == {}


def test_power_that_jumps_while_idle_is_named_with_its_variation() -> None:
    unsteady = unsteady_devices(curve(lambda t: 70.0 if t < 20 else 300.0), 0, 30 * SECOND, 20.0)
    assert list(unsteady) == ["GPU-1"]
    assert unsteady["GPU-1"] > 0.5


def test_a_phase_too_short_for_its_readings_is_not_judged() -> None:
    assert unsteady_devices(curve(lambda t: 1.0 + t), 0, SECOND // 2, 20.0) == {}


def test_a_stored_baseline_is_found_again(tmp_path: Path) -> None:
    cache = BaselineCache(tmp_path, {"devices": ["cpu"]})
    assert cache.find(["cpu"], 30.0, 3600.0) is None
    assert cache.store(idle(age_s=5.0)) is None
    found = BaselineCache(tmp_path, {"devices": ["cpu"]}).find(["cpu"], 30.0, 3600.0)
    assert found is not None
    assert found.idle_w == {"cpu": 10.0}
    assert found.age_s == pytest.approx(5.0, abs=4.0)


def test_it_does_not_serve_when_old_short_or_of_other_devices(tmp_path: Path) -> None:
    cache = BaselineCache(tmp_path, {})
    cache.store(idle(age_s=100.0, duration_s=10.0))
    assert cache.find(["cpu"], 10.0, 200.0) is not None
    assert cache.find(["cpu"], 10.0, 99.0) is None
    assert cache.find(["cpu"], 10.5, 200.0) is None
    assert cache.find(["cpu", "GPU-1"], 10.0, 200.0) is None
    assert BaselineCache(tmp_path, {"other": 1}).find(["cpu"], 10.0, 200.0) is None


def test_one_from_the_future_does_not_serve(tmp_path: Path) -> None:
    cache = BaselineCache(tmp_path, {})
    cache.store(idle(age_s=-50.0))
    assert cache.find(["cpu"], 1.0, 3600.0) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"idle_w": 3, "duration_s": 1, "measured_at_s": 1}'])
def test_a_damaged_cache_counts_as_none(tmp_path: Path, text: str) -> None:
    cache = BaselineCache(tmp_path, {})
    cache.store(idle())
    (file,) = (tmp_path / "baselines").iterdir()
    file.write_text(text)
    assert cache.find(["cpu"], 1.0, 3600.0) is None


def test_a_folder_that_cannot_be_written_is_told_and_harmless(tmp_path: Path) -> None:
    (tmp_path / "baselines").write_text("a file where a folder should be")
    problem = BaselineCache(tmp_path, {}).store(idle())
    assert problem is not None
    assert str(tmp_path) in problem


def test_another_power_limit_is_another_baseline() -> None:
    def identity(limit_w: float) -> object:
        facts = {"nvml": {"driver": "570", "devices": [{"power_limit_w": limit_w, "clock_mhz": 345}]}}
        return cache_identity([GPU], None, facts)

    assert identity(700.0) == identity(700.0)
    assert identity(700.0) != identity(500.0)
    assert cache_identity([GPU], 65.0, {}) != cache_identity([GPU], 95.0, {})
