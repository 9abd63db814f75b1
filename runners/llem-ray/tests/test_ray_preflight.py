"""Finds before anything starts: no cluster, other versions, nodes that lack something, and what to do about each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray_bed import Runs

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

LOOK = ("--skip-preflight", "governor", "--skip-preflight", "load")


def test_a_fitting_cluster_passes_and_the_experiment_runs(runs: Runs) -> None:
    ran = runs.run(*LOOK)
    assert ran.code == 0, ran.said


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no Ray cluster can be reached: "),
        ("nonsense", "no Ray cluster can be reached: Invalid address format"),
        ("ray://127.0.0.1:10001", "a cluster cannot be used through Ray's client"),
    ],
)
def test_a_cluster_that_does_not_answer_is_named_with_what_to_do(runs: Runs, address: str, words: str) -> None:
    ran = runs.run(*LOOK, options={"address": address})
    assert ran.code == 3, ran.said
    assert f"ray-cluster: {address}: {words}" in ran.said
    assert "Traceback" not in ran.said
    assert ran.results == []


def test_other_versions_are_named_side_by_side() -> None:
    from ray._private.utils import check_version_info

    from llem_ray.connection import _mismatch

    cluster = {"ray_version": "2.9.0", "python_version": "3.10.1"}
    with pytest.raises(RuntimeError) as raised:
        check_version_info(cluster, "10.0.0.1", raise_on_mismatch=True)
    told = str(_mismatch("10.0.0.1:6379", str(raised.value)))
    here = ".".join(map(str, sys.version_info[:3]))
    assert "the cluster runs Ray 2.9.0 on Python 3.10.1, and here is Ray " in told
    assert f"on Python {here}" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_gpus": 2}, "need 1 CPU(s), 2 GPU(s). There is: north 2 CPU(s), 0 GPU(s)"),
        ({"num_cpus": 64.0}, "need 64 CPU(s)"),
        ({"labels": {"zone": "moon"}}, "need 1 CPU(s), the label zone=moon"),
        ({"resources": {"a100": 1.0}}, "need 1 CPU(s), 1 of a100"),
        ({"nodes": ["nowhere"]}, "need 1 CPU(s), to be one of nowhere"),
    ],
)
def test_what_no_node_has_is_named_with_what_there_is(runs: Runs, options: dict[str, Any], words: str) -> None:
    ran = runs.run(*LOOK, options=options)
    assert ran.code == 3, ran.said
    assert "ray-nodes: no node can run experiments of the backend testbed" in ran.said
    assert words in ran.said


def test_a_backend_that_is_missing_on_a_node_is_named(runs: Runs, node: Callable[..., Any]) -> None:
    node("bare", labels={"kind": "bare"}, env_vars={"PYTHONPATH": ""})
    ran = runs.run(*LOOK, options={"labels": {"kind": "bare"}})
    assert ran.code == 3, ran.said
    assert "ray-packages: the backend testbed cannot run: it is not installed, on bare" in ran.said


def test_files_and_storage_that_nodes_cannot_reach_are_named(runs: Runs, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    ran = runs.run(*LOOK, options={"storage": str(blocked)})
    assert ran.code == 3, ran.said
    assert f"ray-files: the storage {blocked} cannot be used on north: " in ran.said


def test_wrong_options_are_refused_with_their_place(runs: Runs) -> None:
    ran = runs.run(*LOOK, options={"exclusiv": True})
    assert ran.code == 2, ran.said
    assert "runner_options.ray.exclusiv" in ran.said
    assert "Did you mean `runner_options.ray.exclusive`" in ran.said


def joining(modules: Path) -> str:
    """The words of a process that joins a cluster with these modules before all others."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(modules), os.environ["PYTHONPATH"]])}
    code = "from llem_ray.connection import join; join('auto')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return done.stderr


def test_a_python_without_ray_is_told_how_to_get_it(tmp_path: Path) -> None:
    # The same interpreter, with a `ray` in front that cannot be found further.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ray'] = None\n")
    assert "RayMissing: ray is not installed here. pip install llem-ray." in joining(tmp_path)


def test_the_library_that_breaks_rays_import_is_named(tmp_path: Path) -> None:
    """The case of the package amdsmi on a machine without ROCm."""
    (tmp_path / "amdsmi.py").write_text("{}['libamd_smi.so']\n")
    assert "pip uninstall amdsmi" in joining(tmp_path)
