"""What distinguishes the machines that a study was started and resumed on, and how two of them differ."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Any

from llem.errors import SamplerUnavailable
from llem.measure.environment import installed, plugin_distributions
from llem.measure.host import host_facts
from llem.study.manifest import now_utc

_SAID = {
    "host": "host",
    "cpu": "CPU",
    "logical_cpus": "logical CPUs",
    "memory_gb": "memory (GiB)",
    "os": "operating system",
    "kernel": "kernel",
    "python": "Python",
    "gpus": "GPUs",
}
"""Facts by key, as people call them."""


def host() -> dict[str, Any]:
    """This machine, now: name, CPU, GPUs, system and versions."""
    facts = host_facts()
    memory_mb = facts["memory"]["total_mb"]
    return {
        "at": now_utc(),
        "host": facts["machine"]["node"],
        "cpu": facts["cpu"]["model"],
        "logical_cpus": facts["cpu"]["logical_cpus"],
        "memory_gb": round(memory_mb / 1024) if memory_mb is not None else None,
        "os": facts["os"]["name"],
        "kernel": facts["os"]["kernel"],
        "python": platform.python_version(),
        "gpus": _gpus(),
        "packages": installed(plugin_distributions()),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A clause for each fact that differs, such as `GPUs: was …, is …`."""
    for key, name in _SAID.items():
        if key in before and before[key] != now.get(key):
            yield f"{name}: was {_text(before[key])}, is {_text(now.get(key))}"
    earlier, present = before.get("packages") or {}, now.get("packages") or {}
    for package in sorted({*earlier, *present}):
        if earlier.get(package) != present.get(package):
            yield f"{package}: was {_text(earlier.get(package))}, is {_text(present.get(package))}"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _gpus() -> list[str]:
    """The GPUs that meters find here, by name and stable id; empty where there is none, or nothing that tells."""
    from llem.samplers.amd import AmdSampler
    from llem.samplers.nvml import NvmlSampler

    found: list[str] = []
    for sampler in (NvmlSampler(), AmdSampler()):
        try:
            found += [f"{device.name} ({device.id})" for device in sampler.open({})]
        except SamplerUnavailable:
            continue
        finally:
            sampler.close()
    return sorted(found)
