"""`llem analyze`, `audit`, `compare`, `gate`, `pareto`, `pick` and `export` on a study that really ran, and on what is none."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plain_environment import plain_environment

from llem.cli import main
from llem.results.store import job_directories, read_result

SWEEP = {"testbed.batch_size": [1, 2], "dataset.output_tokens": [3, 6]}
COMMANDS = (["analyze"], ["audit"], ["compare"], ["pareto"], ["pick"], ["export", "--format", "csv"])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 2 x 2 configurations and 3 cycles on the test backend, energy by estimate."""
    folder = tmp_path_factory.mktemp("analysed")
    document = {
        "name": "quick",
        "model": "random:tiny-llama",
        "dataset": {"name": "synthetic", "n": 4, "input_tokens": 4, "output_tokens": 3},
        "backend": "testbed",
        "testbed": {"token_s": 0.01},
        "measurement": {"min_window_s": 0.2, "settle_s": 0, "samplers": ["estimate"]},
        "warmup": {"enabled": False},
        "baseline": {"enabled": False},
        "sweep": SWEEP,
        "execution": {"experiment_gap_s": 0, "cycle_gap_s": 0, "cycles": 3},
    }
    (folder / "study.yaml").write_text(json.dumps(document))
    environment = plain_environment()
    environment |= {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "llem", "run", "study.yaml", "--output", "results"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    (study,) = (folder / "results").iterdir()
    return study


def test_analyze_ranks_what_matters_for_speed(llem: Any, llem_here: Any, ran: Path) -> None:
    done = llem("analyze", ran)
    assert done.returncode == 0, done.stderr
    assert "4 configurations, 3 cycles each" in done.stdout
    # A parameter has one sentence over all metrics: throughput leads it, or stands with the energy that leads it.
    assert re.search(r"Throughput depends most on testbed\.batch_size|step changes throughput by \+\d+ %", done.stdout)
    assert "note: ~ marks energy that was estimated" in done.stdout
    document = json.loads(llem_here("analyze", ran, "--json", "--figure", "tokens_per_s").stdout)
    (figure,) = document["figures"]
    assert figure["effects"][0]["parameter"] == "testbed.batch_size"
    assert figure["effects"][0]["share"] > 0.8
    assert figure["effects"][0]["contrast"]["ratio_interval"]["low"] > 1


@pytest.mark.process
def test_compare_pairs_the_cycles_of_a_study(llem_here: Any, ran: Path) -> None:
    done = llem_here("compare", ran, "--baseline", "testbed.batch_size=1,dataset.output_tokens=3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("dataset.output_tokens=3, testbed.batch_size=1 → ") == 3
    assert "by cycle" in done.stdout
    assert "configuration: testbed.batch_size: 1 → 2" in done.stdout
    document = json.loads(llem_here("compare", ran, "--json").stdout)
    assert all(pair["figures"]["tokens_per_s"]["paired"] for pair in document["pairs"])
    jobs = sorted((ran / "experiments").iterdir())
    assert llem_here("compare", jobs[0], jobs[1]).returncode == 0


@pytest.mark.process
def test_pareto_lists_the_front(llem_here: Any, ran: Path) -> None:
    done = llem_here("pareto", ran, "--by", "throughput", "--by", "e2e")
    assert done.returncode == 0, done.stderr
    assert "testbed.batch_size=2" in done.stdout
    document = json.loads(llem_here("pareto", ran, "--json").stdout)
    assert len(document["points"]) == 4
    assert document["estimated"] is True


@pytest.mark.process
def test_what_pick_prints_is_the_study_that_runs_it(llem_here: Any, ran: Path, tmp_path: Path) -> None:
    done = llem_here("pick", ran, "--max", "throughput", "--max-ttft", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# dataset.output_tokens=")
    assert "testbed.batch_size=2\n# has the highest throughput" in done.stdout
    (tmp_path / "best.yaml").write_text(done.stdout)
    plan = llem_here("run", "best.yaml", "--dry-run", "--json")
    assert plan.returncode == 0, plan.stderr
    (planned,) = json.loads(plan.stdout)["experiments"]
    picked = json.loads(llem_here("pick", ran, "--max", "throughput", "--max-ttft", "1", "--json").stdout)
    assert planned["config_hash"] == picked["config_hash"]
    assert picked["config_hash"] in {read_result(job).identity.config_hash for job in job_directories(ran)}
    assert picked["yaml"] == done.stdout


@pytest.mark.process
def test_pick_writes_a_file_and_says_what_energy_stands_for(llem_here: Any, ran: Path, tmp_path: Path) -> None:
    done = llem_here(
        "pick", ran, "--output", "best.yaml", "--carbon-intensity", "56", "--price", "0.3", "--currency", "EUR"
    )
    assert done.returncode == 0, done.stderr
    assert "~ is an estimate" in done.stdout
    assert "footprint: ~" in done.stdout
    assert "EUR per 1,000 output tokens (56 g CO2e/kWh (given), 0.3 EUR/kWh, PUE 1)" in done.stdout
    assert "Next: llem run best.yaml --dry-run" in done.stdout
    assert (tmp_path / "best.yaml").read_text().startswith("# ")


@pytest.mark.process
def test_export_to_standard_output_and_to_files(llem_here: Any, ran: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(llem_here("export", ran, "--format", "csv").stdout)))
    assert len(rows) == 12
    assert {row["energy_estimated"] for row in rows} == {"true"}
    assert llem_here("export", ran, "--format", "latex").stdout.count(r"\\") == 5
    for form, output in (
        ("csv", "runs.csv"),
        ("parquet", "runs.parquet"),
        ("latex", "table.tex"),
    ):
        done = llem_here("export", ran, "--format", form, "--output", output)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / output).stat().st_size > 100
    for form, why in (
        ("aienergyscore", "no configuration of this study has any"),
        ("ml-energy", "is no measurement of GPUs"),
    ):
        refused = llem_here("export", ran, "--format", form, "-o", "score")
        assert refused.returncode == 2
        assert why in refused.stderr
        assert not (tmp_path / "score").exists()


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Exit code and standard error of `llem`, in this process: a process each would take a second each."""
    code = main([str(a) for a in arguments])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_what_is_no_study_is_one_paragraph(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    for path in ("absent", "empty", "text.txt"):
        code, text = said(capsys, command[0], tmp_path / path, *command[1:])
        assert code == 2, (path, text)
        assert text.startswith("llem: ")
        assert "bug of llem" not in text
        assert len(text.strip().splitlines()) == 1


@pytest.mark.process
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_folder_of_studies_asks_for_one(capsys: pytest.CaptureFixture[str], ran: Path, command: list[str]) -> None:
    code, text = said(capsys, command[0], ran.parent, *command[1:])
    assert code == 2
    assert "this folder holds 1 study; name one" in text


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["analyze", "--figure", "token_per_s"], "Did you mean `tokens_per_s`?"),
        (["compare", "--baseline", "testbed.batch_size=7"], "no configuration matches"),
        (["gate", "nowhere", "--max-increase", "3%"], "nowhere"),
        (["pareto", "--by", "energy"], "a front takes two figures"),
        (["pick", "--min", "throughput"], "Use --max throughput"),
        (["pick", "--min", "energy", "--max", "throughput"], "Keep one"),
        (["pick", "--max-ttft", "0.000001"], "no configuration keeps all limits. The nearest is"),
        (["pick", "--carbon-intensity", "codecarbon:XXX"], "no carbon intensity for `XXX`"),
        (["pick", "--price", "0.1", "--pue", "0.5"], "a PUE of 0.5 cannot be"),
        (["pick", "--output", "absent/best.yaml"], "cannot be written"),
        (["export", "--format", "parquet"], "--output PATH"),
        (
            ["export", "--format", "ml-energy"],
            "ml-energy is a folder of files, and no text. Name where: --output PATH.",
        ),
        (["export", "--format", "csv", "--json"], "--output"),
        (["export", "--format", "csv", "--output", "absent/x.csv"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_says_why(
    capsys: pytest.CaptureFixture[str], ran: Path, arguments: list[str], says: str
) -> None:
    code, text = said(capsys, arguments[0], ran, *arguments[1:])
    assert code == 2, text
    assert says in text


@pytest.mark.process
def test_a_study_that_is_held_against_itself_passes_no_gate_unless_it_is_wanted(llem_here: Any, ran: Path) -> None:
    # Memory hardly varies, however busy the machine is; energy of a quick study may be too noisy to tell.
    memory = ["gate", ran, ran, "--metric", "host_peak_rss_mb", "--max-increase", "30%"]
    alone = llem_here(*memory)
    assert alone.returncode == 5, alone.stdout + alone.stderr
    assert "they are one and the same run" in alone.stdout
    done = llem_here(*memory, "--anyway")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("passed: ")
    energy = llem_here("gate", ran, ran, "--max-increase", "30%", "--anyway")
    assert "note: ~ is an estimate" in energy.stdout
    assert energy.returncode == (0 if energy.stdout.startswith("passed: ") else 5)
    assert energy.stdout.startswith(("passed: ", "cannot tell: "))


@pytest.mark.process
def test_an_audit_says_honestly_what_a_quick_study_lacks(llem_here: Any, ran: Path) -> None:
    done = llem_here("audit", ran, "--json")
    assert done.returncode == 1, done.stderr
    outcomes = {one["id"]: one for one in json.loads(done.stdout)["outcomes"]}
    status = {name: one["status"] for name, one in outcomes.items()}
    assert {name: status[name] for name in ("window", "warm-up", "baseline", "measured")} == dict.fromkeys(
        ("window", "warm-up", "baseline", "measured"), "failed"
    )
    assert {
        name: status[name] for name in ("complete", "files-intact", "cycles", "order", "hardware-alike")
    } == dict.fromkeys(("complete", "files-intact", "cycles", "order", "hardware-alike"), "passed")
    assert outcomes["window"]["value"] < 60
    text = llem_here("audit", ran).stdout
    assert text.index("window") < text.index("files-intact")


@pytest.mark.process
def test_a_form_that_no_plugin_brings_is_told_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str], ran: Path
) -> None:
    code, text = said(capsys, "export", ran, "--format", "excel")
    assert code == 4, text
    assert "no exporter `excel` is installed; there is: aienergyscore, csv" in text


@pytest.mark.parametrize(
    "command", ["analyze", "audit", "baseline accept", "compare", "gate", "pareto", "pick", "export"]
)
def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"llem {command} results/" in capsys.readouterr().out
