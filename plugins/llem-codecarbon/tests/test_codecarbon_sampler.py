"""The real CodeCarbon on simulated cards, alone and in whole experiments, against known energy."""

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
Testbed = Callable[..., dict[str, Any]]

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000001", "GPU-bbbbbbbb-0000-0000-0000-000000000002"
H100 = "NVIDIA H100 80GB HBM3"
STEADY = f"gpu {A} {H100}\npower constant 250\ncounter 0.02 0 1\n"
LIMITS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")

PREAMBLE = """
import json, os, struct, time
from pathlib import Path
from llem.errors import SamplerUnavailable
from llem_codecarbon.sampler import CodeCarbonSampler

sampler = CodeCarbonSampler()
def opened(**settings):
    try:
        return [[d.id, d.scope, sorted(d.methods), d.note] for d in sampler.open({"devices": None, "cpu_tdp_w": None, **settings})]
    except SamplerUnavailable as error:
        return str(error)
def told():
    return {r.device: [r.energy_j, r.power_w] for r in sampler.read()}
def at(seconds):
    Path(os.environ["CLOCK"]).write_bytes(struct.pack("q", round(seconds * 1e9)))
"""


@pytest.fixture
def with_tools(tmp_path: Path) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """CodeCarbon looks for a card only where it can run its vendor's tool: puts one that does nothing on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("nvidia-smi", "rocm-smi"):
        (folder / name).write_text("#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)

    def add(environment: Mapping[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in environment.items() if k not in LIMITS}
        return {**kept, "PATH": f"{folder}:{environment['PATH']}", "HOME": str(tmp_path)}

    return add


@pytest.fixture
def clocked(tmp_path: Path) -> Callable[[Gpus, str], dict[str, str]]:
    """Takes cards and a scenario; returns an environment in which the cards' time is what `at` says, at first 0."""

    def start(gpus: Gpus, scenario: str) -> dict[str, str]:
        clock = tmp_path / "clock"
        clock.write_bytes(bytes(8))
        return {**gpus(f"epoch 0\nclock {clock}\n{scenario}"), "CLOCK": str(clock)}

    return start


def ask(environment: Mapping[str, str], code: str, **variables: str) -> Any:
    """Runs code in a process of its own, and gives back its `answer`. Nothing else may be said there."""
    command = [sys.executable, "-c", f"{PREAMBLE}{code}\nprint(json.dumps(answer))"]
    done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_an_experiment_is_measured_by_codecarbon_alone_where_it_is_named(
    simulated_gpus: Gpus, with_tools: Any, testbed_result: Testbed
) -> None:
    environment = with_tools(simulated_gpus(STEADY))
    result = testbed_result(environment, measurement__samplers='["codecarbon"]', measurement__min_window_s=4)
    assert [s["name"] for s in result["samplers"]] == ["codecarbon"]
    figure, window_s = result["energy"]["headline"], result["energy"]["window_s"]
    assert (figure["method"], figure["devices"]) == ("counter", [A])
    assert figure["energy_j"] == pytest.approx(250 * window_s, rel=0.02)
    methods = {d["device"]: d["method"] for d in result["energy"]["devices"]}
    assert methods == {A: "counter", "codecarbon:cpu": "estimate", "codecarbon:ram": "estimate"}
    estimates = {t["scope"]: t for t in result["energy"]["totals"] if t["method"] == "estimate"}
    assert set(estimates) == {"cpu", "dram"}
    assert estimates["cpu"]["energy_j"] > 0


def test_unless_it_is_named_it_does_not_run(simulated_gpus: Gpus, with_tools: Any, testbed_result: Testbed) -> None:
    result = testbed_result(with_tools(simulated_gpus(STEADY)), measurement__min_window_s=0.2)
    report = next(s for s in result["samplers"] if s["name"] == "codecarbon")
    assert report["used"] is False
    assert "measurement.samplers" in report["reason"]


def test_a_card_is_counted_and_the_rest_is_called_an_estimate(
    simulated_gpus: Gpus, with_tools: Any, clocked: Any
) -> None:
    code = "devices = opened(); first = told(); at(2); time.sleep(1.2); last = told()\n"
    code += "answer = [devices, {d: (last[d][0] - first[d][0]) / 2 for d in last}]"
    devices, watts = ask(with_tools(clocked(simulated_gpus, STEADY)), code)
    assert [d[:3] for d in devices] == [
        [A, "gpu", ["counter"]],
        ["codecarbon:ram", "dram", ["estimate"]],
        ["codecarbon:cpu", "cpu", ["estimate"]],
    ]
    assert all("estimate, not a measurement" in d[3] for d in devices[1:])
    assert watts[A] == pytest.approx(250, rel=0.001)
    assert watts["codecarbon:ram"] > 0
    assert watts["codecarbon:cpu"] > 0


def test_the_rated_power_of_the_study_is_given_to_codecarbon(simulated_gpus: Gpus, with_tools: Any) -> None:
    devices = ask(with_tools(simulated_gpus(STEADY)), "answer = opened(cpu_tdp_w=123.0)")
    assert "rated at 123 W" in next(d[3] for d in devices if d[0] == "codecarbon:cpu")


def test_what_is_estimated_never_goes_back_between_two_looks_at_the_load(simulated_gpus: Gpus, with_tools: Any) -> None:
    code = """
opened(); seen = []
busy = time.monotonic() + 1.2
while time.monotonic() < busy: pass
for _ in range(40):
    time.sleep(0.05)
    seen.append(told()["codecarbon:cpu"][0])
answer = seen
"""
    seen = ask(with_tools(simulated_gpus(STEADY)), code)
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_a_card_without_a_counter_has_power_alone(simulated_gpus: Gpus, with_tools: Any) -> None:
    scenario = f"gpu {A} Tesla P100\npower constant 150\ncounter none\n"
    (card, *_), told = ask(with_tools(simulated_gpus(scenario)), "answer = [opened(), told()]")
    assert card[2] == ["power"]
    assert card[3].startswith("power field")
    assert told[A] == [None, 150.0]


def test_a_counter_that_goes_backwards_ends_the_figure(simulated_gpus: Gpus, with_tools: Any, clocked: Any) -> None:
    # CodeCarbon itself would go on with power.
    code = "opened(); first = told(); at(15.1); after = told(); at(15.2); answer = [first, after, told()]"
    first, after, later = ask(with_tools(clocked(simulated_gpus, f"{STEADY}counter_reset_at 15\n")), code)
    assert first[A][0] is not None
    assert after[A] == [None, None]
    assert later[A] == [None, None]


@pytest.mark.parametrize(("value", "expected"), [("1", [B]), (A, [A]), ("GPU-b", [B])])
def test_every_form_of_visible_devices_is_understood(
    simulated_gpus: Gpus, with_tools: Any, value: str, expected: list[str]
) -> None:
    environment = with_tools(simulated_gpus(f"{STEADY}gpu {B} {H100}\npower constant 300\n"))
    code = "answer = [d[0] for d in opened() if d[1] == 'gpu']"
    assert ask(environment, code, CUDA_VISIBLE_DEVICES=value) == expected


def test_a_mig_card_is_listed_and_not_measured(simulated_gpus: Gpus, with_tools: Any) -> None:
    scenario = f"gpu {A} {H100}\npower constant 100\nmig\n"
    (card, *_), told = ask(with_tools(simulated_gpus(scenario)), "answer = [opened(), told()]")
    assert card[2] == []
    assert "MIG is on" in card[3]
    assert told[A] == [None, None]


def test_an_amd_card_has_the_id_of_the_sampler_amd(simulated_amd_gpus: Gpus, with_tools: Any, clocked: Any) -> None:
    card = "GPU-aaaaaaaaaaaaaaa1"
    scenario = f"gpu {card} AMD Instinct MI210\npower constant 200\ncounter 0.02 0 1\n"
    code = "devices = opened(); first = told(); at(1)\n"
    code += f"answer = [devices[0], told()[{card!r}][0] - first[{card!r}][0]]"
    device, joules = ask(with_tools(clocked(simulated_amd_gpus, scenario)), code)
    assert device[:3] == [card, "gpu", ["counter"]]
    assert joules == pytest.approx(200, rel=0.001)


def test_a_die_that_shows_nothing_is_not_measured_as_zero(simulated_amd_gpus: Gpus, with_tools: Any) -> None:
    first, second = "GPU-aaaaaaaaaaaaaaa1", "GPU-bbbbbbbbbbbbbbb2"
    name = "AMD Instinct MI250X"
    scenario = f"gpu {first} {name}\npower constant 400\ncounter 0.02 0 1\n"
    scenario += f"gpu {second} {name}\npower constant 0\ncounter none\n"
    devices, told = ask(with_tools(simulated_amd_gpus(scenario)), "answer = [opened(), told()]")
    methods = {d[0]: d[2] for d in devices}
    assert (methods[first], methods[second]) == (["counter"], [])
    assert told[second] == [None, None]


def test_nothing_is_written_and_no_thread_is_left(simulated_gpus: Gpus, with_tools: Any, tmp_path: Path) -> None:
    code = "import os, threading\nos.chdir(os.environ['HOME'])\nbefore = sorted(os.listdir())\nopened(); told(); sampler.close()\n"
    code += "answer = [sorted(os.listdir()) == before, threading.active_count()]"
    assert ask(with_tools(simulated_gpus(STEADY)), code) == [True, 1]


def test_its_plugin_does_not_import_codecarbon() -> None:
    code = (
        "import sys, llem_codecarbon.plugin as p\nassert p.llem_energy_samplers()\nprint('codecarbon' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
