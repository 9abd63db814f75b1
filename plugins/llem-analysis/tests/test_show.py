"""`llem show`: a study or a result as a table that a person wants to read, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from llem.results.aggregate import aggregate
from llem.results.models import Failure

pytestmark = pytest.mark.process


@pytest.fixture
def three(make_result: Any, write_study: Any) -> Path:
    """Two configurations: one of two cycles, one that failed."""
    failure = Failure(
        type="OutOfMemory", message="too large", phase="load", exit_code=1, signal=None, log_tail="a line"
    )
    folder: Path = write_study(
        make_result(point={"testbed.batch_size": 1}, position=1, tokens_per_s=100.0),
        make_result(point={"testbed.batch_size": 1}, position=2, cycle=2, tokens_per_s=110.0),
        make_result(point={"testbed.batch_size": 8}, position=3, config_hash="b" * 64, failure=failure),
    )
    return folder


def test_cycles_are_brought_together_and_failures_named(llem: Any, three: Path) -> None:
    shown = llem("show", three)
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == "made-by-hand: 3 experiments, 2 done, 1 failed"
    header, first, second = lines[2], lines[4], lines[5]
    assert header.split()[:3] == ["batch_size", "cycles", "tokens/s"]
    assert first.split()[:2] == ["1", "2"]
    assert "105 ± 7" in first
    assert "0.500 ± 0.000 J (gpu counter)" in first
    assert second.split()[0] == "8"
    assert second.rstrip().endswith("failed")
    assert "–" in second
    assert " 0 " not in second, "what was not measured is never 0"
    assert "failed: experiments/0003: OutOfMemory in load: too large" in shown.stdout


def test_a_key_that_only_others_sweep_has_the_value_that_it_is_set_to(
    llem: Any, make_result: Any, write_study: Any
) -> None:
    folder = write_study(
        make_result(point={"dataset.n": 64}, dataset_n=64),
        make_result(point={"testbed.batch_size": 4}, dataset_n=8, position=2, config_hash="b" * 64),
    )
    for rebuilt in ((), ("--rebuild",)):
        lines = llem("show", folder, *rebuilt).stdout.splitlines()
        assert lines[2].split()[:2] == ["n", "batch_size"]
        assert lines[4].split()[:2] == ["64", "2"]
        assert lines[5].split()[:2] == ["8", "4"]


def test_what_qualifies_the_figures_stands_in_the_notes_below_the_table(
    llem: Any, make_result: Any, write_study: Any
) -> None:
    told = {"context_exceeded": "1 prompt too long.", "batch_fill": "mean 3 of 8.", "machine_busy": "load 9 on 2."}
    shown = llem("show", write_study(make_result(warnings=told))).stdout
    for code, message in told.items():
        assert f": {code}: {message}" in shown


def test_a_row_whose_figures_a_warning_voids_says_so_in_its_status(
    llem: Any, make_result: Any, write_study: Any
) -> None:
    told = {"saturated": "too much.", "machine_busy": "load 9 on 2.", "energy_unmeasured": "no meter."}
    folder = write_study(
        make_result(point={"testbed.batch_size": 1}, position=1),
        make_result(point={"testbed.batch_size": 1}, position=2, cycle=2, warnings=told),
        make_result(point={"testbed.batch_size": 8}, position=3, config_hash="b" * 64, warnings=told),
        make_result(point={"testbed.batch_size": 9}, position=4, config_hash="c" * 64),
    )
    rows = llem("show", folder).stdout.splitlines()[4:7]
    assert [row.rpartition("  ")[2].strip() for row in rows] == ["done, 1 saturated", "done, saturated", "done"]


def test_a_study_as_json_has_null_where_nothing_was_measured(llem: Any, three: Path) -> None:
    document = json.loads(llem("show", three, "--json").stdout)
    assert document["study"] == "made-by-hand"
    assert document["counts"] == {"experiments": 3, "done": 2, "failed": 1}
    first, second = document["experiments"]
    figure = first["figures"]["tokens_per_s"]
    assert (figure["mean"], figure["sd"], figure["n"]) == (105.0, pytest.approx(7.071, abs=1e-3), 2)
    assert figure["interval"] is None
    assert figure["no_interval"] == "2 values; an interval takes 3 or more"
    assert first["energy"] == {"scope": "gpu", "method": "counter", "unreliable": False}
    assert second["figures"]["tokens_per_s"] is None
    assert second["failures"][0]["type"] == "OutOfMemory"


def test_three_cycles_give_an_interval_and_fewer_say_why_not(llem: Any, make_result: Any, write_study: Any) -> None:
    folder = write_study(
        *(
            make_result(
                point={"testbed.batch_size": 1}, position=p, cycle=p, tokens_per_s=100.0 + p, j_per_token=0.5 + p / 1000
            )
            for p in (1, 2, 3)
        ),
        make_result(point={"testbed.batch_size": 8}, position=4, config_hash="b" * 64),
    )
    shown = llem("show", folder).stdout
    header, three_cycles, one_cycle = (shown.splitlines()[i] for i in (2, 4, 5))
    assert "95 % interval" in header
    assert "0.4995 … 0.5045" in three_cycles, "0.502 ± 4.303 x 0.001 / √3"
    assert " … " not in one_cycle
    assert "by Student's t (3 to 5 cycles)" in shown
    assert "no 95 % interval for 1 of 2 configurations: 1 cycle; an interval takes 3 or more." in shown
    first = json.loads(llem("show", folder, "--json").stdout)["experiments"][0]["figures"]["j_per_output_token"]
    assert first["interval"] == first["t"]
    assert first["interval"]["method"] == "t"
    assert first["bootstrap"]["resamples"] == 10_000
    assert first["bootstrap"]["seed"] == 42
    assert first["no_interval"] is None


def test_an_interval_that_reaches_below_0_is_cut_there_in_the_table(
    llem: Any, make_result: Any, write_study: Any
) -> None:
    results = [make_result(position=p, cycle=p, j_per_token=joules) for p, joules in ((1, 0.1), (2, 0.2), (3, 1.2))]
    folder = write_study(*results)
    assert "0.00 … 2.01" in llem("show", folder).stdout.splitlines()[4], "0.5 ± 4.303 x 0.608 / √3"
    (found,) = json.loads(llem("show", folder, "--json").stdout)["experiments"]
    assert found["figures"]["j_per_output_token"]["interval"]["low"] < 0


def test_an_estimate_is_marked_wherever_its_figure_stands(llem: Any, make_result: Any, write_study: Any) -> None:
    folder = write_study(make_result(method="estimate", scope="cpu", unreliable=True))
    for path in (folder, folder / "experiments" / "0001"):
        shown = llem("show", path).stdout
        assert "~0.500 J (cpu estimate, unreliable)" in shown
    assert "not a measurement" in llem("show", folder).stdout


def test_one_result_is_shown_by_its_folder_or_its_file(llem: Any, three: Path) -> None:
    job = three / "experiments" / "0001"
    by_folder, by_file = llem("show", job), llem("show", job / "result.json")
    assert by_folder.stdout == by_file.stdout
    for part in ("done  random:tiny-llama on testbed", "point       testbed.batch_size = 1", "throughput", "latency"):
        assert part in by_folder.stdout
    assert "not used: no powercap zones" in by_folder.stdout
    document = json.loads(llem("show", job, "--json").stdout)
    assert document == json.loads((job / "result.json").read_text())


def test_a_failed_result_shows_where_and_why_with_its_log(llem: Any, three: Path) -> None:
    shown = llem("show", three / "experiments" / "0003").stdout
    assert "failure: OutOfMemory in load\n  too large\n  log tail:\n  | a line" in shown


def test_the_table_of_results_says_the_same_as_the_folders(llem: Any, three: Path) -> None:
    by_folder = json.loads(llem("show", three, "--json").stdout)
    by_table = json.loads(llem("show", aggregate(three), "--json").stdout)
    assert by_table == by_folder


def test_the_table_can_be_rebuilt_at_any_time(llem: Any, three: Path) -> None:
    def rows() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(folder / "results.parquet").to_pylist()
        return found

    folder = three
    aggregate(folder)
    before = rows()
    (folder / "results.parquet").unlink()
    assert llem("show", folder).returncode == 0
    assert not (folder / "results.parquet").exists(), "looking at a study writes nothing"
    assert llem("show", folder, "--rebuild").returncode == 0
    assert rows() == before
    (folder / "results.parquet").write_text("torn")
    torn = llem("show", folder / "results.parquet")
    assert torn.returncode == 2
    assert "--rebuild" in torn.stderr
    assert llem("show", folder, "--rebuild").returncode == 0
    assert rows() == before


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.mkdir(), "neither a study's folder"),
        (lambda p: None, "there is nothing here"),
        (lambda p: p.write_text("text"), "neither a study's folder"),
        (lambda p: (p.mkdir(), (p / "result.json").write_text("{")), "not JSON"),
        (lambda p: (p.mkdir(), (p / "result.json").write_text("[]")), "no JSON object"),
        (lambda p: (p.mkdir(), (p / "result.json").write_text('{"schema_version": 999}')), "schema version 999"),
        (lambda p: (p.mkdir(), (p / "result.json").write_text('{"schema_version": 1}')), "not a whole result"),
        (lambda p: (p.mkdir(), (p / "experiment.json").write_text("{}")), "no result yet"),
        (lambda p: (p.mkdir(), (p / "manifest.json").write_text("{}")), "this manifest is damaged"),
        (lambda p: (p.mkdir(), (p / "manifest.json").write_bytes(b"\xff")), "this manifest is damaged"),
    ],
)
def test_what_is_no_result_is_refused_by_name(llem: Any, tmp_path: Path, make: Any, says: str) -> None:
    make(tmp_path / "it")
    for options in ((), ("--json",)):
        done = llem("show", tmp_path / "it", *options)
        assert done.returncode == 2
        assert str(tmp_path / "it") in done.stderr
        assert says in done.stderr
        assert done.stdout == ""


def test_a_folder_of_studies_names_the_newest(llem: Any, three: Path) -> None:
    done = llem("show", three.parent)
    assert done.returncode == 2
    assert f"llem show {three}" in done.stderr


def test_rebuild_of_what_is_no_study_is_refused(llem: Any, tmp_path: Path) -> None:
    done = llem("show", tmp_path, "--rebuild")
    assert done.returncode == 2
    assert "no study's folder" in done.stderr
    assert list(tmp_path.iterdir()) == []
