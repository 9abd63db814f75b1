"""The NVML sampler and the real bindings on simulated cards, under a clock that the tests set."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

Gpus = Callable[[str], Mapping[str, str]]
Ask = Callable[..., Any]

A = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
B = "GPU-bbbbbbbb-0000-0000-0000-000000000002"
H100 = "NVIDIA H100 80GB HBM3"
STEADY = f"gpu {A} {H100}\npower constant 200\ncounter 0.1 0 1\n"

PREAMBLE = """
import json, struct, sys
from pathlib import Path
from llem.errors import SamplerUnavailable
from llem.samplers.nvml import NvmlSampler

def at(seconds):
    Path(sys.argv[1]).write_bytes(struct.pack("q", round(seconds * 1e9)))

def joules(reading):
    return None if reading.energy_j is None else reading.energy_j - 1000  # the counter did not start with the clock

at(0)
sampler = NvmlSampler()
try:
    devices = sampler.open({"devices": None})
except SamplerUnavailable as error:
    print(json.dumps(f"unavailable: {error}"))
    sys.exit()
"""


@pytest.fixture
def ask(simulated_gpus: Gpus, tmp_path: Path) -> Ask:
    """Opens the sampler on a scenario in a process of its own, runs code there, and gives back its `answer`."""

    def _ask(scenario: str, code: str, **variables: str) -> Any:
        clock = tmp_path / "clock"
        environment = {**simulated_gpus(f"epoch 0\nclock {clock}\n{scenario}"), **variables}
        for name in {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} - set(variables):
            environment.pop(name, None)
        command = [sys.executable, "-c", f"{PREAMBLE}{code}\nprint(json.dumps(answer))", str(clock)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    return _ask


DEVICES = "answer = [[d.id, d.name, d.scope, sorted(d.methods), d.update_period_s, d.note] for d in devices]"
READ = """
answer = []
for seconds in TIMES:
    at(seconds)
    (r,) = sampler.read()
    answer.append([joules(r), r.power_w])
"""


def test_a_card_is_a_device_by_uuid_with_counter_and_instant_power(ask: Ask) -> None:
    field = "power field NVML_FI_DEV_POWER_INSTANT"
    assert ask(STEADY, DEVICES) == [[A, H100, "gpu", ["counter", "power"], 0.1, field]]


def test_energy_and_power_are_those_of_the_card(ask: Ask) -> None:
    read = ask(STEADY, READ.replace("TIMES", "(1.0, 2.0, 2.05)"))
    assert read == [[pytest.approx(200), 200.0], [pytest.approx(400), 200.0], [pytest.approx(400), 200.0]]


def test_an_old_card_has_power_alone(ask: Ask) -> None:
    scenario = f"gpu {A} Tesla P100\npower constant 150\ncounter none\n"
    ((_, _, _, methods, period, _),) = ask(scenario, DEVICES)
    assert (methods, period) == (["power"], None)
    assert ask(scenario, READ.replace("TIMES", "(1.0,)")) == [[None, 150.0]]


def test_without_the_instant_field_the_averaged_one_is_read_and_named(ask: Ask) -> None:
    scenario = f"{STEADY}average 1 0\nerror nvmlDeviceGetFieldValues 3\n".replace("constant 200", "ramp 0 100 0 10")
    ((*_, note),) = ask(scenario, DEVICES)
    assert note.startswith("power field nvmlDeviceGetPowerUsage")
    assert "average" in note
    assert ask(scenario, READ.replace("TIMES", "(5.0,)"))[0][1] == pytest.approx(45)  # the mean of the second before


def test_a_card_without_power_has_its_counter_alone(ask: Ask) -> None:
    ((_, _, _, methods, _, note),) = ask(f"{STEADY}power_unsupported\n", DEVICES)
    assert (methods, note) == (["counter"], None)


def test_a_counter_that_is_reset_is_shown_as_it_is(ask: Ask) -> None:
    # The gate that all figures go through judges it, with both numbers; after the reset it counts again.
    read = ask(f"{STEADY}counter_reset_at 2\n", READ.replace("TIMES", "(1.0, 3.0, 20.0)"))
    assert read == [[pytest.approx(joules), 200.0] for joules in (200, 200 - 1000, 3600 - 1000)]


SUPERCHIP = f"gpu {A} NVIDIA GH200 480GB\npower constant 200\ncounter 0.1 0 1\nmodule 150\n"


def test_on_a_superchip_the_counter_is_the_modules_and_each_scope_is_asked_for(ask: Ask) -> None:
    gpu, module = ask(SUPERCHIP, DEVICES.replace("d.note]", "d.note, d.contained_in]"))
    assert gpu[:4] == [A, "NVIDIA GH200 480GB", "gpu", ["power"]]
    assert gpu[6] == f"{A}/module"
    assert module[:4] == [f"{A}/module", "module of NVIDIA GH200 480GB", "module", ["counter", "power"]]
    assert "NVML_POWER_SCOPE_MODULE" in module[5]
    code = "at(2.0)\nanswer = {r.device: [joules(r), r.power_w] for r in sampler.read()}"
    assert ask(SUPERCHIP, code) == {A: [None, 200.0], f"{A}/module": [pytest.approx(700), 350.0]}
    counters = "at(2.0)\nanswer = {id_: j - 1000 for id_, (_, j) in sampler.counters().items()}"
    assert ask(SUPERCHIP, counters) == {f"{A}/module": pytest.approx(700)}


def test_a_card_that_answers_for_no_module_keeps_its_counter(ask: Ask) -> None:
    assert [d[2] for d in ask(STEADY, DEVICES)] == ["gpu"]


def test_the_boards_limit_is_known_as_a_number(ask: Ask) -> None:
    assert ask(f"{STEADY}limit 350\n", "answer = devices[0].max_power_w") == 350


def test_a_card_that_is_lost_stays_listed_and_says_nothing(ask: Ask) -> None:
    assert ask(f"{STEADY}lost_at 2\n", READ.replace("TIMES", "(1.0, 3.0)")) == [
        [pytest.approx(200), 200.0],
        [None, None],
    ]


def test_a_lost_card_does_not_silence_another(ask: Ask) -> None:
    code = "at(3.0)\nanswer = {r.device: r.power_w for r in sampler.read()}"
    other = f"gpu {B} {H100}\npower constant 300\n"
    assert ask(f"{STEADY}lost_at 2\n{other}", code) == {A: None, B: 300.0}


def test_counters_alone_are_told_for_cards_that_have_one(ask: Ask) -> None:
    other = f"gpu {B} Tesla P100\npower constant 100\ncounter none\n"
    code = "at(1.0)\nanswer = {uuid: joules - 1000 for uuid, (_, joules) in sampler.counters().items()}"
    assert ask(STEADY + other, code) == {A: pytest.approx(200)}


def test_telemetry_is_read_with_units(ask: Ask) -> None:
    scenario = (
        f"{STEADY}limit 350\ntemperature 61\ngpu_clock 1500\nmemory_clock 2000\nmemory 81920 1024\nthrottle 44 0 9\n"
    )
    assert ask(scenario, "at(1.0)\nanswer = dict(sampler.read()[0].telemetry)") == {
        "throttle_reasons": 0x44,
        "temperature_c": 61,
        "gpu_clock_mhz": 1500,
        "memory_clock_mhz": 2000,
        "power_limit_w": 350,
        "memory_used_mb": 1024,
        "utilization_pct": 50,
    }


def test_what_a_card_does_not_tell_is_left_out(ask: Ask) -> None:
    scenario = f"{STEADY}error nvmlDeviceGetTemperature 3\nerror nvmlDeviceGetMemoryInfo 3\nerror nvmlDeviceGetMemoryInfo_v2 3\n"
    told = ask(scenario, "answer = dict(sampler.read()[0].telemetry)")
    assert "temperature_c" not in told
    assert "memory_used_mb" not in told
    assert "gpu_clock_mhz" in told


def test_facts_about_the_driver_and_the_cards_are_kept(ask: Ask) -> None:
    found = ask(f"driver 570.1\ncuda 12080\n{STEADY}limit 350\n", "answer = sampler.environment()")
    assert (found["driver"], found["cuda_driver"]) == ("570.1", "12.8")
    (card,) = found["gpus"]
    assert (card["uuid"], card["name"], card["power_limit_w"], card["mig"]) == (A, H100, 350, False)
    assert card["memory_total_mb"] == 81920
    assert card["energy_counter"] is True


def test_only_visible_cards_are_metered(ask: Ask) -> None:
    both = f"{STEADY}gpu {B} {H100}\npower constant 300\n"
    for value, expected in (("1", [B]), (A, [A]), ("GPU-b", [B]), ("1,0", [B, A])):
        assert [d[0] for d in ask(both, DEVICES, CUDA_VISIBLE_DEVICES=value)] == expected


@pytest.mark.parametrize(
    ("scenario", "variables", "words"),
    [
        ("", {}, ["no GPU"]),
        ("init_error 4\n", {}, ["ermission", "/dev/nvidia"]),
        ("init_error 9\n", {}, ["driver", "modprobe"]),
        ("init_error 18\n", {}, ["mismatch", "reboot"]),
        (STEADY, {"CUDA_VISIBLE_DEVICES": ""}, ["CUDA_VISIBLE_DEVICES=''", "no GPU visible"]),
        (STEADY, {"CUDA_VISIBLE_DEVICES": "MIG-1234"}, ["MIG-1234", "slice"]),
        (f"{STEADY}mig\n", {}, ["MIG is on", "whole card"]),
    ],
)
def test_what_cannot_be_measured_is_refused_with_reason_and_remedy(
    ask: Ask, scenario: str, variables: dict[str, str], words: list[str]
) -> None:
    said = ask(scenario, "answer = None", **variables)
    assert said.startswith("unavailable: ")
    assert [word for word in words if word not in said] == []


def test_beside_a_whole_card_a_mig_card_is_listed_and_unmeasured(ask: Ask) -> None:
    scenario = f"{STEADY}gpu {B} {H100}\npower constant 300\nmig\n"
    whole, sliced = ask(scenario, DEVICES)
    assert whole[3] == ["counter", "power"]
    assert sliced[3] == []
    assert "MIG is on" in sliced[5]
    read = ask(scenario, "at(1.0)\nanswer = {r.device: [r.energy_j, r.power_w] for r in sampler.read()}")
    assert read[B] == [None, None]


NO_INSTANT = "error nvmlDeviceGetFieldValues 3\ncounter none\n"


@pytest.mark.parametrize(("architecture", "period_s", "averaged"), [(9, 1.0, True), (8, None, False), (7, None, False)])
def test_power_usage_is_taken_for_an_average_after_ga100_only(
    ask: Ask, architecture: int, period_s: float | None, averaged: bool
) -> None:
    ((*_, methods, period, note),) = ask(f"{STEADY}{NO_INSTANT}architecture {architecture}\n", DEVICES)
    assert methods == ["power"]
    assert period == period_s
    assert ("average" in note) is averaged


def test_who_holds_a_card_is_told_by_card(ask: Ask) -> None:
    both = f"{STEADY}process 41 100\nprocess 42 100 2 3\ngpu {B} {H100}\npower constant 300\n"
    code = "answer = []\nfor t in (1.0, 2.5):\n    at(t)\n    answer.append({u: sorted(p) for u, p in sampler.processes().items()})"
    assert ask(both, code) == [{A: [41], B: []}, {A: [41, 42], B: []}]


def test_a_slow_driver_is_asked_for_telemetry_less_often(ask: Ask) -> None:
    code = """
import time
real, passed_ns = time.monotonic_ns, 0
time.monotonic_ns = lambda: real() + passed_ns
answer = []
for t in range(6):
    at(float(t))
    answer.append("temperature_c" in sampler.read()[0].telemetry)
    passed_ns += STEP_NS
"""
    assert ask(STEADY, f"STEP_NS = 5_000_000_000{code}") == [True] * 6
    slow = f"{STEADY}slow nvmlDeviceGetTemperature 400\n"
    assert ask(slow, f"STEP_NS = 550_000_000{code}") == [True] + [False] * 5
    assert ask(slow, f"STEP_NS = 60_000_000_000{code}") == [True] * 6
