"""Meters on a real NVIDIA GPU: the counter's ticks, edges that wait for the device, memory, and who else is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.experiment import MeasurementConfig
from llem.measure.energy import window_energy
from llem.measure.energy_warnings import energy_warnings
from llem.measure.meter import Meter
from llem.plugins import default_registry, load_object
from llem.specs.backend import LoadContext, Request
from llem.specs.kinds import BACKENDS, SCENARIOS

pytestmark = pytest.mark.gpu

MIB = 2**20
BURN = """
import time, torch
a = torch.randn(4096, 4096, device="cuda")
print("ready", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    a @ a
    torch.cuda.synchronize()
"""


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[Meter]:
    made = Meter(tmp_path, MeasurementConfig(samplers=["nvml"]), default_registry(), lambda *_: None)
    made.start()
    yield made
    made.stop()


def work(seconds: float) -> None:
    """Keep the device busy, without waiting for it at the end."""
    import torch

    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(20):
            a @ a
        torch.cuda.synchronize()
    for _ in range(50):
        a @ a


def test_the_counter_ticks_as_often_as_the_sampler_says() -> None:
    from llem.samplers.nvml import NvmlSampler

    sampler = NvmlSampler()
    (device, *_) = sampler.open({"devices": None})
    assert device.update_period_s is not None
    seen: list[tuple[int, float]] = []
    end = time.monotonic() + 3
    while time.monotonic() < end:
        reading = sampler.counters()[device.id]
        if not seen or reading[1] != seen[-1][1]:
            seen.append(reading)
    sampler.close()
    gaps = sorted((b[0] - a[0]) / 1e9 for a, b in pairwise(seen))
    assert gaps[len(gaps) // 2] <= device.update_period_s * 1.2


def test_an_edge_waits_for_the_device_and_is_stamped_with_a_tick(meter: Meter) -> None:
    import torch

    work(1)
    opened = meter.edge(torch.cuda.synchronize)
    assert torch.cuda.current_stream().query()  # nothing that was given before is left to do
    work(6)
    closed = meter.edge(torch.cuda.synchronize)
    assert torch.cuda.current_stream().query()
    series = meter.stop()
    assert set(series.edges) == {opened, closed}
    for ticks in series.edges.values():
        assert ticks


def test_counter_and_power_of_a_steady_load_agree_or_it_is_told(meter: Meter) -> None:
    import torch

    work(2)
    opened = meter.edge(torch.cuda.synchronize)
    work(10)
    closed = meter.edge(torch.cuda.synchronize)
    series = meter.stop()
    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    (device,) = [d for d in window_energy(series, opened, closed) if d.device == uuid]
    assert device.counter_j is not None
    assert device.power_j is not None
    assert device.disagreement is not None
    codes = {w.code for w in energy_warnings(series, [device], opened, closed)}
    assert device.disagreement < 0.02 or "energy_disagreement" in codes


def test_peak_memory_is_exactly_what_the_allocator_says() -> None:
    import torch

    registry = default_registry()
    document: dict[str, Any] = {
        "model": "random:tiny-llama",
        "backend": "pytorch",
        "dataset": {"name": "synthetic", "n": 4, "input_tokens": 512, "output_tokens": 16},
        "pytorch": {"dtype": "bfloat16", "batch_size": 4, "device": "cuda"},
    }
    engine = load_object(registry.find(BACKENDS, "pytorch").engine)()
    engine.load(
        LoadContext(
            config=Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document),
            base_dir=".",
            progress=lambda _: None,
        )
    )
    try:
        loaded = engine.memory()
        assert loaded.allocated_mb == torch.cuda.memory_allocated() / MIB
        spike = torch.empty(512 * MIB, dtype=torch.uint8, device="cuda")  # before the window: must not count
        del spike
        engine.memory(reset_peak=True)
        batch = [Request(id=i, prompt_token_ids=list(range(1, 513)), output_tokens=16) for i in range(4)]
        engine.generate(batch)
        engine.synchronize()
        peak = engine.memory()
        assert peak.source == "allocator"
        assert peak.peak_mb == torch.cuda.max_memory_allocated() / MIB
        assert loaded.allocated_mb < peak.peak_mb < loaded.allocated_mb + 512
    finally:
        engine.close()


@pytest.mark.parametrize("form", ["index", "uuid", "prefix"])
def test_every_form_of_cuda_visible_devices_names_the_card_that_torch_uses(form: str) -> None:
    import torch

    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    value = {"index": "0", "uuid": uuid, "prefix": uuid[:12]}[form]
    code = (
        "import json, torch; from llem.samplers.nvml import NvmlSampler; s = NvmlSampler(); "
        "ids = [d.id for d in s.open({'devices': None})]; "
        "print(json.dumps([ids, [f'GPU-{torch.cuda.get_device_properties(i).uuid}' for i in range(torch.cuda.device_count())]]))"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": value, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    metered, used = json.loads(done.stdout.splitlines()[-1])
    assert metered == used


def test_another_process_on_the_card_is_told_wherever_the_driver_shows_it(tmp_path: Path) -> None:
    from llem.samplers.nvml_accelerators import find

    environment = {k: v for k, v in os.environ.items() if k != "LLEM_JOB_ID"}
    other = subprocess.Popen(
        [sys.executable, "-c", BURN], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        shown = any(other.pid in (one.processes or ()) for one in find())
        command = [sys.executable, "-m", "llem", "run", "--model", "random:tiny-llama", "--backend", "pytorch"]
        command += ["--no-gaps", "--output", str(tmp_path), "--set", "dataset.name=synthetic", "--set", "dataset.n=4"]
        command += ["--set", "dataset.input_tokens=32", "--set", "dataset.output_tokens=16"]
        command += ["--set", "baseline.enabled=false", "--set", "measurement.min_window_s=5"]
        subprocess.run(command, capture_output=True, check=True)
    finally:
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()
    result = json.loads(next(tmp_path.glob("*/experiments/*/result.json")).read_text())
    messages = [w["message"] for w in result["warnings"] if w["code"] == "gpu_shared"]
    assert any(str(other.pid) in message for message in messages) == shown
