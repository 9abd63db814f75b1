"""The CPU estimate: what it counts, where its rated power comes from, and that it says so."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path

import pytest

from llem.errors import SamplerUnavailable
from llem.samplers.estimate import DEVICE_ID, EstimateSampler, busy_ticks, rated_power

TABLE = json.loads(resources.files("llem.samplers").joinpath("cpu_tdp.json").read_text())
KNOWN = TABLE["cpus"][0]


def cpuinfo(model: str, *, hypervisor: bool = False, sockets: int = 1) -> str:
    flags = "fpu sse hypervisor" if hypervisor else "fpu sse"
    return "\n".join(
        f"processor : {i}\nmodel name : {model}\nphysical id : {i}\nflags : {flags}\n" for i in range(sockets)
    )


@pytest.fixture
def sampler(tmp_path: Path) -> EstimateSampler:
    made = EstimateSampler()
    made.proc = tmp_path
    (tmp_path / "cpuinfo").write_text(cpuinfo("A CPU of nobody"))
    (tmp_path / "stat").write_text(
        "cpu  100 0 100 1000 50 0 0 0 0 0\ncpu0 50 0 50 500 0 0 0 0 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\n"
    )
    return made


def test_busy_time_leaves_out_idle_waiting_and_stolen_time() -> None:
    assert busy_ticks(b"cpu  1 2 4 1000 1000 8 16 1000 1000 1000\ncpu0 9 9 9 9\n") == 31


@pytest.mark.parametrize("stat", [b"", b"intr 1 2 3", b"cpu 1 2 3"])
def test_a_stat_of_another_shape_is_refused(stat: bytes) -> None:
    with pytest.raises(ValueError, match="/proc/stat"):
        busy_ticks(stat)


def test_energy_is_busy_share_times_rated_power(sampler: EstimateSampler, tmp_path: Path) -> None:
    sampler.open({"cpu_tdp_w": 100.0})
    before = sampler.read()[0].energy_j
    hz = os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu  {100 + hz} 0 100 9000 50 0 0 0 0 0\ncpu0 0\ncpu1 0\n")
    after = sampler.read()[0].energy_j
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(50)  # one of two CPUs busy for a second, at 100 W for both


def test_it_is_an_estimate_in_every_word(sampler: EstimateSampler) -> None:
    (device,) = sampler.open({"cpu_tdp_w": None})
    assert device.id == DEVICE_ID
    assert device.methods == {"estimate"}
    assert device.scope == "cpu"
    assert device.note is not None
    assert device.note.startswith("an estimate, not a measurement")
    assert sampler.read()[0].power_w is None


def test_without_proc_it_is_explained(tmp_path: Path) -> None:
    sampler = EstimateSampler()
    sampler.proc = tmp_path / "absent"
    with pytest.raises(SamplerUnavailable, match="cannot be read"):
        sampler.open({})
    assert sampler.read() == []


def test_a_setting_wins_over_the_table() -> None:
    found = rated_power(cpuinfo(KNOWN["model"]), 8, 42.0)
    assert found.watts == 42
    assert "measurement.cpu_tdp_w" in found.source


def test_a_known_cpu_has_its_rated_power_with_the_source_for_each_socket() -> None:
    one, two = (rated_power(cpuinfo(f"X {KNOWN['model']} @ 2 GHz", sockets=n), 8) for n in (1, 2))
    assert one.watts == KNOWN["tdp_w"]
    assert two.watts == 2 * KNOWN["tdp_w"]
    assert TABLE["sources"][KNOWN["source"]] in one.source


def test_a_virtual_machine_has_the_share_of_its_threads() -> None:
    found = rated_power(cpuinfo(f"X {KNOWN['model']} @ 2 GHz", hypervisor=True), 4)
    assert found.watts == pytest.approx(KNOWN["tdp_w"] * 4 / KNOWN["threads"])
    assert "virtual machine" in found.source


def test_an_unknown_cpu_is_assumed_and_that_is_said() -> None:
    found = rated_power(cpuinfo("A CPU of nobody"), 4)
    assert found.watts == 12
    assert "assumed" in found.source
    assert "A CPU of nobody" in found.source


def test_every_entry_of_the_table_names_a_source_and_finds_itself() -> None:
    for entry in TABLE["cpus"]:
        assert entry["source"] in TABLE["sources"]
        found = rated_power(cpuinfo(f"Vendor {entry['model']} CPU"), 4)
        assert found.watts == entry["tdp_w"], entry["model"]
