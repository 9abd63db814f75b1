"""The real Zeus on simulated cards and RAPL zones, alone and in whole experiments, against known energy."""

from __future__ import annotations

import json
import os
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
TWO = (
    f"gpu {A} {H100}\npower constant 100\ncounter 0.02 0 1\ngpu {B} {H100}\npower constant 300\ncounter 0.02 0.007 1\n"
)
LIMITS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")

PREAMBLE = """
import json, os, struct, sys, time
from pathlib import Path
from llem.errors import SamplerUnavailable
from llem_zeus.sampler import ZeusSampler

sampler = ZeusSampler()
def opened():
    try:
        return [[d.id, d.scope, sorted(d.methods), d.note] for d in sampler.open({"devices": None})]
    except SamplerUnavailable as error:
        return str(error)
def at(seconds):
    Path(os.environ["CLOCK"]).write_bytes(struct.pack("q", round(seconds * 1e9)))
def mean_w(seconds):
    first = {r.device: r for r in sampler.read()}
    time.sleep(seconds)
    return {
        r.device: None
        if r.energy_j is None or first[r.device].energy_j is None
        else (r.energy_j - first[r.device].energy_j) / (r.t_ns - first[r.device].t_ns) * 1e9
        for r in sampler.read()
    }
"""


@pytest.fixture
def clocked_gpus(simulated_gpus: Gpus, tmp_path: Path) -> Gpus:
    """`simulated_gpus` whose time is what `at` says, at first 0."""
    clock = tmp_path / "clock"
    clock.write_bytes(bytes(8))
    return lambda scenario: {**simulated_gpus(f"epoch 0\nclock {clock}\n{scenario}"), "CLOCK": str(clock)}


def ask(environment: Mapping[str, str], code: str, **variables: str) -> Any:
    """Runs code in a process of its own, and gives back its `answer`."""
    env = {**{k: v for k, v in environment.items() if k not in LIMITS}, **variables}
    command = [sys.executable, "-c", f"{PREAMBLE}{code}\nprint(json.dumps(answer))"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_experiment_is_measured_by_zeus_alone_where_it_is_named(
    simulated_gpus: Gpus, testbed_result: Testbed
) -> None:
    result = testbed_result(simulated_gpus(TWO), measurement__samplers='["zeus"]')
    assert [s["name"] for s in result["samplers"]] == ["zeus"]
    figure, window_s = result["energy"]["headline"], result["energy"]["window_s"]
    assert (figure["method"], figure["samplers"]) == ("counter", ["zeus"])
    assert figure["energy_j"] == pytest.approx(400 * window_s, rel=0.01)
    means = {d["device"]: d["mean_w"] for d in result["energy"]["devices"]}
    assert means == {A: pytest.approx(100, rel=0.01), B: pytest.approx(300, rel=0.01)}


def test_with_nvml_beside_it_each_card_is_added_once(simulated_gpus: Gpus, testbed_result: Testbed) -> None:
    result = testbed_result(simulated_gpus(TWO), measurement__samplers='["nvml", "zeus"]')
    told = {(d["sampler"], d["device"]): d["energy_j"] for d in result["energy"]["devices"]}
    assert told["zeus", A] == pytest.approx(told["nvml", A], rel=0.01)
    assert told["zeus", B] == pytest.approx(told["nvml", B], rel=0.01)
    assert result["energy"]["headline"]["mean_w"] == pytest.approx(400, rel=0.01)
    assert result["energy"]["headline"]["samplers"] == ["nvml"]


def test_unless_it_is_named_it_does_not_run(simulated_gpus: Gpus, testbed_result: Testbed) -> None:
    result = testbed_result(simulated_gpus(TWO), measurement__min_window_s=0.2)
    report = next(s for s in result["samplers"] if s["name"] == "zeus")
    assert report["used"] is False
    assert "measurement.samplers" in report["reason"]
    assert result["energy"]["headline"]["samplers"] == ["nvml"]


def test_a_card_without_a_counter_has_power_alone(simulated_gpus: Gpus) -> None:
    # Zeus asks for the architecture: Pascal has no counter.
    scenario = f"gpu {A} Tesla P100\npower constant 150\ncounter none\n"
    answer = ask(simulated_gpus(scenario), "answer = [opened(), [[r.energy_j, r.power_w] for r in sampler.read()]]")
    ((_, _, methods, note),), readings = answer
    assert methods == ["power"]
    assert note.startswith("power field zeus.get_instant_power_usage")
    assert readings == [[None, 150.0]]


GH200 = f"gpu {A} NVIDIA GH200 480GB\npower constant 300\nmodule 200\ncounter 0.02 0 1\n"


def test_counter_and_power_that_zeus_reads_of_a_superchip_are_its_modules(
    simulated_gpus: Gpus, testbed_result: Testbed
) -> None:
    # Zeus asks for the module's power where a link from chip to chip is on, as on a real GH200.
    devices, powers = ask(simulated_gpus(GH200), "answer = [opened(), {r.device: r.power_w for r in sampler.read()}]")
    assert [device[:3] for device in devices] == [[A, "gpu", []], [f"{A}/module", "module", ["counter", "power"]]]
    assert "nothing of the GPU alone" in devices[0][3]
    assert powers == {A: None, f"{A}/module": 500.0}
    headline = testbed_result(simulated_gpus(GH200), measurement__samplers='["zeus"]')["energy"]["headline"]
    assert (headline["scope"], headline["mean_w"]) == ("module", pytest.approx(500, rel=0.03))


def test_the_counter_of_a_superchip_is_its_modules_and_the_gpu_has_power_alone(simulated_gpus: Gpus) -> None:
    scenario = f"{GH200}error nvmlDeviceGetC2cModeInfoV 3\n"
    devices, means, powers = ask(
        simulated_gpus(scenario), "answer = [opened(), mean_w(0.5), {r.device: r.power_w for r in sampler.read()}]"
    )
    assert [device[:3] for device in devices] == [[A, "gpu", ["power"]], [f"{A}/module", "module", ["counter"]]]
    assert "the energy counter is the whole module's" in devices[0][3]
    assert means == {A: None, f"{A}/module": pytest.approx(500, rel=0.1)}
    assert powers[A] == 300.0


@pytest.mark.parametrize(("value", "expected"), [("1", [B]), (A, [A]), ("GPU-b", [B]), ("1,0", [B, A])])
def test_every_form_of_visible_devices_is_understood(simulated_gpus: Gpus, value: str, expected: list[str]) -> None:
    opened = ask(simulated_gpus(TWO), "answer = opened()", CUDA_VISIBLE_DEVICES=value)
    assert [device[0] for device in opened] == expected


def test_the_environment_is_as_before_once_it_is_open(simulated_gpus: Gpus) -> None:
    code = "import os\nopened()\nanswer = os.environ['CUDA_VISIBLE_DEVICES']"
    assert ask(simulated_gpus(TWO), code, CUDA_VISIBLE_DEVICES=B) == B


def test_a_mig_card_is_refused_and_beside_a_whole_one_listed_unmeasured(simulated_gpus: Gpus) -> None:
    sliced = f"gpu {A} {H100}\npower constant 100\nmig\n"
    refused = ask(simulated_gpus(sliced), "answer = opened()")
    assert "MIG is on" in refused
    both = ask(simulated_gpus(f"{sliced}gpu {B} {H100}\npower constant 300\n"), "answer = opened()")
    assert [(d[0], d[2]) for d in both] == [(A, []), (B, ["counter", "power"])]


def test_a_counter_that_goes_backwards_ends_the_figure(clocked_gpus: Gpus) -> None:
    scenario = f"gpu {A} {H100}\npower constant 200\ncounter 0.02 0 1\ncounter_reset_at 4\n"
    code = "opened(); first = sampler.read()[0].energy_j\n"
    code += "at(4.5); after = sampler.read()[0]; at(4.6)\n"
    code += "answer = [first, after.energy_j, after.power_w, sampler.read()[0].energy_j]"
    first, after, power, later = ask(clocked_gpus(scenario), code)
    assert first is not None
    assert (after, power, later) == (None, 200.0, None)


def test_a_lost_card_stays_listed_and_says_nothing(clocked_gpus: Gpus) -> None:
    scenario = f"gpu {A} {H100}\npower constant 200\nlost_at 4\n"
    code = "opened(); at(4.5)\nanswer = [[r.device, r.energy_j, r.power_w] for r in sampler.read()]"
    assert ask(clocked_gpus(scenario), code) == [[A, None, None]]


def test_where_there_is_nothing_to_measure_it_says_what_it_needs() -> None:
    answer = ask(dict(os.environ), "answer = opened()", LD_LIBRARY_PATH="/nowhere", ROCM_PATH="/nowhere")
    assert "nothing to measure" in answer
    assert "NVIDIA" in answer


def test_amd_cards_have_the_ids_of_the_sampler_amd(simulated_amd_gpus: Gpus) -> None:
    scenario = "gpu GPU-aaaaaaaaaaaaaaa1 AMD Instinct MI300X\npower constant 250\ncounter 0.02 0 1\n"
    code = "from llem_amd.sampler import AmdSampler\n"
    code += "answer = [opened(), [d.id for d in AmdSampler().open({})], mean_w(1)]"
    opened, ids, mean = ask(simulated_amd_gpus(scenario), code)
    assert [d[0] for d in opened] == ids == ["GPU-aaaaaaaaaaaaaaa1"]
    assert opened[0][2] == ["counter", "power"]
    assert mean == {"GPU-aaaaaaaaaaaaaaa1": pytest.approx(250, rel=0.05)}


def test_rapl_zones_are_named_as_llem_names_them_and_psys_is_no_cpu(tmp_path: Path) -> None:
    for folder, name in (("0", "package-0"), ("0/intel-rapl:0:0", "dram"), ("1", "psys")):
        zone = tmp_path / f"intel-rapl:{folder}"
        zone.mkdir()
        (zone / "name").write_text(name)
        (zone / "energy_uj").write_text("5000000")
        (zone / "max_energy_range_uj").write_text("262143328850")
    code = f"import zeus.device.cpu.rapl as rapl\nrapl.RAPL_DIR = {str(tmp_path)!r}\n"
    code += "answer = [opened(), [r.energy_j for r in sampler.read()], list(sampler.counters())]"
    opened, joules, ticking = ask(dict(os.environ), code, LD_LIBRARY_PATH="/nowhere", ROCM_PATH="/nowhere")
    assert [d[:3] for d in opened] == [
        ["rapl:package-0", "cpu", ["counter"]],
        ["rapl:package-0/dram", "dram", ["counter"]],
        ["rapl:psys", "host", ["counter"]],
    ]
    assert joules == [5.0, 5.0, 5.0]
    assert ticking == []


def test_its_plugin_does_not_import_zeus() -> None:
    code = "import sys, llem_zeus.plugin as p\nassert p.llem_energy_samplers()\nprint('zeus' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
