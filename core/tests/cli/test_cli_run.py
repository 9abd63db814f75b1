"""Whole studies through `llem run`: what it leaves on disk, in which order, and what a dry run does not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

TWO = {"testbed.batch_size": [1, 2]}
A, B = 1, 2

ORDERS: dict[str, list[tuple[int, int]]] = {
    "sequential": [(A, 1), (A, 2), (B, 1), (B, 2)],
    "interleaved": [(A, 1), (B, 1), (A, 2), (B, 2)],
    "reversed": [(A, 1), (B, 1), (B, 2), (A, 2)],
    "latin_square": [(A, 1), (B, 1), (B, 2), (A, 2)],
}


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_study_leaves_its_folder_as_documented(llem: Any, study: Any, tmp_path: Path, read: Any) -> None:
    path = study(sweep=TWO)
    done = llem("run", path)
    assert done.returncode == 0, done.stderr
    folder = read.only_study(tmp_path / "results")
    assert folder.name.startswith("quick-")
    shown = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
    assert shown == {"manifest.json", "journal.jsonl", "study.json", "study.yaml", "experiments", "results.parquet"}
    assert (folder / "study.yaml").read_text() == path.read_text()
    account = read.manifest(folder)
    assert account["state"] == "complete"
    for entry in account["experiments"]:
        kept = {p.name for p in (folder / entry["directory"]).iterdir()}
        assert {"experiment.json", "result.json", "requests.parquet", "worker.log", "events.jsonl"} <= kept
        result = json.loads((folder / entry["directory"] / "result.json").read_text())
        assert result["status"] == "done"
        assert result["identity"]["config_hash"] == entry["config_hash"]
        assert result["identity"]["study"] == folder.name
        assert result["environment"]["study"]["runner"]["name"] == "local"
    assert [row["point.testbed.batch_size"] for row in read.rows(folder)] == [1, 2]
    assert f"results: {folder}" in done.stdout


@pytest.mark.parametrize("order", ORDERS)
def test_experiments_run_in_the_order_that_was_asked_for(
    llem: Any, study: Any, tmp_path: Path, read: Any, order: str
) -> None:
    path = study(sweep=TWO)
    done = llem("run", path, "--order", order, "--cycles", 2, "--quiet")
    assert done.returncode == 0, done.stderr
    table = sorted(read.rows(read.only_study(tmp_path / "results")), key=lambda row: row["started_at"])
    assert [(row["point.testbed.batch_size"], row["cycle"]) for row in table] == ORDERS[order]
    assert [row["position"] for row in table] == [1, 2, 3, 4]


def test_a_shuffled_study_runs_each_cycle_in_another_order_and_repeats_by_its_seed(llem_here: Any, study: Any) -> None:
    path = study(sweep={"testbed.batch_size": {"min": 1, "max": 8, "num": 8}})

    def order(seed: int) -> list[list[int]]:
        options = ("--order", "shuffled", "--cycles", 2, "--set", f"execution.seed={seed}", "--dry-run", "--json")
        found = json.loads(llem_here("run", path, *options).stdout)["experiments"]
        return [[e["point"]["testbed.batch_size"] for e in found if e["cycle"] == cycle] for cycle in (1, 2)]

    first, second = order(1)
    assert sorted(first) == sorted(second) == list(range(1, 9))
    assert len({str(o) for o in (first, second, *order(2))}) == 4
    assert order(1) == [first, second]


def test_no_gaps_leaves_out_every_pause(llem: Any, study: Any) -> None:
    path = study(sweep=TWO, execution={"experiment_gap_s": 3000, "cycle_gap_s": 3000, "cycles": 2})
    done = llem("run", path, "--no-gaps")
    assert done.returncode == 0
    assert "pause" not in done.stderr


def test_a_gap_is_told_and_kept(llem: Any, study: Any) -> None:
    done = llem("run", study(sweep=TWO, execution={"experiment_gap_s": 1}))
    assert done.returncode == 0
    assert done.stderr.count("pause of 1 s (between experiments)") == 1


@pytest.mark.parametrize("options", [(), ("--json",), ("-v",)])
def test_a_dry_run_neither_runs_nor_writes_anything(
    llem_here: Any, study: Any, tmp_path: Path, options: tuple[str]
) -> None:
    path = study(sweep=TWO, testbed={"fail": "exit"})
    before = tree(tmp_path)
    done = llem_here("run", path, "--dry-run", *options)
    assert done.returncode == 0
    assert tree(tmp_path) == before
    assert "testbed.batch_size" in done.stdout


def test_a_dry_run_names_count_identities_runner_and_time(llem_here: Any, study: Any) -> None:
    path = study(sweep={"testbed.batch_size": [1, 2], "testbed.ignored": [0, 5]})
    text = llem_here("run", path, "--dry-run").stdout
    plan = json.loads(llem_here("run", path, "--dry-run", "--json").stdout)
    assert plan["total"] == 2
    assert plan["duplicates"]["count"] == 2
    assert "2 experiments to run" in text
    assert "2 points that come to the same experiment" in text
    assert "testbed on local" in text
    assert plan["estimate_s"] > 0
    assert all(e["config_hash"][:12] in text for e in plan["experiments"])


@pytest.mark.parametrize(
    ("sections", "code", "says"),
    [
        ({"model": "random:no-such-shape"}, 3, "there is no architecture `no-such-shape`"),
        ({"model": "./gone.gguf"}, 3, "there is no such file or folder"),
        ({"dataset": {"name": "jsonl", "path": "gone.jsonl", "n": 1}}, 3, "gone.jsonl"),
        ({"dataset": {"name": "no-such-dataset", "n": 1}}, 4, "no dataset `no-such-dataset` is installed"),
        ({"measurement": {"samplers": ["nvlm"]}}, 4, "no energy sampler `nvlm` is installed"),
        ({"model": {"source": "random:tiny-llama", "tokenizer": "./gone"}}, 3, "gone: no such folder"),
        ({"model": {"source": "random:tiny-llama", "tokenizer": "."}}, 3, "has no tokenizer (tokenizer.json, "),
    ],
)
def test_a_dry_run_prints_its_plan_and_ends_as_the_run_would_where_a_model_or_dataset_is_not_there(
    llem_here: Any, study: Any, sections: dict[str, Any], code: int, says: str
) -> None:
    done = llem_here("run", study(sweep=TWO, **sections), "--dry-run")
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "2 experiments to run" in done.stdout


@pytest.mark.parametrize("dry", [("--dry-run",), ()])
def test_everything_that_a_study_names_and_that_is_not_there_is_told_at_once(
    llem_here: Any, study: Any, dry: tuple[str, ...]
) -> None:
    gone = {
        "model": {"source": "./gone.gguf", "tokenizer": "./nowhere"},
        "measurement": {"samplers": ["nvlm", "zeuss"]},
    }
    done = llem_here("run", study(experiments=[{"dataset": "gone.jsonl"}, {"dataset": "aienergyscor"}], **gone), *dry)
    assert done.returncode == 4
    assert "6 things are wrong; nothing has run:" in done.stderr
    for part in ("dataset `aienergyscor`", "sampler `nvlm`", "sampler `zeuss`", "gone.gguf", "nowhere", "gone.jsonl"):
        assert part in done.stderr


def test_a_dry_run_leaves_out_what_skip_preflight_names(llem_here: Any, study: Any) -> None:
    assert llem_here("run", study(model="./gone.gguf"), "--dry-run", "--skip-preflight", "models").returncode == 0


def test_what_a_dry_run_announces_is_what_runs(llem: Any, study: Any, tmp_path: Path, read: Any) -> None:
    path = study(sweep=TWO)
    plan = json.loads(llem("run", path, "--dry-run", "--json").stdout)
    assert llem("run", path, "--quiet").returncode == 0
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert account["study_design_hash"] == plan["study_design_hash"]
    keys = ("position", "cycle", "config_hash", "point")
    told, ran = ([[e[k] for k in keys] for e in d["experiments"]] for d in (plan, account))
    assert told == ran
    assert [f"experiments/{e['directory']}" for e in plan["experiments"]] == [
        e["directory"] for e in account["experiments"]
    ]


def test_a_study_in_which_every_experiment_fails_is_never_success(
    llem: Any, study: Any, tmp_path: Path, read: Any
) -> None:
    done = llem("run", study(sweep=TWO, testbed={"fail": "exit"}))
    assert done.returncode == 1
    folder = read.only_study(tmp_path / "results")
    assert read.manifest(folder)["totals"]["failed"] == 2
    assert [row["status"] for row in read.rows(folder)] == ["failed", "failed"]
    assert "2 failed" in done.stdout


def test_a_study_stops_after_so_many_failures_in_a_row(llem: Any, study: Any, tmp_path: Path, read: Any) -> None:
    points = [
        {"testbed": {"batch_size": n, "fail": fail}}
        for n, fail in ((1, "exit"), (1, "no"), (2, "exit"), (3, "exit"), (4, "no"))
    ]
    done = llem("run", study(experiments=points, execution={"max_consecutive_failures": 2}))
    assert done.returncode == 1
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert [e["state"] for e in account["experiments"]] == ["failed", "done", "failed", "failed", "pending"]
    assert account["state"] == "stopped"
    assert "stopped after 2 failure(s) in a row" in done.stderr
    assert "complete" not in done.stdout + done.stderr


def test_no_experiment_starts_after_the_budget(llem: Any, study: Any, tmp_path: Path, read: Any) -> None:
    done = llem("run", study(sweep=TWO, execution={"budget_s": 0.01}))
    assert done.returncode == 1
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert [e["state"] for e in account["experiments"]] == ["done", "pending"]
    assert account["state"] == "stopped"
    assert "budget of 0.01 s" in done.stderr
    assert "complete" not in done.stdout + done.stderr


def test_a_gap_that_only_leads_beyond_the_budget_is_not_waited_for(llem: Any, study: Any) -> None:
    done = llem("run", study(sweep=TWO, execution={"budget_s": 3000, "experiment_gap_s": 3600}))
    assert done.returncode == 1
    assert "pause" not in done.stderr


def test_one_experiment_runs_from_options_alone(llem: Any, tmp_path: Path, read: Any) -> None:
    quick = ("warmup.enabled=false", "baseline.enabled=false", "measurement.min_window_s=0", "dataset.input_tokens=3")
    options = [word for setting in quick for word in ("--set", setting)]
    done = llem(
        "run", "--model", "random:tiny-llama", "--backend", "testbed", "--dataset", "synthetic", "-n", 3,
        "--output-tokens", 2, "--output", "elsewhere/deep", *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = read.only_study(tmp_path / "elsewhere" / "deep")
    (row,) = read.rows(folder)
    assert (row["tokens.requests"], row["tokens.input"], row["tokens.output"]) == (3, 9, 6)
    assert not (folder / "study.yaml").exists()


def test_two_studies_started_together_share_no_folder(llem: Any, study: Any, tmp_path: Path) -> None:
    path = study()
    for _ in range(2):
        assert llem("run", path, "--quiet").returncode == 0
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_relative_paths_in_a_study_start_from_its_own_folder(llem: Any, study: Any, tmp_path: Path) -> None:
    path = study(dataset={"path": "prompts.jsonl", "name": "jsonl", "n": 1, "output_tokens": 2})
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a prompt of its own"}\n')
    (tmp_path / "elsewhere").mkdir()
    done = llem("run", Path("..") / path.name, cwd=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere" / "results").is_dir()
