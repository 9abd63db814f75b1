"""Finds of preflight on a real cluster: what is wrong, why, and the command that mends it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_cluster import Cluster, Study

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

ONE = {"testbed.batch_size": [1]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"partition": "mian"}, ["there is no partition `mian`", "Did you mean `main`?", "sinfo -s"]),
        ({"account": "labb"}, ["there is no account `labb`", "Did you mean `lab`?", "sacctmgr"]),
        ({"qos": "golden"}, ["there is no qos `golden`", "sacctmgr show qos"]),
        ({"constraint": "ancient"}, ["there is no constraint `ancient`", "new, old"]),
        ({"time": "9:00:00"}, ["asks for 540 minutes", "the partition allows 120", "wait for ever"]),
        ({"gpus": 3}, ["3 GPU(s) of one node are asked for", "fake x 2", "sinfo -o '%P %D %G'"]),
        ({"gpus": 1, "gpu_type": "h100"}, ["h100", "no node", "fake x 2"]),
        ({"cpus": 64}, ["Slurm would not take such a job", "sbatch --test-only"]),
    ],
)
def test_what_the_site_does_not_have_is_said_before_anything_runs(
    study: Callable[..., Study], options: dict[str, object], words: list[str]
) -> None:
    made = study(options, ONE)
    made.run(expect=3)
    for text in words:
        assert text in made.said
    assert not list(made.output.iterdir())


def test_a_controller_that_is_down_is_said(study: Callable[..., Study]) -> None:
    made = study({}, ONE)
    config = Path(made.cluster.environment["SLURM_CONF"])
    elsewhere = made.file.with_name("slurm.conf")
    elsewhere.write_text(config.read_text().replace("SlurmctldPort=26817", "SlurmctldPort=26899"))
    made.cluster = Cluster(made.cluster.folder, {**made.cluster.environment, "SLURM_CONF": str(elsewhere)})
    made.run(expect=3)
    assert "Slurm's controller does not answer" in made.said
    assert "scontrol ping" in made.said


def test_a_machine_without_slurm_is_told_where_to_run_llem(study: Callable[..., Study], tmp_path: Path) -> None:
    made = study({}, ONE)
    few = tmp_path / "few"
    few.mkdir()
    git = shutil.which("git")
    if git is not None:
        (few / "git").symlink_to(git)
    made.cluster = Cluster(made.cluster.folder, {**made.cluster.environment, "PATH": str(few)})
    made.run(expect=3)
    assert "Slurm's command sbatch is not on this machine" in made.said
    assert "login node" in made.said


def test_a_node_is_looked_at_and_found_fit(study: Callable[..., Study]) -> None:
    made = study({"probe_s": 120}, ONE)
    made.run()
    assert {r["status"] for r in made.results().values()} == {"done"}
    assert "could be looked at" not in made.said


def test_a_folder_that_nodes_do_not_see_is_said(cluster: Cluster, study: Callable[..., Study]) -> None:
    made = study({"probe_s": 120, "nodelist": "n1"}, ONE)
    with _hidden(cluster, "n1", made.output):
        made.run(expect=3)
    assert "the node n1 does not see the results folder" in made.said
    assert "--output" in made.said


def test_a_python_that_nodes_do_not_have_or_that_lacks_llem_is_said(study: Callable[..., Study]) -> None:
    made = study({"probe_s": 120, "python": "/opt/nowhere/bin/python"}, ONE)
    made.run(expect=3)
    assert "does not have the Python /opt/nowhere/bin/python" in made.said
    made.run("--set", "runner_options.slurm.python=/usr/bin/python3", expect=3)
    assert "cannot import llem and llem-slurm" in made.said
    assert "/usr/bin/python3 -m pip install" in made.said


class _hidden:  # noqa: N801 - reads as a phrase
    """Another file system over a folder, on one node only."""

    def __init__(self, cluster: Cluster, node: str, folder: Path) -> None:
        parent = (cluster.folder / "run" / f"{node}.pid").read_text().strip()
        first = subprocess.run(["pgrep", "-P", parent], capture_output=True, text=True, check=True).stdout.split()[0]
        self._enter = ["nsenter", f"--target={first}", "--mount"]
        self._folder = str(folder)

    def __enter__(self) -> None:
        subprocess.run([*self._enter, "mount", "-t", "tmpfs", "tmpfs", self._folder], check=True)

    def __exit__(self, *error: object) -> None:
        subprocess.run([*self._enter, "umount", self._folder], check=True)
