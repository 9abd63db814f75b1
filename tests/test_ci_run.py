"""`.ci/run`, in a folder where `make` prints what a tier of tests would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"
STEPS = {
    "check": "check",
    "unit": "unit",
    "processes": "test-processes",
    "demo": "demo",
    "gate": "self-gate",
    "vllm-setup": ".venv-vllm/.ready",
    "images": "images-cpu",
    "install": "test-install",
    "crash": "test-crash",
    "ray": "test-ray",
    "slurm": "test-slurm",
    "docker": "test-docker",
    "browser": "test-browser",
    "sglang-setup": ".venv-sglang/.ready",
    "ray-setup": ".venv-ray/.ready",
    "bench": "test-bench",
    "vllm": "test-vllm",
    "sglang": "test-sglang",
    "apptainer": "test-apptainer",
    "gpu": "test-gpu",
}
UNCOUNTED = ("check", "demo", "gate", "vllm-setup", "sglang-setup", "ray-setup", "images")
GOOD = "echo '===== 3 passed, 1 skipped in 0.12s ====='"


def ci(folder: Path, recipes: Mapping[str, str], *names: str, minute_s: int = 60) -> subprocess.CompletedProcess[str]:
    """Run the script with these recipes for steps, and good ones for the others."""
    (folder / ".ci").mkdir()
    shutil.copy(SCRIPT, folder / ".ci" / "run")
    rules = {name: "true" if name in UNCOUNTED else GOOD for name, target in STEPS.items()} | dict(recipes)
    lines = [f"{STEPS[name]}:\n\t@{recipe}\n" for name, recipe in rules.items()]
    (folder / "Makefile").write_text(f".PHONY: {' '.join(STEPS.values())}\n" + "".join(lines))
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("git", "cc"):  # no compiler is needed here, so none shall be installed
        (tools / tool).write_text("#!/bin/sh\n")
        (tools / tool).chmod(0o755)
    return subprocess.run(
        ["bash", ".ci/run", *names],
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "CI_MINUTE_S": str(minute_s)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


@pytest.mark.process
def test_the_last_line_sums_the_tests_of_all_steps(tmp_path: Path) -> None:
    done = ci(tmp_path, {"gpu": "echo '=== 7 passed, 2 deselected in 61.10s (0:01:01) ==='"})
    assert done.returncode == 0, done.stdout
    assert last_line(done) == f"{7 + 12 * 3 + 7} passed, 0 failed"


@pytest.mark.process
def test_a_failing_step_keeps_no_other_from_running_and_its_failures_are_named_at_the_end(tmp_path: Path) -> None:
    summary = r"printf 'FAILED a.py::test_b - no\n=== 2 failed, 5 passed, 1 error in 3.00s ===\n'; exit 1"
    done = ci(tmp_path, {"unit": summary, "check": "exit 3"})
    assert done.returncode != 0
    assert last_line(done) == f"{6 + 5 + 12 * 3} passed, {1 + 3} failed"
    assert "FAILED a.py::test_b - no" in done.stdout.split("=== failures and counts")[1]


@pytest.mark.process
@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ("true", "printed no count"),
        ("echo Segmentation fault; exit 139", "printed no count"),
        ("echo '=== 40 deselected in 0.50s ==='", "ran no test"),
        ("echo '=== 4 skipped in 0.50s ==='", "ran no test"),
        ("echo '=== no tests ran in 0.50s ==='", "printed no count"),
        (f"{GOOD}; exit 1", "ended with 2"),
    ],
)
def test_a_step_that_ends_badly_without_a_failed_test_is_a_failure(tmp_path: Path, recipe: str, why: str) -> None:
    done = ci(tmp_path, {"ray": recipe}, "ray", "crash")
    assert done.returncode != 0
    assert f"ray: {why}" in done.stdout or f"; {why}" in done.stdout
    assert last_line(done).endswith(", 1 failed")
    assert "crash: 3 passed" in done.stdout


@pytest.mark.process
@pytest.mark.parametrize(("name", "next_one"), [("gpu", "bench"), ("browser", "bench"), ("browser", "install")])
def test_a_step_that_hangs_is_ended_and_the_next_one_runs(tmp_path: Path, name: str, next_one: str) -> None:
    done = ci(tmp_path, {name: "echo begun; sleep 100"}, name, next_one, minute_s=1)
    assert done.returncode != 0
    assert re.search(rf"^{name}: ended after \d s", done.stdout, re.MULTILINE)
    assert f"{next_one}: 3 passed" in done.stdout
    assert last_line(done) == "3 passed, 1 failed"


@pytest.mark.process
def test_steps_beside_others_are_told_and_counted_where_they_are_waited_for(tmp_path: Path) -> None:
    done = ci(
        tmp_path, {"install": f"sleep 1; echo 'FAILED c.py::test_d'; {GOOD}; exit 1", "crash": "echo killing; " + GOOD}
    )
    text = done.stdout
    places = [text.index(words) for words in ("killing", "ray: 3 passed", "FAILED c.py::test_d", "docker: 3 passed")]
    assert places == sorted(places)
    assert "install: 3 passed, 1 skipped in 0.12s; ended with 2" in text
    assert last_line(done) == f"{7 + 13 * 3} passed, 1 failed"


@pytest.mark.process
@pytest.mark.parametrize("name", ["browser", "bench"])
def test_a_process_that_a_step_leaves_behind_holds_nothing_up(tmp_path: Path, name: str) -> None:
    (tmp_path / "leave.sh").write_text("setsid sleep 60 & echo $! > left.pid\n")
    done = ci(tmp_path, {name: f"bash leave.sh; {GOOD}"}, name)
    left = psutil.Process(int((tmp_path / "left.pid").read_text()))
    assert left.cmdline()[-2:] == ["sleep", "60"], "it holds the pipe no longer than the script ran"
    left.kill()
    assert last_line(done) == "3 passed, 0 failed"


def test_every_tier_has_a_budget_and_a_run_of_them_is_within_its_time() -> None:
    lines = [line.split()[:4] for line in SCRIPT.read_text().splitlines() if line.startswith(("step ", "beside "))]
    assert {name: target for _, name, _, target in lines} == STEPS
    assert sum(int(minutes) for kind, _, minutes, _ in lines if kind == "step") <= 60
    makefile = (SCRIPT.parents[1] / "Makefile").read_text()
    targets = {line.split(":")[0] for line in makefile.splitlines() if line.startswith("test-")}
    assert targets - {"test-crash-nightly"} <= set(STEPS.values())
