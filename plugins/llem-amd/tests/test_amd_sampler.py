"""The AMD sampler and the real bindings on simulated cards, alone and in a whole experiment."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

Gpus = Callable[[str], Mapping[str, str]]
Ask = Callable[..., Any]

A, B = "GPU-aaaaaaaaaaaaaaa1", "GPU-bbbbbbbbbbbbbbb2"
MI300X, MI210 = "AMD Instinct MI300X", "AMD Instinct MI210"
STEADY = f"gpu {A} {MI300X}\npower constant 200\ncounter 0.1 0 1\n"
OTHER = f"gpu {B} {MI300X}\npower constant 300\ncounter 0.1 0 1\n"
LIMITS = {"CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"}

PREAMBLE = """
import json, struct, sys
from pathlib import Path
from llem.errors import SamplerUnavailable
from llem_amd.sampler import AmdSampler

def at(seconds):
    Path(sys.argv[1]).write_bytes(struct.pack("q", round(seconds * 1e9)))

def told():
    return {r.device: [None if r.energy_j is None else round(r.energy_j - 1000, 3), r.power_w] for r in sampler.read()}

sampler = AmdSampler()
try:
    devices = [[d.id, d.name, d.scope, sorted(d.methods), d.note] for d in sampler.open({"devices": None})]
except SamplerUnavailable as error:
    print(json.dumps(f"unavailable: {error}"))
    sys.exit()
"""


@pytest.fixture
def ask(simulated_amd_gpus: Gpus, tmp_path: Path) -> Ask:
    """Opens the sampler on a scenario in a process of its own, runs code there, and gives back its `answer`."""

    def _ask(scenario: str, code: str, **variables: str) -> Any:
        clock = tmp_path / "clock"
        clock.write_bytes(struct.pack("q", 0))
        environment = {**simulated_amd_gpus(f"epoch 0\nclock {clock}\n{scenario}"), **variables}
        for name in LIMITS - set(variables):
            environment.pop(name, None)
        command = [sys.executable, "-c", f"{PREAMBLE}{code}\nprint(json.dumps(answer))", str(clock)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    return _ask


def test_a_card_is_a_device_by_the_id_that_hip_gives_it(ask: Ask) -> None:
    note = "power field current_socket_power: instant"
    assert ask(STEADY, "answer = devices") == [[A, MI300X, "gpu", ["counter", "power"], note]]


def test_energy_is_accumulator_times_resolution(ask: Ask) -> None:
    code = "answer = []\nfor s in (1.0, 2.0, 2.05):\n    at(s)\n    answer.append(told())"
    assert ask(STEADY, code) == [{A: [pytest.approx(j, abs=0.01), 200.0]} for j in (200, 400, 400)]


def test_an_earlier_card_has_averaged_power_and_says_so(ask: Ask) -> None:
    scenario = f"gpu {A} {MI210}\npower ramp 10 110 0 10\ncounter 0.1 0 1\naverage 1 0\n"
    ((*_, note),), told = ask(scenario, "at(5.0)\nanswer = [devices, told()]")
    assert note == "power field average_socket_power: an average"
    assert told[A][1] == pytest.approx(55, abs=1)


def test_an_accumulator_of_zero_does_not_count(ask: Ask) -> None:
    scenario = f"gpu {A} {MI210}\npower constant 150\ncounter none\n"
    ((_, _, _, methods, _),), told = ask(scenario, "at(5.0)\nanswer = [devices, told()]")
    assert methods == ["power"]
    assert told == {A: [None, 150.0]}


def test_the_second_die_of_a_card_is_not_measured_as_zero(ask: Ask) -> None:
    name = "AMD Instinct MI250X"
    scenario = f"gpu {A} {name}\npower constant 400\ncounter 0.1 0 1\ngpu {B} {name}\npower constant 0\ncounter none\n"
    found = {d[0]: d[3:] for d in ask(scenario, "answer = devices")}
    assert found[A][0] == ["counter", "power"]
    assert "both" in found[A][1]
    assert found[B][0] == []
    assert "neither energy nor power" in found[B][1]


def test_a_counter_that_is_reset_is_shown_as_it_is(ask: Ask) -> None:
    code = "answer = []\nfor s in (1.0, 3.0, 90.0):\n    at(s)\n    answer.append(told()[devices[0][0]][0])"
    # The gate that all figures go through judges it, with both numbers; after the reset it counts again.
    shown = [pytest.approx(joules, abs=0.01) for joules in (200, 200 - 1000, 17600 - 1000)]
    assert ask(f"{STEADY}counter_reset_at 2\n", code) == shown


def test_a_lost_card_stays_listed_and_does_not_silence_another(ask: Ask) -> None:
    assert ask(f"{STEADY}lost_at 2\n{OTHER}", "at(3.0)\nanswer = {d: v[1] for d, v in told().items()}") == {
        A: None,
        B: 300.0,
    }


def test_telemetry_and_facts_are_read_with_units(ask: Ask) -> None:
    scenario = f"{STEADY}limit 750\ntemperature 61\ngpu_clock 2100\nmemory_clock 1300\nmemory 196608 1024\n"
    code = "at(1.0)\nanswer = [dict(sampler.read()[0].telemetry), sampler.environment()['gpus'][0]]"
    telemetry, facts = ask(f"driver 6.12.12\n{scenario}", code)
    assert telemetry == {
        "temperature_c": 61,
        "gpu_clock_mhz": 2100,
        "memory_clock_mhz": 1300,
        "power_limit_w": 750,
        "memory_used_mb": 1024,
        "utilization_pct": 50,
    }
    assert (facts["driver"], facts["power_limit_w"], facts["memory_total_mb"]) == ("6.12.12", 750, 196608)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, [B, A]),  # HIP counts from the last
        ({"HIP_VISIBLE_DEVICES": "0"}, [B]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [A]),
        ({"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"}, [B]),
        ({"ROCR_VISIBLE_DEVICES": A}, [A]),
        ({"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}, [A]),  # the only one that is left
    ],
)
def test_only_visible_cards_are_metered(ask: Ask, variables: dict[str, str], expected: list[str]) -> None:
    assert ask(STEADY + OTHER, "answer = [d[0] for d in devices]", **variables) == expected


@pytest.mark.parametrize(
    ("scenario", "variables", "words"),
    [
        ("", {}, ["lists no GPU"]),
        ("init_error 34\n", {}, ["does not start", "DRIVER_NOT_LOADED", "/dev/kfd"]),
        (STEADY, {"HIP_VISIBLE_DEVICES": ""}, ["no AMD GPU", "HIP_VISIBLE_DEVICES"]),
        (STEADY, {"ROCM_PATH": "/nowhere"}, ["libamd_smi.so", "ROCm"]),
    ],
)
def test_what_cannot_be_measured_is_refused_with_reason_and_remedy(
    ask: Ask, scenario: str, variables: dict[str, str], words: list[str]
) -> None:
    said = ask(scenario, "answer = None", **variables)
    assert said.startswith("unavailable: ")
    assert [word for word in words if word not in said] == []


def test_an_experiment_on_amd_cards_is_measured_by_their_counters(
    simulated_amd_gpus: Gpus, testbed_result: Callable[..., dict[str, Any]]
) -> None:
    environment = {k: v for k, v in simulated_amd_gpus(STEADY + OTHER).items() if k not in LIMITS}
    result = testbed_result(environment)
    figure, window_s = result["energy"]["headline"], result["energy"]["window_s"]
    assert (figure["method"], figure["samplers"]) == ("counter", ["amd"])
    assert sorted(figure["devices"]) == [A, B]
    assert figure["energy_j"] == pytest.approx(500 * window_s, rel=0.01)
    (card,) = [device for device in result["energy"]["devices"] if device["device"] == A]
    assert card["power_j"] == pytest.approx(card["counter_j"], rel=0.02)
