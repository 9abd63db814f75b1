"""RAPL on a powercap tree of real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import SamplerUnavailable
from llem.samplers.rapl import RaplSampler, WrappingCounter, find_zones

S = 10**9
RANGE_UJ = 262_143_328_850
AddZone = Callable[..., Path]


@pytest.fixture
def zone(tmp_path: Path) -> AddZone:
    """Adds a zone to the powercap tree in `tmp_path`."""

    def add(folder: str, name: str, energy_uj: object = 1_000_000, range_uj: int | None = RANGE_UJ) -> Path:
        path = tmp_path / folder
        path.mkdir()
        (path / "name").write_text(f"{name}\n")
        (path / "energy_uj").write_text(f"{energy_uj}\n")
        if range_uj is not None:
            (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
        return path

    return add


@pytest.fixture
def sampler(tmp_path: Path) -> RaplSampler:
    made = RaplSampler()
    made.root = tmp_path
    return made


def test_zones_become_devices_with_scope_and_containment(zone: AddZone, sampler: RaplSampler) -> None:
    zone("intel-rapl:0", "package-0")
    zone("intel-rapl:0:0", "core")
    zone("intel-rapl:0:1", "dram")
    zone("intel-rapl:1", "package-1")
    zone("intel-rapl:2", "psys")
    found = {d.id: (d.scope, d.contained_in) for d in sampler.open({})}
    assert found == {
        "rapl:package-0": ("cpu", None),
        "rapl:package-0/core": ("cpu", "rapl:package-0"),
        "rapl:package-0/dram": ("dram", None),
        "rapl:package-1": ("cpu", None),
        "rapl:psys": ("host", None),
    }


def test_a_counter_is_read_as_joules_from_an_arbitrary_zero(zone: AddZone, sampler: RaplSampler) -> None:
    folder = zone("intel-rapl:0", "package-0", 5_000_000)
    sampler.open({})
    first = sampler.read()[0].energy_j
    (folder / "energy_uj").write_text("5002500\n")
    second = sampler.read()[0].energy_j
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(0.0025)
    assert sampler.read()[0].power_w is None


def test_wrap_around_is_undone(zone: AddZone, sampler: RaplSampler) -> None:
    folder = zone("intel-rapl:0", "package-0", RANGE_UJ - 999)
    sampler.open({})
    sampler.read()
    (folder / "energy_uj").write_text("4000\n")
    assert sampler.read()[0].energy_j == pytest.approx(0.005)


def test_a_counter_that_is_reset_is_no_wrap_around(zone: AddZone, sampler: RaplSampler) -> None:
    folder = zone("intel-rapl:0", "package-0", 90_000_000_000)
    sampler.open({})
    sampler.read()
    (folder / "energy_uj").write_text("4000\n")
    assert sampler.read()[0].energy_j is None
    (folder / "energy_uj").write_text("8000\n")
    assert sampler.read()[0].energy_j is None


def test_a_counter_without_a_known_range_may_not_go_backwards(zone: AddZone, sampler: RaplSampler) -> None:
    folder = zone("intel-rapl:0", "package-0", 5000, range_uj=None)
    sampler.open({})
    sampler.read()
    (folder / "energy_uj").write_text("4000\n")
    assert sampler.read()[0].energy_j is None


@pytest.mark.parametrize("broken", ["", "garbage", None])
def test_a_zone_that_fails_leaves_the_others(zone: AddZone, sampler: RaplSampler, broken: str | None) -> None:
    folder = zone("intel-rapl:0", "package-0")
    zone("intel-rapl:1", "package-1")
    sampler.open({})
    if broken is None:
        (folder / "energy_uj").unlink()
    else:
        (folder / "energy_uj").write_text(broken)
    assert {r.device: r.energy_j for r in sampler.read()} == {"rapl:package-0": None, "rapl:package-1": 0.0}


def test_no_zones_is_explained(tmp_path: Path, sampler: RaplSampler) -> None:
    with pytest.raises(SamplerUnavailable, match="no RAPL zones"):
        sampler.open({})
    sampler.root = tmp_path / "absent"
    with pytest.raises(SamplerUnavailable, match="no RAPL zones") as caught:
        sampler.open({})
    assert caught.value.remedy
    sampler.close()


def test_unreadable_counters_are_explained_with_a_remedy(zone: AddZone, sampler: RaplSampler) -> None:
    folder = zone("intel-rapl:0", "package-0")
    (folder / "energy_uj").unlink()
    (folder / "energy_uj").mkdir()  # root may read any file; nobody can read a folder as one
    with pytest.raises(SamplerUnavailable, match="not readable") as caught:
        sampler.open({})
    assert "chmod" in str(caught.value)


def test_a_zone_that_cannot_be_read_is_named_at_the_others(zone: AddZone, sampler: RaplSampler) -> None:
    zone("intel-rapl:0", "package-0")
    zone("intel-rapl:1", "package-1", "nonsense")
    (device,) = sampler.open({})
    assert device.id == "rapl:package-0"
    assert device.note is not None
    assert "intel-rapl:1" in device.note


def test_a_core_zone_without_its_package_is_contained_in_nothing(zone: AddZone, sampler: RaplSampler) -> None:
    zone("intel-rapl:0", "package-0", "nonsense")
    zone("intel-rapl:0:0", "core")
    (device,) = sampler.open({})
    assert (device.id, device.contained_in) == ("rapl:package-0/core", None)


def test_a_package_that_is_shown_by_register_and_by_memory_map_counts_once_and_says_why(
    zone: AddZone, sampler: RaplSampler
) -> None:
    zone("intel-rapl:0", "package-0")
    zone("intel-rapl:0:0", "core")
    zone("intel-rapl-mmio:0", "package-0")
    zone("intel-rapl-mmio:0:0", "core")
    devices = {device.id: device for device in sampler.open({})}
    assert set(devices) == {"rapl:package-0", "rapl:package-0/core", "rapl:package-0@intel-rapl-mmio:0"}
    mirror = devices["rapl:package-0@intel-rapl-mmio:0"]
    assert mirror.contained_in == "rapl:package-0"
    assert "shows the counter of rapl:package-0 once more" in (mirror.note or "")


def test_two_packages_of_one_control_type_are_two_even_under_one_name(zone: AddZone, sampler: RaplSampler) -> None:
    zone("intel-rapl:0", "package-0")
    zone("intel-rapl:1", "package-0")
    assert [d.contained_in for d in sampler.open({})] == [None, None]


def test_the_highest_limit_in_force_is_known_and_one_that_is_switched_off_is_none(
    zone: AddZone, sampler: RaplSampler, tmp_path: Path
) -> None:
    for folder, enabled in (("intel-rapl:0", "1"), ("intel-rapl:1", "0")):
        zone(folder, f"package-{folder[-1]}")
        (tmp_path / folder / "enabled").write_text(f"{enabled}\n")
        (tmp_path / folder / "constraint_0_power_limit_uw").write_text("125000000\n")
        (tmp_path / folder / "constraint_1_power_limit_uw").write_text("253000000\n")
    assert [d.max_power_w for d in sampler.open({})] == [253.0, None]


def test_what_is_no_zone_is_passed_over(zone: AddZone, tmp_path: Path) -> None:
    zone("intel-rapl:0", "package-0")
    (tmp_path / "intel-rapl").mkdir()
    (tmp_path / "intel-rapl:9").mkdir()
    (tmp_path / "dtpm").mkdir()
    assert [z.folder.name for z in find_zones(tmp_path)] == ["intel-rapl:0"]


@given(st.lists(st.integers(0, 50_000_000), min_size=1, max_size=50), st.integers(0, RANGE_UJ))
def test_any_number_of_wraps_adds_up_to_what_was_drawn(steps: list[int], start: int) -> None:
    counter, drawn = WrappingCounter(RANGE_UJ), 0
    assert counter.take(0, start) == 0
    for i, step in enumerate(steps, start=1):  # at most 500 W
        drawn += step
        assert counter.take(i * S // 10, (start + drawn) % (RANGE_UJ + 1)) == drawn


def test_a_reading_so_late_that_a_wrap_may_be_missed_is_not_trusted() -> None:
    counter = WrappingCounter(1_000_000)
    counter.take(0, 10)
    assert counter.take(3600 * S, 20) is None
    assert counter.take(3600 * S + 1, 30) is None
