"""Facts about the machine that an experiment runs on, as its kernel tells them. What it does not tell is None."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path("/")

_CONTAINERS = ("docker", "kubepods", "containerd", "libpod", "lxc", "apptainer", "singularity", "slurm")
"""Words of a process's control group that tell what holds it."""


def host_facts(root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Machine, operating system, CPU, memory, and what stands between llem and the hardware.

    Args:
        root: where `proc`, `sys`, `etc` and `run` are found.
        environ: this process's variables.
    """
    return {
        "machine": {
            "node": platform.node() or None,
            "architecture": platform.machine() or None,
            "vendor": _text(root / "sys/class/dmi/id/sys_vendor"),
            "product": _text(root / "sys/class/dmi/id/product_name"),
            "virtual_machine": virtual_machine(root),
            "container": container(root, environ),
        },
        "os": {
            "name": _os_name(root) or platform.system() or None,
            "kernel": platform.release() or None,
        },
        "cpu": _cpu(root),
        "memory": {
            "total_mb": _total_memory_mb(root),
            "limit_mb": _memory_limit_mb(root),
            "transparent_hugepages": _chosen(_text(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        },
    }


def _cpu(root: Path) -> dict[str, Any]:
    info, system = _text(root / "proc/cpuinfo") or "", root / "sys/devices/system/cpu"
    return {
        "model": _field(info, "model name") or _field(info, "Model") or platform.processor() or None,
        "sockets": len(set(re.findall(r"^physical id\s*:\s*(\d+)", info, re.MULTILINE))) or None,
        "cores": _cores(info),
        "logical_cpus": len(re.findall(r"^processor\s*:", info, re.MULTILINE)) or os.cpu_count(),
        "usable_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "quota_cpus": _cpu_quota(root),
        "governor": ", ".join(sorted(governors(root))) or None,
        "frequency_max_mhz": _scaled(_text(system / "cpu0/cpufreq/cpuinfo_max_freq"), 1e-3),
        "boost": _boost(system),
        "simultaneous_multithreading": _switch(_text(system / "smt/active")),
        "microcode": _field(info, "microcode"),
    }


def _cores(info: str) -> int | None:
    """Physical cores: distinct pairs of processor package and core."""
    pairs = set()
    for block in info.split("\n\n"):
        package, core = _field(block, "physical id"), _field(block, "core id")
        if core is not None:
            pairs.add((package, core))
    return len(pairs) or None


def _boost(system: Path) -> bool | None:
    """True where the CPU may exceed its base clock; Intel's driver tells the opposite."""
    off = _switch(_text(system / "intel_pstate/no_turbo"))
    return not off if off is not None else _switch(_text(system / "cpufreq/boost"))


def governors(root: Path = ROOT) -> set[str]:
    """The frequency governors of all processors; empty where the kernel shows none."""
    paths = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return {text for path in paths if (text := _text(path)) is not None}


def virtual_machine(root: Path = ROOT) -> str | None:
    """The program that runs this virtual machine; `unknown` where only the CPU tells of one; None on bare metal."""
    product = " ".join(filter(None, (_text(root / "sys/class/dmi/id" / n) for n in ("sys_vendor", "product_name"))))
    names = {"QEMU": "qemu", "KVM": "kvm", "VMware": "vmware", "VirtualBox": "virtualbox", "Amazon EC2": "ec2"}
    names |= {"Google Compute Engine": "gce", "Virtual Machine": "hyper-v", "Xen": "xen", "Firecracker": "firecracker"}
    if "microsoft" in (_text(root / "proc/sys/kernel/osrelease") or "").lower():
        return "wsl"
    if not re.search(r"^flags\s*:.*\bhypervisor\b", _text(root / "proc/cpuinfo") or "", re.MULTILINE):
        return _text(root / "sys/hypervisor/type")  # bare-metal EC2 has the vendor's name and no hypervisor
    named = next((name for word, name in names.items() if word in product), None)
    return named or _text(root / "sys/hypervisor/type") or "unknown"


def container(root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """The kind of container that this process is in, with image and id where they are told; None outside of one."""
    about = _text(root / "run/.containerenv")
    if about is not None:
        told = dict(re.findall(r'^(image|imageid)="?([^"\n]*)"?$', about, re.MULTILINE))
        return {"kind": "podman", **told}
    for kind in ("APPTAINER", "SINGULARITY"):
        if f"{kind}_CONTAINER" in environ:
            return {"kind": kind.lower(), "image": environ[f"{kind}_CONTAINER"]}
    if "KUBERNETES_SERVICE_HOST" in environ:
        return {"kind": "kubernetes"}
    if (root / ".dockerenv").exists():
        return {"kind": "docker"}
    groups = _text(root / "proc/1/cgroup") or ""
    kind = environ.get("container") or next((word for word in _CONTAINERS if word in groups), "")
    return {"kind": kind} if kind else None


def _cpu_quota(root: Path) -> float | None:
    """CPUs' worth of time that the control group may use; None where it is not limited."""
    for group in _groups(root):
        words = (_text(group / "cpu.max") or "").split()
        if len(words) == 2 and words[0].isdigit():
            return int(words[0]) / int(words[1])
    legacy = root / "sys/fs/cgroup/cpu"
    quota, period = _text(legacy / "cpu.cfs_quota_us"), _text(legacy / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota and period and quota.isdigit() and period.isdigit() else None


def _memory_limit_mb(root: Path) -> float | None:
    """Memory that the control group may use (MiB); None where it is not limited."""
    limits = [_text(group / "memory.max") or "" for group in _groups(root)]
    limits.append(_text(root / "sys/fs/cgroup/memory/memory.limit_in_bytes") or "")
    numbers = [int(limit) for limit in limits if limit.isdigit()]
    total_mb = _total_memory_mb(root)
    if not numbers or (total_mb is not None and min(numbers) / 2**20 >= total_mb):
        return None
    return min(numbers) / 2**20


def _groups(root: Path) -> Iterator[Path]:
    """Folders of this process's control group (version 2) from the inside out."""
    own = re.search(r"^0::(/.*)$", _text(root / "proc/self/cgroup") or "", re.MULTILINE)
    top = root / "sys/fs/cgroup"
    inner = top / (own[1].strip("/") if own else "")
    while inner != top and top in inner.parents:
        yield inner
        inner = inner.parent
    yield top


def _total_memory_mb(root: Path) -> float | None:
    found = re.search(r"^MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) / 1024 if found else None


def _os_name(root: Path) -> str | None:
    return _field((_text(root / "etc/os-release") or "").replace('"', ""), "PRETTY_NAME", "=")


def _field(text: str, name: str, sign: str = ":") -> str | None:
    found = re.search(rf"^{name}\s*{sign}\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def _text(path: Path) -> str | None:
    """The text of a file of the kernel; None where it is not there, not readable or empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _chosen(text: str | None) -> str | None:
    """The word in brackets of a list such as `always [madvise] never`."""
    found = re.search(r"\[(\w+)\]", text or "")
    return found[1] if found else None


def _switch(text: str | None) -> bool | None:
    return {"0": False, "1": True}.get(text or "")


def _scaled(text: str | None, factor: float) -> float | None:
    return int(text) * factor if text and text.isdigit() else None
