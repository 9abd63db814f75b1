"""Faults of a GPU or its driver inside the measured window: a right figure with its warning, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.process

Experiment = Callable[..., Any]

A = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
H100 = "NVIDIA H100 80GB HBM3"
CARD = f"gpu {A} {H100}\npower constant 250\ncounter 0.02 0 1\n"


def right(device: dict[str, Any], window_s: float, watts: float = 250) -> bool:
    return bool(device["energy_j"] == pytest.approx(watts * window_s, rel=0.02))


def test_a_gpu_that_is_lost_leaves_no_figure_and_a_warning(experiment: Experiment) -> None:
    found = experiment(f"{CARD}lost_at 0\n")
    assert found.result["status"] == "done"
    (device,) = found.result["energy"]["devices"]
    assert (device["energy_j"], device["mean_w"], device["counter_j"], device["power_j"]) == (None, None, None, None)
    assert found.result["energy"]["headline"] is None
    assert A in found.warning("energy_unmeasured")
    assert found.result["throughput"]["tokens_per_s"] > 0


def test_a_counter_that_starts_again_gives_way_to_power(experiment: Experiment) -> None:
    found = experiment(f"{CARD}counter_reset_at 0\n")
    (device,) = found.result["energy"]["devices"]
    assert (device["method"], device["counter_j"]) == ("power", None)
    assert right(device, found.result["energy"]["window_s"])
    assert "its counter went back from" in found.warning("counter_backwards")
    assert "the figure is from power" in found.warning("counter_backwards")


def test_a_counter_whose_permission_is_withdrawn_gives_way_to_power(experiment: Experiment) -> None:
    found = experiment(f"{CARD}error nvmlDeviceGetTotalEnergyConsumption 4\n")
    (device,) = found.result["energy"]["devices"]
    assert (device["method"], device["counter_j"]) == ("power", None)
    assert right(device, found.result["energy"]["window_s"])
    assert "counter_failed" in found.codes


def test_a_driver_that_no_longer_fits_its_library_leaves_no_figure(experiment: Experiment) -> None:
    found = experiment(f"{CARD}error * 18\n")
    assert found.result["energy"]["headline"] is None
    assert found.result["energy"]["devices"][0]["energy_j"] is None
    assert "energy_unmeasured" in found.codes


def test_a_slow_nvml_is_told_and_the_figure_stays_right(experiment: Experiment) -> None:
    found = experiment(f"{CARD}slow * 300\n")
    (device,) = found.result["energy"]["devices"]
    assert device["energy_j"] == pytest.approx(250 * found.result["energy"]["window_s"], rel=0.05)
    assert "uncertain by up to" in found.warning("slow_sampling")
    (sampler,) = found.result["samplers"]
    assert sampler["achieved_hz"] < sampler["requested_hz"] / 2
    assert sampler["longest_gap_s"] > 0.3


def test_of_eight_gpus_the_one_that_throttles_is_named_and_no_other(experiment: Experiment) -> None:
    uuids = [f"GPU-{i:08x}-0000-0000-0000-000000000000" for i in range(8)]
    cards = [f"gpu {uuid} {H100}\npower constant {100 + i}\ncounter 0.02 0.00{i} 1\n" for i, uuid in enumerate(uuids)]
    cards[5] += "throttle 40 0 1000\n"
    found = experiment("".join(cards))
    message = found.warning("thermal_throttle")
    assert uuids[5] in message
    assert not any(uuid in message for uuid in uuids if uuid != uuids[5])
    slowed = [d["device"] for d in found.result["thermal"] if "hw_thermal_slowdown" in d["throttle_reasons"]]
    assert slowed == [uuids[5]]
    assert found.result["energy"]["headline"]["mean_w"] == pytest.approx(sum(range(100, 108)), rel=0.02)


def test_prefill_and_decode_share_the_windows_energy(experiment: Experiment) -> None:
    settings = {"testbed__token_s": 0.7, "dataset__output_tokens": 3, "dataset__n": 2}
    energy = experiment(CARD, **settings).result["energy"]
    stages, mean_w = energy["stages"], energy["headline"]["mean_w"]
    assert stages["reason"] is None
    for stage in (stages["prefill"], stages["decode"]):
        assert stage["energy_j"] == pytest.approx(mean_w * stage["duration_s"], rel=0.02)
    assert stages["decode"]["duration_s"] == pytest.approx(2 * stages["prefill"]["duration_s"], rel=0.05)
    assert stages["prefill"]["energy_j"] + stages["decode"]["energy_j"] <= energy["headline"]["energy_j"]


def test_a_counter_that_stands_still_gives_way_to_power_and_both_numbers_are_told(experiment: Experiment) -> None:
    found = experiment(CARD.replace("counter 0.02", "counter 1e9"))
    (device,) = found.result["energy"]["devices"]
    assert (device["method"], device["counter_j"], device["disagreement"]) == ("power", None, 1.0)
    assert right(device, found.result["energy"]["window_s"])
    assert "stood still throughout, at an increase of 0 J" in found.warning("counter_stuck")


def test_a_superchip_has_its_gpu_as_headline_and_the_module_beside_it(experiment: Experiment) -> None:
    found = experiment(f"{CARD}module 150\n")
    energy = found.result["energy"]
    totals = {total["scope"]: (total["method"], total["mean_w"]) for total in energy["totals"]}
    assert totals == {
        "gpu": ("power", pytest.approx(250, rel=0.02)),
        "module": ("counter", pytest.approx(400, rel=0.02)),
    }
    assert energy["headline"]["scope"] == "gpu"
    assert "identity_broken" not in found.codes
