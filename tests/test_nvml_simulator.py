"""The simulated NVML itself: its truth against closed formulas, and what the real bindings read from it under a set clock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.process

Gpus = Callable[[str], Mapping[str, str]]
Ask = Callable[..., Any]

A = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
B = "GPU-bbbbbbbb-0000-0000-0000-000000000002"
H100 = "NVIDIA H100 80GB HBM3"
CARD = f"gpu {A} {H100}\n"

PREAMBLE = """
import json, struct, sys, time
from pathlib import Path
import pynvml as n

def at(seconds):
    Path(sys.argv[1]).write_bytes(struct.pack("q", round(seconds * 1e9)))

def error(call, *arguments):
    try:
        call(*arguments)
    except n.NVMLError as problem:
        return problem.value
    return 0

at(0)
n.nvmlInit()
g = n.nvmlDeviceGetHandleByIndex(0)
"""


@pytest.fixture
def ask(simulated_gpus: Gpus, tmp_path: Path) -> Ask:
    """Runs code with the real bindings in a process of its own, under a clock that it sets; gives back its `answer`."""

    def _ask(scenario: str, code: str) -> Any:
        clock = tmp_path / "clock"
        environment = simulated_gpus(f"epoch 0\nclock {clock}\n{scenario}")
        command = [sys.executable, "-c", f"{PREAMBLE}{code}\nprint(json.dumps(answer))", str(clock)]
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return _ask


@pytest.fixture
def truth(nvml_library: Path, tmp_path: Path) -> Callable[[str], Callable[[float, float], float]]:
    """Joules between two seconds of a load on one card."""
    from sim.nvml import Truth

    def _truth(power: str) -> Callable[[float, float], float]:
        file = tmp_path / "truth.txt"
        file.write_text(f"epoch 0\n{CARD}power {power}\n")
        known = Truth(nvml_library, file)
        return lambda start, end: known.energy_j(0, round(start * 1e9), round(end * 1e9))

    return _truth


LOADS: dict[str, Callable[[float], float]] = {
    "constant 250": lambda t: 250.0,
    "square 100 500 0.8 0.25": lambda t: 500.0 if t % 0.8 < 0.2 else 100.0,
    "ramp 50 450 2 10": lambda t: min(max(50 + 50 * (t - 2), 50), 450),
    "pattern 600 0.1 300 0.7 80 0.2": lambda t: 600.0 if t % 1 < 0.1 else 300.0 if t % 1 < 0.8 else 80.0,
    "pattern 600 0.1 300 0.7 80 0.2\nshift 0.5": lambda t: (
        600.0 if (t + 0.5) % 1 < 0.1 else 300.0 if (t + 0.5) % 1 < 0.8 else 80.0
    ),
}


@pytest.mark.parametrize("power", LOADS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 12), length=st.floats(0.01, 5))
def test_the_truth_is_the_integral_of_the_power(truth: Any, power: str, start: float, length: float) -> None:
    steps = 4000
    watts = LOADS[power]
    middle = sum(watts(start + (i + 0.5) * length / steps) for i in range(steps)) * length / steps
    # A jump inside a step is off by at most the step times its height; there are few of them.
    assert truth(power)(start, start + length) == pytest.approx(middle, abs=40 * 520 * length / steps + 1e-6)


@pytest.mark.parametrize(
    ("power", "start", "end", "joules"),
    [
        ("constant 250", 1, 3.5, 625),
        ("square 100 500 0.8 0.25", 0, 0.8, 160),
        ("square 100 500 0.8 0.25", 0.1, 0.3, 60),
        ("ramp 50 450 2 10", 0, 12, 50 * 2 + 250 * 8 + 450 * 2),
        ("pattern 600 0.1 300 0.9", 0, 10, 3300),
        ("pattern 600 0.1 300 0.9\nshift 0.05", 0, 0.1, 45),
    ],
)
def test_the_truth_is_exact(truth: Any, power: str, start: float, end: float, joules: float) -> None:
    assert truth(power)(start, end) == pytest.approx(joules, rel=1e-12)


def test_a_load_that_a_process_switches_is_followed(nvml_library: Path, tmp_path: Path) -> None:
    from sim.nvml import Load, Truth

    epoch_ns = time.monotonic_ns()
    load = Load(tmp_path / "trace", epoch_ns)
    (tmp_path / "s").write_text(f"epoch {epoch_ns}\n{CARD}power trace 60 {tmp_path / 'trace'}\n")
    known = Truth(nvml_library, tmp_path / "s")
    on = load.set(400)
    time.sleep(0.05)
    off = load.set(60)
    expected = 60 * (on - epoch_ns) / 1e9 + 400 * (off - on) / 1e9 + 60 * 1.0
    assert known.energy_j(0, epoch_ns, off + 1_000_000_000) == pytest.approx(expected, rel=1e-6)
    assert [known.power_w(0, t) for t in (on - 1000, on + 1000, off + 1000)] == [60, 400, 60]


def test_the_counter_shows_its_last_tick_in_whole_quanta(ask: Ask) -> None:
    code = """
answer = []
for t in (0.24, 0.26, 0.34, 0.36, 1.0):
    at(t)
    answer.append(n.nvmlDeviceGetTotalEnergyConsumption(g) - 1_000_000)
"""
    # Ticks at 0.05, 0.15, ... s; 333 W; whole steps of 100 mJ.
    read = ask(f"{CARD}power constant 333\ncounter 0.1 0.05 100\n", code)
    exact = [333 * tick * 1000 for tick in (0.15, 0.25, 0.25, 0.35, 0.95)]
    assert read == [int(mj // 100 * 100) for mj in exact]


def test_averaged_power_lags_and_instant_power_does_not(ask: Ask) -> None:
    code = """
at(5.0)
fields = n.nvmlDeviceGetFieldValues(g, [n.NVML_FI_DEV_POWER_INSTANT, n.NVML_FI_DEV_POWER_AVERAGE])
answer = [n.nvmlDeviceGetPowerUsage(g), *(f.value.uiVal for f in fields)]
"""
    averaged, instant, field = ask(f"{CARD}power ramp 0 100000 0 1000\naverage 1 0.25\n", code)
    assert instant == pytest.approx(500_000)
    assert averaged == field == pytest.approx((5 - 0.25 - 0.5) * 100_000)


def test_what_a_card_cannot_tell_is_not_supported(ask: Ask) -> None:
    code = """
answer = [error(n.nvmlDeviceGetTotalEnergyConsumption, g), error(n.nvmlDeviceGetPowerUsage, g), n.nvmlDeviceGetArchitecture(g)]
answer += [f.nvmlReturn for f in n.nvmlDeviceGetFieldValues(g, [n.NVML_FI_DEV_POWER_INSTANT, 83, 4711])]
"""
    old = f"gpu {A} Tesla P100\npower constant 100\narchitecture 4\n"
    assert ask(f"{old}counter none\n", code) == [3, 0, 4, 0, 3, 3]
    assert ask(f"{old}power_unsupported\n", code) == [0, 3, 4, 3, 0, 3]
    assert ask(f"{old}mig\n", code) == [3, 3, 4, 3, 3, 3]


def test_errors_come_when_they_are_ordered_and_only_then(ask: Ask) -> None:
    code = """
answer = []
for t in (1.0, 2.0, 3.0, 4.0):
    at(t)
    answer.append([error(n.nvmlDeviceGetPowerUsage, g), error(n.nvmlDeviceGetName, g)])
"""
    scenario = f"{CARD}power constant 100\nerror nvmlDeviceGetPowerUsage 4 2 3\nlost_at 3.5\n"
    assert ask(scenario, code) == [[0, 0], [4, 0], [0, 0], [15, 15]]
    assert ask(f"{CARD}power constant 100\nerror * 999 2 3\n", code)[1] == [999, 999]


@pytest.mark.parametrize("code", [4, 9, 18])
def test_an_nvml_that_does_not_start_says_why(ask: Ask, code: int) -> None:
    ending = "answer = error(n.nvmlInit)"
    with pytest.raises(AssertionError, match="NVMLError"):
        ask(f"init_error {code}\n{CARD}power constant 1\n", ending)


def test_a_slow_call_takes_its_time(ask: Ask) -> None:
    code = "before = time.monotonic(); n.nvmlDeviceGetPowerUsage(g); answer = time.monotonic() - before"
    assert ask(f"{CARD}power constant 100\nslow nvmlDeviceGetPowerUsage 300\n", code) >= 0.3


def test_a_reset_counter_starts_again_at_zero(ask: Ask) -> None:
    code = """
answer = []
for t in (1.0, 2.5):
    at(t)
    answer.append(n.nvmlDeviceGetTotalEnergyConsumption(g))
"""
    assert ask(f"{CARD}power constant 100\ncounter 0.1 0 1\ncounter_reset_at 2\n", code) == [1_100_000, 50_000]


def test_state_limits_memory_processes_and_versions_are_told(ask: Ask) -> None:
    scenario = (
        f"driver 570.1\ncuda 12080\n{CARD}power constant 100\nlimit 350\ntemperature 61\ngpu_clock 1500\n"
        f"memory_clock 2000\nthrottle 44 1 2\nmemory 1000 300\nprocess 77 250\nutilization 80 30\n"
        f"gpu {B} {H100}\npower constant 1\nmig\n"
    )
    code = """
at(1.5)
other = n.nvmlDeviceGetHandleByUUID("GPU-bbbbbbbb-0000-0000-0000-000000000002")
rates = n.nvmlDeviceGetUtilizationRates(g)
answer = {
    "count": n.nvmlDeviceGetCount(), "uuid": n.nvmlDeviceGetUUID(other), "mig": n.nvmlDeviceGetMigMode(other)[0],
    "driver": n.nvmlSystemGetDriverVersion(), "cuda": n.nvmlSystemGetCudaDriverVersion(),
    "limit": n.nvmlDeviceGetEnforcedPowerLimit(g), "span": n.nvmlDeviceGetPowerManagementLimitConstraints(g),
    "temperature": [n.nvmlDeviceGetTemperature(g, 0), n.nvmlDeviceGetTemperatureV(g, 0)],
    "clocks": [n.nvmlDeviceGetSupportedMemoryClocks(g), n.nvmlDeviceGetSupportedGraphicsClocks(g, 2000)],
    "reasons": n.nvmlDeviceGetCurrentClocksEventReasons(g), "rates": [rates.gpu, rates.memory],
    "used": n.nvmlDeviceGetMemoryInfo(g).used >> 20,
    "processes": [[p.pid, p.usedGpuMemory >> 20] for p in n.nvmlDeviceGetComputeRunningProcesses(g)],
    "graphics": n.nvmlDeviceGetGraphicsRunningProcesses(g), "mode": n.nvmlDeviceGetComputeMode(g),
    "c2c": error(n.nvmlDeviceGetC2cModeInfoV, g), "set": error(n.nvmlDeviceSetPowerManagementLimit, g, 1),
}
"""
    assert ask(scenario, code) == {
        "count": 2,
        "uuid": B,
        "mig": 1,
        "driver": "570.1",
        "cuda": 12080,
        "limit": 350_000,
        "span": [100_000, 350_000],
        "temperature": [61, 61],
        "clocks": [[2000], [1500]],
        "reasons": 0x44,
        "rates": [80, 30],
        "used": 300,
        "processes": [[77, 250]],
        "graphics": [],
        "mode": 0,
        "c2c": 3,
        "set": 4,
    }
