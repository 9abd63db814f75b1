"""Figures of a report, drawn from real studies on the test backend: valid, labelled, bounded, and honest about what is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import altair
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from llem.results.job_directory import TIMESERIES
from llem.results.models import Failure
from llem_report.charts import CHARTS
from llem_report.charts.drawn import Drawn
from llem_report.charts.readings import recording
from llem_report.charts.style import PRINT_SCALE, SHAPES, TOTAL, distinct_labels, short_label
from llem_report.export import DPI, rendered, save
from llem_report.gather import gather
from llem_report.models import ReportStudy

TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"
STUDY = """
name: paced
model: random:tiny-llama
dataset: {name: synthetic, n: 4, input_tokens: 6, output_tokens: 5}
backend: testbed
measurement: {min_window_s: 0.5, settle_s: 0, samplers: [testmeter]}
warmup: {enabled: false}
baseline: {enabled: false}
sweep:
  testbed.token_s: [0.004, 0.04]
  testbed.batch_size: [1, 4]
execution: {cycles: 3, experiment_gap_s: 0, cycle_gap_s: 0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of four configurations and three cycles, run for real with a meter of known power."""
    root = tmp_path_factory.mktemp("paced")
    (root / "study.yaml").write_text(STUDY)
    path = os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]])
    home = {name: str(root / "home") for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-m", "llem", "run", "study.yaml"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path, **home},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (root / "results").iterdir()
    return found


@pytest.fixture(scope="module")
def study(folder: Path) -> ReportStudy:
    return gather(folder)


def marks(view: Any) -> list[dict[str, Any]]:
    """Every mark of a document, whichever way its views are put together."""
    if isinstance(view, list):
        return [mark for one in view for mark in marks(one)]
    if not isinstance(view, dict):
        return []
    own = [view["mark"]] if isinstance(view.get("mark"), dict) else []
    return own + [mark for key, inner in view.items() if key != "data" for mark in marks(inner)]


def drawn_spec(drawn: Drawn) -> dict[str, Any]:
    assert drawn.why_not is None
    assert drawn.spec is not None
    return drawn.spec


LABELS = {
    "effects": [
        "testbed.token_s: 0.04 → 0.004",
        "testbed.batch_size: 1 → 4",
        "share of variance",
        "Energy per output token",
        "Throughput",
    ],
    "pareto": [
        "throughput, tokens/s (better →)",
        "energy per output token, J",
        "time to first token (median), s (← better)",
    ],
    "phases": ["energy of a run, J", "measured window", "batch_size=1, token_s=0.04"],
    "power": ["power, W", "time since the measured window opened, s", "measured window"],
    "latency": [
        "time to first token, ms",
        "inter-token latency, ms",
        "whole request, ms",
        "batch_size=4, token_s=0.004",
    ],
}


@pytest.mark.process
@pytest.mark.parametrize("width", ["single", "double"])
@pytest.mark.parametrize("name", CHARTS)
def test_a_figure_is_valid_vega_lite_with_its_units_and_no_colour_left_open(study, name, width):
    drawn = CHARTS[name].draw(study, width)
    altair.Chart.from_dict(drawn_spec(drawn))
    for theme in ("light", "dark"):
        svg = rendered(drawn, "svg", theme).decode()
        assert "var(" not in svg
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    wanted = (
        LABELS[name] if width == "double" else [label for label in LABELS[name] if ", " in label and ":" not in label]
    )
    for label in wanted:
        assert label in texts
    assert drawn.caption.endswith(".")
    assert drawn.description.endswith(".")
    assert "NaN" not in json.dumps(drawn.spec)


@pytest.mark.process
def test_files_are_what_they_say_and_as_wide_as_a_column_in_print(study, tmp_path):
    for width in ("single", "double"):
        drawn = CHARTS["phases"].draw(study, width)
        for form, magic in (("png", b"\x89PNG\r\n"), ("pdf", b"%PDF-"), ("svg", b"<svg ")):
            path = tmp_path / f"{width}.{form}"
            save(drawn, path, form)
            assert path.read_bytes().startswith(magic)
        points = TOTAL[width] * PRINT_SCALE
        svg = (tmp_path / f"{width}.svg").read_text()
        box = re.search(rb"/MediaBox ?\[ ?0 0 ([\d.]+)", (tmp_path / f"{width}.pdf").read_bytes())
        assert box is not None
        assert float(box[1]) == pytest.approx(points, abs=0.1)
        pixels, _ = struct.unpack(">II", (tmp_path / f"{width}.png").read_bytes()[16:24])
        assert pixels == pytest.approx(float(box[1]) / 72 * DPI, abs=4)
        assert f'width="{points:.1f}pt"' in svg
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".pdf", ".pdf", ".png", ".png", ".svg", ".svg"]


@pytest.mark.process
def test_the_largest_effect_stands_first_with_its_interval(study):
    drawn = CHARTS["effects"].draw(study)
    energy = drawn_spec(drawn)["vconcat"][0]["data"]["values"]
    assert energy[0]["parameter"] == "testbed.token_s"
    assert 0 < energy[0]["low"] <= energy[0]["ratio"] <= energy[0]["high"] < 1
    assert energy[0]["total_low"] <= energy[0]["total"] <= energy[0]["total_high"]
    assert "95 % intervals" in drawn.caption


@pytest.mark.process
def test_the_front_is_told_by_line_fill_and_number_and_not_by_colour_alone(study):
    drawn = CHARTS["pareto"].draw(study)
    found = marks(drawn_spec(drawn))
    assert {(mark["type"], mark.get("filled")) for mark in found} >= {("point", True), ("point", False), ("line", None)}
    assert "1: testbed.batch_size=" in drawn.caption
    assert len(set(SHAPES)) == len(SHAPES)


@pytest.mark.process
def test_power_over_time_is_that_of_the_meter(folder, study):
    found = recording(folder / study.configurations[0].directories[0])
    assert found is not None
    inside = [r.power_w for r in found.readings if r.power_w is not None]
    assert inside == pytest.approx([50.0] * len(inside), rel=0.02)
    names = [name for name, _, _ in found.phases]
    assert names[0] == "idle_baseline"
    assert names[-1] == "close"
    opened = next(start for name, start, _ in found.phases if name == "window")
    assert opened == pytest.approx(0.0, abs=1e-6)


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.process
def test_temperature_is_drawn_dashed_on_an_axis_of_its_own(folder, tmp_path):
    copy = copied(folder, tmp_path)
    for path in copy.glob(f"experiments/*/{TIMESERIES}"):
        table = pq.read_table(path)
        place = table.column_names.index("temperature_c")
        heat = pc.add(pc.multiply(table.column("t_s"), 0.1), 40.0)
        pq.write_table(table.set_column(place, table.schema.field(place), heat), path)
    drawn = CHARTS["power"].draw(gather(copy))
    altair.Chart.from_dict(drawn_spec(drawn))
    assert drawn.title == "Power and temperature over time"
    assert any(mark["type"] == "line" and mark.get("strokeDash") for mark in marks(drawn.spec))
    assert "temperature, °C (dashed)" in rendered(drawn, "svg").decode()


@pytest.mark.process
def test_a_counter_without_power_becomes_power_by_its_rise(folder, study, tmp_path):
    copy = copied(folder, tmp_path)
    job = copy / study.configurations[0].directories[0]
    table = pq.read_table(job / TIMESERIES)
    place = table.column_names.index("power_w")
    nothing = pa.nulls(table.num_rows, pa.float64())
    pq.write_table(table.set_column(place, table.schema.field(place), nothing), job / TIMESERIES)
    found = recording(job)
    assert found is not None
    inside = [r.power_w for r in found.readings if r.power_w is not None]
    assert inside
    assert inside == pytest.approx([50.0] * len(inside), rel=0.05)


@pytest.mark.process
def test_damaged_tables_of_runs_leave_their_figures_out(folder, tmp_path):
    copy = copied(folder, tmp_path)
    for name in ("timeseries.parquet", "requests.parquet"):
        for number, path in enumerate(sorted(copy.glob(f"experiments/*/{name}"))):
            path.unlink() if number % 2 else path.write_bytes(b"PAR1 and nothing else")
    study = gather(copy)
    assert "readings of power" in str(CHARTS["power"].draw(study).why_not)
    assert "missing or damaged" in str(CHARTS["latency"].draw(study).why_not)
    assert CHARTS["effects"].draw(study).spec is not None


def why_not(study: ReportStudy) -> dict[str, str]:
    found = {name: figure.draw(study) for name, figure in CHARTS.items()}
    assert all((drawn.spec is None) == (drawn.why_not is not None) for drawn in found.values())
    assert all(drawn.why_not.endswith(".") for drawn in found.values() if drawn.why_not)
    return {name: drawn.why_not for name, drawn in found.items() if drawn.why_not}


@pytest.mark.process
def test_a_study_without_energy_says_so_and_ranks_speed(make_result, write_study):
    results = [
        make_result(config_hash=str(n) * 64, point={"testbed.batch_size": n}, tokens_per_s=100.0 * n, j_per_token=None)
        for n in (1, 2)
    ]
    study = gather(write_study(*results))
    absent = why_not(study)
    assert "No energy was measured" in absent["pareto"]
    assert "no run has energy by phase" in absent["phases"].lower()
    assert "effects" not in absent


@pytest.mark.process
def test_no_room_is_kept_for_shares_that_nothing_tells(make_result, write_study, study):
    once = [
        make_result(config_hash=str(n) * 64, point={"testbed.batch_size": n}, tokens_per_s=100.0 * n) for n in (1, 2)
    ]
    drawn = CHARTS["effects"].draw(gather(write_study(*once)))
    assert all(len(view["hconcat"]) == 1 for view in drawn_spec(drawn)["vconcat"])
    assert "No shares of variance" in drawn.caption
    assert all(len(view["hconcat"]) == 2 for view in drawn_spec(CHARTS["effects"].draw(study))["vconcat"])


@pytest.mark.process
def test_one_experiment_has_no_effects_and_no_front(make_result, write_study):
    absent = why_not(gather(write_study(make_result())))
    assert "only one configuration" in absent["effects"]
    assert "Fewer than two configurations" in absent["pareto"]


@pytest.mark.process
def test_a_study_of_failures_has_no_figure_and_says_why(make_result, write_study):
    failure = Failure(type="OutOfMemory", message="no room left", phase="load")
    assert set(why_not(gather(write_study(make_result(failure=failure))))) == set(CHARTS)


def test_estimates_say_so_and_are_not_drawn_beside_measurements(make_result, write_study):
    estimated = [
        make_result(
            config_hash=str(n) * 64,
            point={"testbed.batch_size": n},
            j_per_token=1.0 / n,
            method="estimate",
            scope="cpu",
        )
        for n in (1, 2)
    ]
    drawn = CHARTS["pareto"].draw(gather(write_study(*estimated, name="estimated")))
    assert "energy per output token, J (estimate)" in rendered(drawn, "svg").decode()
    assert "not a measurement" in drawn.caption
    measured = make_result(config_hash="3" * 64, point={"testbed.batch_size": 3}, position=3)
    mixed = CHARTS["pareto"].draw(gather(write_study(*estimated, measured, name="mixed")))
    assert "different methods" in str(mixed.why_not)


@pytest.mark.process
def test_ten_thousand_configurations_are_drawn_in_few_data(study, enlarged):
    many = enlarged(study, 10_000)
    for name in ("pareto", "phases", "latency"):
        drawn = CHARTS[name].draw(many)
        if drawn.spec is not None:
            assert len(json.dumps(drawn.spec)) < 600_000
    assert (
        "Of 10,000 configurations in the order of energy per output token the best 12"
        in CHARTS["phases"].draw(many).caption
    )
    assert "larger points stand for more" in CHARTS["pareto"].draw(many).caption
    assert rendered(CHARTS["pareto"].draw(many), "svg").startswith(b"<svg ")


def test_short_labels_stay_distinct():
    labels = [f"a-parameter-of-a-long-name={'x' * 60}{n}{'y' * 60}" for n in range(12)]
    assert len(set(distinct_labels(labels, 30))) == 12
    assert max(map(len, distinct_labels(labels, 30))) <= 30
    assert (
        short_label({"backend": "vllm", "vllm.max_num_seqs": 4, "vllm.eager": True}, "")
        == "vllm, max_num_seqs=4, eager=true"
    )
