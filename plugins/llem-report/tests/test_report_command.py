"""`llem report` as a user calls it: what it writes, what it refuses, and what it says of a study that is not whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llem.cli import main
from llem.plugins import Registry
from llem.results.models import Failure
from llem_report.charts import CHARTS
from llem_report.gather import gather
from llem_report.registered_charts import charts

RUNNING = """
name: waiting
model: random:tiny-llama
dataset: {name: synthetic, n: 2, input_tokens: 4, output_tokens: 3}
backend: testbed
measurement: {min_window_s: 0, settle_s: 0}
warmup: {enabled: false}
baseline: {enabled: false}
sweep: {testbed.batch_size: [1, 2]}
execution: {experiment_gap_s: 600}
"""
"""Its second experiment waits for longer than any test."""


@pytest.fixture
def study(make_result, write_study) -> Path:
    """Two configurations, one of them once done and once failed."""
    failure = Failure(type="OutOfMemory", message="no room left", phase="load")
    return write_study(
        make_result(config_hash="1" * 64, point={"testbed.batch_size": 1}, j_per_token=1.0, tokens_per_s=50.0),
        make_result(
            config_hash="2" * 64, point={"testbed.batch_size": 8}, position=2, warnings={"gpu_shared": "not alone"}
        ),
        make_result(config_hash="2" * 64, point={"testbed.batch_size": 8}, position=3, cycle=2, failure=failure),
    )


@pytest.mark.process
def test_the_page_is_written_into_the_study_or_where_it_is_asked_for(study, tmp_path, capsys):
    assert main(["report", str(study)]) == 0
    assert "made-by-hand" in (study / "report.html").read_text()
    assert main(["report", str(study), "-o", str(tmp_path / "elsewhere.html")]) == 0
    assert (tmp_path / "elsewhere.html").stat().st_size == pytest.approx(
        (study / "report.html").stat().st_size, rel=0.01
    )
    assert str(tmp_path / "elsewhere.html") in capsys.readouterr().out


def test_one_figure_is_a_file_of_the_form_that_its_ending_says(study, tmp_path):
    path = tmp_path / "front.pdf"
    assert main(["report", str(study), "--figure", "pareto", "--width", "single", "-o", str(path)]) == 0
    assert path.read_bytes().startswith(b"%PDF-")


def test_all_figures_go_into_a_folder_and_those_left_out_are_named_with_the_reason(study, tmp_path, capsys):
    assert main(["report", str(study), "--format", "svg", "--theme", "dark", "-o", str(tmp_path / "figures")]) == 0
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["effects.svg", "pareto.svg"]
    said = capsys.readouterr().err
    assert "left out: phases: No run has energy by phase" in said
    assert "left out: power: No run that is done has readings" in said


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--figure", "phases", "--format", "png"], 2, "there is no figure `phases`: No run has energy by phase"),
        (["--figure", "pareto", "--format", "html"], 2, "--figure goes with --format png, svg or pdf"),
        (["--theme", "dark"], 2, "the page has every figure in both themes"),
        (["--serve", "-o", "report.html"], 2, "--serve writes no file"),
        (["--port", "0"], 2, "--port goes with --serve"),
        (["--format", "pdf", "--open"], 2, "--open opens the page"),
        pytest.param(["-o", "/nowhere/at/all/report.html"], 2, "cannot be written", marks=pytest.mark.process),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(study, capsys, options, code, said):
    assert main(["report", str(study), *options]) == code
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.process
def test_without_the_extra_it_says_what_to_install(study, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "vl_convert.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join([str(hidden), os.environ["PYTHONPATH"]])
    command = [sys.executable, "-m", "llem", "report", str(study)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 4
    assert "pip install 'llem[report]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (study / "report.html").exists()


def test_help_teaches_with_examples(capsys):
    assert tuple(charts(Registry()))[: len(CHARTS)] == tuple(CHARTS)
    assert main(["report", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "llem report results/demo-20260101T120000Z --figure pareto --width single -o pareto.svg" in shown


def test_what_is_gathered_tells_runs_configurations_and_what_is_missing(study):
    found = gather(study)
    assert found.title == "made-by-hand"
    assert (found.state, found.finished) == ("unknown", True)
    assert found.counts == {"experiments": 3, "done": 2, "failed": 1}
    first, second, third = found.rows
    assert (first["label"], first["settings"]) == ("testbed.batch_size=1", {"testbed.batch_size": 1})
    assert second["warnings"] == [{"code": "gpu_shared", "message": "not alone"}]
    assert (third["status"], third["failure"], third["configuration"]) == ("failed", "OutOfMemory: no room left", None)
    assert third["j_per_output_token"] is None
    assert [one.runs for one in found.configurations] == [1, 1]
    assert found.common["testbed"]["dataset.name"] == "synthetic"
    assert any("batch_size" in sentence for sentence in found.findings)
    assert any("1 of 3 runs failed" in sentence for sentence in found.warnings)
    assert "@software{llem" in found.citation


def test_one_experiment_has_a_report_without_findings(make_result, write_study):
    found = gather(write_study(make_result(method="estimate", scope="cpu")))
    assert found.findings == ()
    assert "nothing to analyse" in str(found.no_findings)
    assert found.rows[0]["estimated"] is True
    assert any(sentence.startswith("~ marks energy that was estimated") for sentence in found.warnings)
    assert any("estimated" in sentence for sentence in found.method)


@pytest.mark.process
def test_a_study_that_runs_says_so_and_what_is_still_to_come(tmp_path):
    (tmp_path / "study.yaml").write_text(RUNNING)
    environment = {**os.environ, **{name: str(tmp_path / "home") for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME")}}
    command = [sys.executable, "-m", "llem", "run", "study.yaml"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not (results := list(tmp_path.glob("results/*/experiments/*/result.json"))):
            assert running.poll() is None
            time.sleep(0.1)
        study = results[0].parents[2]
        while not (found := gather(study)).counts.get("done"):  # its result is there a moment before its study knows
            assert running.poll() is None
            time.sleep(0.1)
        assert (found.title, found.state, found.finished) == ("waiting", "running", False)
        assert found.counts["experiments"] == 2
        assert "The study runs: 1 of 2 experiments are still to come, and figures may change." in found.warnings
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(120)
    assert gather(study).finished


def test_a_study_that_was_broken_off_before_its_first_result_has_a_report_too(tmp_path):
    (tmp_path / "study" / "experiments").mkdir(parents=True)
    found = gather(tmp_path / "study")
    assert found.rows == []
    assert found.configurations == ()
    assert "no experiment" in str(found.no_findings)


@pytest.mark.process
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--audit", "publicatoin"], "publication"),
        (["--audit", "publication", "--serve"], "--audit"),
        (["--audit", "publication", "--format", "png"], "--audit"),
    ],
)
def test_an_audit_that_cannot_be_is_refused_and_nothing_is_written(study, options, says, capsys):
    assert main(["report", str(study), *options]) == 2
    assert says in capsys.readouterr().err
    assert not (study / "report.html").exists()


@pytest.mark.process
def test_the_page_takes_an_audit(study, capsys):
    assert main(["report", str(study), "--audit", "ml-energy"]) == 0
    assert "by the rules ml-energy" in (study / "report.html").read_text(encoding="utf-8")
