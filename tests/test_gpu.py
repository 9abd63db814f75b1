"""What only a real NVIDIA GPU can show: energy by its counter, memory by the allocator, devices by UUID."""

from __future__ import annotations

from pathlib import Path

import pytest

import llem


def _why_no_gpu() -> str | None:
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported: {error}"
    return None if torch.cuda.is_available() else "torch sees no CUDA device on this machine"


_REASON = _why_no_gpu()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(_REASON is not None, reason=f"needs an NVIDIA GPU: {_REASON}")]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> llem.ExperimentResult:
    output: Path = tmp_path_factory.mktemp("gpu")
    return llem.run_experiment(
        "random:llama-3.2-1b",
        backend="pytorch",
        output=output,
        dataset={"name": "synthetic", "n": 16, "input_tokens": 128, "output_tokens": 64},
        measurement={"min_window_s": 10.0},
        baseline={"duration_s": 5.0, "cache": False},
        pytorch={"dtype": "bfloat16", "batch_size": 16, "device": "cuda"},
    )


def test_energy_comes_from_the_counter_of_the_device_that_worked(result: llem.ExperimentResult) -> None:
    assert result.status == "done", result.failure
    assert result.energy is not None
    figure = result.energy.headline
    assert figure is not None
    assert figure.scope == "gpu"
    assert all(device.startswith("GPU-") for device in figure.devices)
    assert figure.method in {"counter", "power"}
    assert figure.energy_j > 0


def test_counter_and_integrated_power_agree(result: llem.ExperimentResult) -> None:
    assert result.energy is not None
    for device in result.energy.devices:
        if device.counter_j is not None and device.power_j is not None:
            assert device.disagreement is not None
            assert device.disagreement < 0.05


def test_working_takes_more_power_than_idling(result: llem.ExperimentResult) -> None:
    assert result.energy is not None
    assert result.energy.headline is not None
    assert result.baseline is not None
    idle_w = sum(result.baseline.idle_w[device] for device in result.energy.headline.devices)
    assert result.energy.headline.mean_w > idle_w


def test_peak_memory_is_the_allocators_and_holds_the_model(result: llem.ExperimentResult) -> None:
    memory = result.memory
    assert memory is not None
    assert memory.peak_memory_source == "allocator"
    assert memory.peak_memory_mb is not None
    assert memory.model_memory_mb is not None
    assert memory.device_memory_mb is not None
    assert 2_000 < memory.model_memory_mb < memory.peak_memory_mb < memory.device_memory_mb


def test_the_environment_names_the_card(result: llem.ExperimentResult) -> None:
    assert "GPU-" in str(result.environment)
    assert "driver" in str(result.environment)
