"""Facts about the machine, from a tree of the kernel's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llem.measure.host import container, host_facts, virtual_machine

CPU = """processor	: {n}
vendor_id	: GenuineIntel
model name	: Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz
microcode	: 0x500
physical id	: {package}
core id		: {core}
flags		: fpu sse {flags}
"""
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files below the root, by path."""

    def _write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return _write


def cpuinfo(flags: str = "") -> str:
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0), (0, 1), (1, 0), (1, 1)]
    return "\n".join(CPU.format(n=n, package=p, core=c, flags=flags) for n, (p, c) in enumerate(places))


def test_sockets_cores_and_threads_are_told_apart(tmp_path: Path, write: Write) -> None:
    write(proc__cpuinfo=cpuinfo())
    cpu = host_facts(tmp_path, {})["cpu"]
    assert cpu["model"] == "Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz"
    assert (cpu["sockets"], cpu["cores"], cpu["logical_cpus"]) == (2, 4, 8)
    assert cpu["microcode"] == "0x500"


@pytest.mark.process
def test_what_sets_the_clock_is_kept(tmp_path: Path, write: Write) -> None:
    folder = "sys__devices__system__cpu__"
    write(
        **{
            f"{folder}cpu0__cpufreq__scaling_governor": "powersave\n",
            f"{folder}cpu1__cpufreq__scaling_governor": "performance\n",
            f"{folder}cpu0__cpufreq__cpuinfo_max_freq": "3900000\n",
            f"{folder}intel_pstate__no_turbo": "1\n",
            f"{folder}smt__active": "1\n",
        }
    )
    cpu = host_facts(tmp_path, {})["cpu"]
    assert cpu["governor"] == "performance, powersave"
    assert cpu["frequency_max_mhz"] == pytest.approx(3900)
    assert cpu["boost"] is False
    assert cpu["simultaneous_multithreading"] is True


def test_memory_and_operating_system_are_kept(tmp_path: Path, write: Write) -> None:
    write(
        proc__meminfo="MemTotal:       16777216 kB\nMemFree: 1 kB\n",
        **{
            "etc__os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
            "sys__kernel__mm__transparent_hugepage__enabled": "always [madvise] never\n",
        },
    )
    facts = host_facts(tmp_path, {})
    assert facts["memory"] == {"total_mb": 16384.0, "limit_mb": None, "transparent_hugepages": "madvise"}
    assert facts["os"]["name"] == "Debian GNU/Linux 12"
    assert facts["os"]["kernel"]


def test_limits_of_the_control_group_are_kept(tmp_path: Path, write: Write) -> None:
    write(
        proc__meminfo="MemTotal: 16777216 kB\n",
        proc__self__cgroup="0::/job/step\n",
        **{
            "sys__fs__cgroup__job__memory.max": "4294967296\n",
            "sys__fs__cgroup__job__step__memory.max": "max\n",
            "sys__fs__cgroup__job__cpu.max": "150000 100000\n",
            "sys__fs__cgroup__job__step__cpu.max": "max 100000\n",
        },
    )
    facts = host_facts(tmp_path, {})
    assert facts["memory"]["limit_mb"] == 4096
    assert facts["cpu"]["quota_cpus"] == 1.5


def test_a_limit_beyond_the_memory_that_is_there_is_none(tmp_path: Path, write: Write) -> None:
    write(
        proc__meminfo="MemTotal: 1024 kB\n",
        sys__fs__cgroup__memory__memory__limit_in_bytes="9223372036854771712",
        **{"sys__fs__cgroup__memory__memory.limit_in_bytes": "9223372036854771712\n"},
    )
    assert host_facts(tmp_path, {})["memory"]["limit_mb"] is None


def test_an_empty_tree_gives_none_and_no_error(tmp_path: Path) -> None:
    facts = host_facts(tmp_path, {})
    assert facts["memory"]["total_mb"] is None
    assert facts["cpu"]["governor"] is None
    assert facts["cpu"]["boost"] is None
    assert facts["machine"]["container"] is None
    assert facts["machine"]["virtual_machine"] is None
    json.dumps(facts, allow_nan=False)


@pytest.mark.parametrize(
    ("vendor", "product", "expected"),
    [
        ("QEMU", "Standard PC", "qemu"),
        ("Amazon EC2", "p5.48xlarge", "ec2"),
        ("Google", "Google Compute Engine", "gce"),
        ("Somebody", "Something", "unknown"),
    ],
)
def test_a_virtual_machine_is_named(tmp_path: Path, write: Write, vendor: str, product: str, expected: str) -> None:
    write(proc__cpuinfo=cpuinfo("hypervisor"), sys__class__dmi__id__sys_vendor=vendor)
    write(sys__class__dmi__id__product_name=product)
    assert virtual_machine(tmp_path) == expected


def test_bare_metal_of_a_cloud_is_no_virtual_machine(tmp_path: Path, write: Write) -> None:
    write(proc__cpuinfo=cpuinfo(), sys__class__dmi__id__sys_vendor="Amazon EC2")
    assert virtual_machine(tmp_path) is None


def test_the_windows_subsystem_is_named(tmp_path: Path, write: Write) -> None:
    write(proc__sys__kernel__osrelease="5.15.90.1-microsoft-standard-WSL2\n")
    assert virtual_machine(tmp_path) == "wsl"


@pytest.mark.parametrize(
    ("file", "text", "variables", "expected"),
    [
        (".dockerenv", "", {}, {"kind": "docker"}),
        (
            "run/.containerenv",
            'engine="podman-4"\nimage="docker.io/x:1"\nimageid="abc"\n',
            {},
            {"kind": "podman", "image": "docker.io/x:1", "imageid": "abc"},
        ),
        ("etc/x", "", {"APPTAINER_CONTAINER": "/images/x.sif"}, {"kind": "apptainer", "image": "/images/x.sif"}),
        (".dockerenv", "", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"kind": "kubernetes"}),
        ("proc/1/cgroup", "1:name=systemd:/lxc/box\n", {}, {"kind": "lxc"}),
        ("proc/1/cgroup", "0::/init.scope\n", {}, None),
    ],
)
def test_a_container_is_named(
    tmp_path: Path, file: str, text: str, variables: dict[str, str], expected: dict[str, str] | None
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert container(tmp_path, variables) == expected
