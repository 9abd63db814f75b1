"""Facts that only a real NVIDIA GPU can show: energy by its counter, memory by the allocator, devices by UUID."""

from __future__ import annotations

from pathlib import Path

import pytest

import llem

pytestmark = pytest.mark.gpu


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


def test_counter_and_integrated_power_agree_or_it_is_told(result: llem.ExperimentResult) -> None:
    assert result.energy is not None
    codes = {warning.code for warning in result.warnings}
    for device in result.energy.devices:
        if device.counter_j is not None and device.power_j is not None:
            assert device.disagreement is not None
            assert device.disagreement < 0.02 or "energy_disagreement" in codes
            assert device.unreliable == (device.disagreement >= 0.05)


def test_the_gross_identity_holds(result: llem.ExperimentResult) -> None:
    assert result.energy is not None
    assert result.energy.headline is not None
    assert result.throughput is not None
    assert result.throughput.tokens_per_s is not None
    expected = result.energy.headline.mean_w / result.throughput.tokens_per_s
    assert result.energy.headline.j_per_output_token == pytest.approx(expected, rel=1e-6)


def test_the_window_is_fifty_periods_of_the_counter_and_sampled_at_the_rate(result: llem.ExperimentResult) -> None:
    assert result.energy is not None
    assert result.energy.window_s >= 10
    (sampler,) = [s for s in result.samplers if s.name == "nvml"]
    assert sampler.achieved_hz == pytest.approx(20, rel=0.05)
    assert "short_window" not in {warning.code for warning in result.warnings}


def test_every_phase_has_its_energy_and_stages_fit_into_the_window(result: llem.ExperimentResult) -> None:
    energy = result.energy
    assert energy is not None
    assert energy.headline is not None
    assert {"load", "warmup", "window"} <= set(energy.phases_j)
    assert energy.stages is not None
    told = [stage.energy_j for stage in (energy.stages.prefill, energy.stages.decode) if stage and stage.energy_j]
    assert told or energy.stages.reason
    assert sum(told) <= energy.headline.energy_j * (1 + 1e-6)


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


def test_temperature_clocks_and_limit_are_those_of_a_working_card(result: llem.ExperimentResult) -> None:
    assert result.energy is not None
    assert result.energy.headline is not None
    used = result.energy.headline.devices[:1]
    (thermal,) = (t for t in result.thermal if t.device in used)
    assert thermal.temperature_max_c is not None
    assert 15 < thermal.temperature_max_c < 110
    assert thermal.gpu_clock_mean_mhz is not None
    assert thermal.gpu_clock_mean_mhz > 100
    assert thermal.power_limit_w is not None


def test_the_environment_names_the_card(result: llem.ExperimentResult) -> None:
    assert "GPU-" in str(result.environment)
    assert "driver" in str(result.environment)
