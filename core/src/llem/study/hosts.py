"""Facts that distinguish the machines that a study was started and resumed on, and differences between two of them."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem.accelerators.facts import device_facts
from llem.measure.environment import installed, plugin_distributions
from llem.measure.host import host_facts
from llem.results.environments import Environment, differing, named_facts, of_machine
from llem.results.facts import DeviceFacts, facts_of
from llem.specs.registry import SpecRegistry
from llem.study.manifest.manifest import now_utc

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
"""Facts by key, as people call them. What `facts` tells besides is compared as results are."""


def host(registry: SpecRegistry) -> dict[str, Any]:
    """This machine, now: name, CPU, GPUs, system and versions."""
    facts, devices = host_facts(), device_facts(registry)
    memory_mb = facts["memory"]["total_mb"]
    return {
        "at": now_utc(),
        "host": facts["machine"]["node"],
        "cpu": facts["cpu"]["model"],
        "facts": dict(_environment(facts, devices).facts),
        "logical_cpus": facts["cpu"]["logical_cpus"],
        "memory_gb": round(memory_mb / 1024) if memory_mb is not None else None,
        "os": facts["os"]["name"],
        "kernel": facts["os"]["kernel"],
        "python": platform.python_version(),
        "gpus": sorted(f"{device.model} ({device.id})" for device in devices),
        "packages": installed(plugin_distributions()),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A clause for each fact that differs, such as `GPUs: was …, is …`."""
    for key, name in _SAID.items():
        if key in before and before[key] != now.get(key):
            yield f"{name}: was {_text(before[key])}, is {_text(now.get(key))}"
    # GPU and CPU are told above, with their ids.
    earlier_facts, present_facts = (_kept(one.get("facts") or {}) for one in (before, now))
    for one in differing(earlier_facts, present_facts):
        yield f"{one.name}: was {one.first}, is {one.second}"
    earlier, present = before.get("packages") or {}, now.get("packages") or {}
    for package in sorted({*earlier, *present}):
        if earlier.get(package) != present.get(package):
            yield f"{package}: was {_text(earlier.get(package))}, is {_text(present.get(package))}"


def _kept(facts: Mapping[str, str]) -> Environment:
    return Environment(tuple((name, text) for name, text in facts.items() if name not in ("GPU", "CPU")))


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _environment(facts: Mapping[str, Any], devices: Sequence[DeviceFacts]) -> Environment:
    """Facts that change energy, by the names and in the words of every other comparison."""
    return of_machine(named_facts(facts_of(facts, None, None, devices)))
