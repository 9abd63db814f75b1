"""`execution.until` on the command line: a study that repeats until an interval is narrow, from plan to summary."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llem.study.manifest.manifest import recover

pytestmark = pytest.mark.process

TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"
"""A meter that reads 50 W whatever happens: the interval of `mean_w` is narrow on any machine."""


def test_the_plan_says_how_many_cycles_there_can_be(llem_here: Any, study: Any, tmp_path: Path) -> None:
    path = study(sweep={"testbed.batch_size": [1, 2]}, execution={"until": {"ci_width": "2 %"}})
    plan = llem_here("run", path, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "6 to 40 experiments to run (2 × 3 to 20 cycles, interleaved)" in plan.stdout
    assert "until     the 95 % interval of j_per_output_token is at most 2 % of its mean wide" in plan.stdout
    document = json.loads(llem_here("run", path, "--dry-run", "--json").stdout)
    assert document["total"] == 40
    assert document["execution"]["until"]["ci_width"] == 0.02
    assert not (tmp_path / "results").exists()


def test_a_study_ends_each_experiment_when_its_interval_is_narrow(
    llem: Any, study: Any, tmp_path: Path, read: Any
) -> None:
    path = study(
        sweep={"testbed.fail": ["no", "raise"]},
        measurement={"min_window_s": 0.4, "settle_s": 0, "samplers": ["testmeter"]},  # long enough to be read in
        execution={
            "until": {"ci_width": "1 %", "figure": "mean_w", "max_cycles": 7},
            "order": "sequential",
            "experiment_gap_s": 0.1,
        },
    )
    done = llem("run", path, env={**os.environ, "PYTHONPATH": f"{TESTMETER}{os.pathsep}{os.environ['PYTHONPATH']}"})
    assert done.returncode == 1, "three experiments failed"
    assert "up to 14 experiments, results in" in done.stderr
    folder = read.only_study(tmp_path / "results")
    account = read.manifest(folder)
    assert account["state"] == "complete"
    assert account["totals"] == {
        "experiments": 14,
        "pending": 0,
        "running": 0,
        "done": 3,
        "failed": 3,
        "interrupted": 0,
        "not_needed": 8,
        "skipped": 0,
        "dropped": 0,
    }
    assert account["until"]["max_cycles"] == 7
    by_cycle = [(e["point"]["testbed.fail"], e["cycle"], e["state"]) for e in account["experiments"]]
    assert by_cycle[2:4] == [("no", 3, "done"), ("no", 4, "not_needed")]
    skipped = [e for e in account["experiments"] if e["state"] == "not_needed"]
    assert all(e["started_at"] is None and not (folder / e["directory"]).exists() for e in skipped)
    assert Counter(e["state"] for e in account["experiments"]) == {"done": 3, "failed": 3, "not_needed": 8}
    assert recover(folder).manifest.counts["not_needed"] == 8

    assert "testbed.fail=no: the 95 % interval of mean_w is " in done.stderr
    assert "after 3 cycles (1 % was asked for); it is not repeated." in done.stderr
    assert "warning: testbed.fail=raise: no interval of mean_w: its first 3 cycles have none." in done.stderr
    assert "complete: 3 done, 3 failed, 8 not needed, in" in done.stderr

    assert done.stderr.count("pause of") == 5, "between the six that ran: no gap for what is not needed"

    assert len(read.rows(folder)) == 6, "what was not needed has no row"
    shown = llem("show", folder)
    assert shown.stdout.startswith("quick, complete: 14 experiments, 3 done, 3 failed, 8 not needed\n")


def test_what_stays_wide_runs_all_cycles_and_is_named_at_the_end(
    llem: Any, study: Any, tmp_path: Path, read: Any
) -> None:
    path = study(execution={"until": {"ci_width": 1e-9, "figure": "tokens_per_s", "max_cycles": 4}})
    done = llem("run", path)
    assert done.returncode == 0, done.stderr
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert [e["state"] for e in account["experiments"]] == ["done"] * 4
    assert "warning: testbed: the 95 % interval of tokens_per_s is " in done.stderr
    assert "% wide after 4 cycles; 1e-07 % was asked for." in done.stderr
    assert "95 % interval" in done.stdout
