"""Git's hooks, the workflow, and `make check` run the same."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_hooks_run_every_part_of_make_check() -> None:
    (parts,) = re.findall(r"^check: (.*?)  ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert sorted(entries) == sorted(f"make --no-print-directory {part}" for part in parts.split())


def test_a_job_of_the_workflow_runs_each_step_that_needs_no_gpu() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    steps = re.findall(r"^(?:step|beside) (\S+)", script, re.MULTILINE)
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["step"]
    assert set(job["strategy"]["matrix"]["step"]) == set(steps) - {
        "gpu",
        "vllm-setup",
        "sglang-setup",
        "ray-setup",
        "images",
    }
    commands = [step["run"] for step in job["steps"] if ".ci/run" in step.get("run", "")]
    assert len(commands) == 2, "one as the runner's user, one as root"
