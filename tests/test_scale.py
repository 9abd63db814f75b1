"""Studies of experiments that do nothing: what the benchmark of size measures, and what a study loop does on the way."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.scaling import nothing, whole
from bench.scaling.analysing import peak_mb
from bench.scaling.fit import exponent, label, size_of
from bench.scaling.picture import draw
from bench.scaling.shapes import SHAPES, make
from bench.scaling.shapes import study_text as shape_text
from bench.scaling.study import CYCLES, run, study_text
from llem.config.layers import load_study
from llem.config.reading import read_yaml
from llem.plan import make_plan
from llem.plugin_api import Job, Placement
from llem.results import aggregate as aggregation
from llem.results.stamps import stamps
from llem.results.table import StudyTable
from llem.specs.kinds import BACKENDS
from llem.study.folder import create
from llem.study.loop import run_plan
from llem.study.reporter import SilentReporter
from llem_analysis.metric_names import MAIN
from llem_analysis.study_effects import analyze

ROOT = Path(__file__).parents[1]


class Recording(nothing.NothingRunner):
    """Keeps where each job was to run."""

    placements: ClassVar[list[Placement | None]] = []

    def start(self, job: Job) -> nothing.NothingJob:
        self.placements.append(job.placement)
        return super().start(job)


@pytest.mark.parametrize("experiments", [100, 10_000])
def test_a_study_text_has_as_many_experiments_as_it_says(experiments: int) -> None:
    installed = nothing.registry()
    document = read_yaml(study_text(experiments), "study.yaml").data
    plan = make_plan(load_study(None, document=document, environ={}, backends=installed[BACKENDS]), installed)
    assert plan.total == experiments
    assert plan.distinct == experiments // CYCLES
    with pytest.raises(ValueError, match="multiple of"):
        study_text(experiments + 1)


@pytest.mark.process
def test_each_cost_is_measured_and_every_result_is_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregation, "PART_ROWS", 40)
    monkeypatch.setattr(aggregation, "CHUNK_ROWS", 10)
    found = run(100, tmp_path)
    for cost in ("expand_s", "dispatch_s", "bookkeeping_s", "runner_s", "peak_mb"):
        assert found[cost] > 0, cost
    folder = Path(found["folder"])
    assert StudyTable(folder).is_current
    assert [f.name for f in sorted((folder / "results.parquet").iterdir())] == [
        f"part-{n:06d}.parquet" for n in (1, 2, 3)
    ]
    table = pq.read_table(folder / "results.parquet").sort_by("position")
    assert table.column("position").to_pylist() == list(range(1, 101))
    assert set(table.column("environment.node").to_pylist()) == {f"node{i}" for i in range(nothing.NODES)}


SMALL_PARTS = """
import sys
from pathlib import Path
from bench.scaling.study import run
from llem.results import aggregate
aggregate.PART_ROWS, aggregate.CHUNK_ROWS = 12, 4
run(200, Path(sys.argv[1]))
"""


@pytest.mark.process
@pytest.mark.parametrize("ended", [1, 11, 30, 60])
def test_a_study_that_is_killed_leaves_a_table_with_each_result_once(tmp_path: Path, ended: int) -> None:
    study = subprocess.Popen([sys.executable, "-c", SMALL_PARTS, str(tmp_path)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        found: dict[str, Any] = {}
        folder = tmp_path
        while study.poll() is None and len(found) < ended:
            time.sleep(0.002)
            folder = next(tmp_path.iterdir(), tmp_path)
            found = stamps(folder)
    finally:
        study.kill()
        study.wait()
    found = stamps(folder)
    assert len(found) >= ended
    for read in (StudyTable(folder).read, lambda: pq.read_table(aggregation.aggregate(folder, rebuild=False))):
        directories = read().column("directory").to_pylist()
        assert sorted(map(str, directories)) == sorted(found)


@pytest.mark.process
def test_a_runner_is_told_where_earlier_cycles_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nothing, "NothingRunner", Recording)
    monkeypatch.setattr(Recording, "placements", [])
    installed = nothing.registry()
    document: dict[str, Any] = dict(read_yaml(study_text(100), "study.yaml").data)
    document["execution"] = {**document["execution"], "placement": "spread"}
    plan = make_plan(load_study(None, document=document, environ={}, backends=installed[BACKENDS]), installed)
    outcome = run_plan(plan, installed, create(tmp_path, plan.name), SilentReporter())
    assert outcome.counts["done"] == 100
    told = [p for p in Recording.placements if p is not None]
    assert len(told) == 100
    by_key: dict[str, list[Placement]] = {}
    for placement in told:
        assert placement.rule == "spread"
        by_key.setdefault(placement.key, []).append(placement)
    assert len(by_key) == 25
    for cycles in by_key.values():
        assert [len(p.nodes) for p in cycles] == [0, 1, 2, 3]
        assert all(a.nodes == b.nodes[:-1] for a, b in pairwise(cycles))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("experiments", [400, 10_000])
def test_a_study_of_whole_results_has_about_as_many_experiments_as_asked(shape: str, experiments: int) -> None:
    installed = whole.registry()
    document = read_yaml(shape_text(shape, experiments), "study.yaml").data
    plan = make_plan(load_study(None, document=document, environ={}, backends=installed[BACKENDS]), installed)
    assert 0.9 * experiments <= plan.total <= 1.1 * experiments


def test_whole_results_can_be_concluded_from(tmp_path: Path) -> None:
    folder, results = make("gaps", 400, tmp_path)
    table = StudyTable(folder)
    assert table.is_current
    assert len(table) == results
    found = analyze(folder)
    assert {figure.name for figure in found.figures} >= set(MAIN) - {"host_peak_rss_mb"}
    energy = found.figure("j_per_output_token")
    assert energy.design == "incomplete"
    assert energy.effects[0].parameter == "first.batch_size"
    failed = len(table.read(["status"]).filter(pc.field("status") == "failed"))
    assert failed > 0
    assert f"{failed} of {results} runs failed" in " ".join(found.caveats)


@pytest.mark.process
def test_a_command_s_memory_is_that_of_all_its_processes() -> None:
    held = 60
    alone = f"import time; held = b'1' * ({held} << 20); time.sleep(1)"
    with_child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {alone!r}], check=True)"
    assert peak_mb([sys.executable, "-c", with_child]) >= held
    with pytest.raises(subprocess.CalledProcessError):
        peak_mb([sys.executable, "-c", "raise SystemExit(3)"])


def test_an_exponent_is_that_of_the_power_law() -> None:
    for power in (0.0, 0.5, 1.0, 2.0):
        assert exponent({n: 3.0 * n**power for n in (100, 10_000, 100_000)}) == pytest.approx(power, abs=1e-9)
    assert math.isclose(exponent({10: 1.0, 1_000: 100.0}), 1.0)


@pytest.mark.parametrize("size", [100, 1_000, 10_000, 100_000, 1_000_000, 1_234])
def test_a_size_is_read_back_from_its_label(size: int) -> None:
    assert size_of(label(size)) == size


def test_the_picture_shows_each_cost_with_its_exponent(tmp_path: Path) -> None:
    figures: dict[str, Any] = {}
    for size in (100, 10_000):
        name = label(size)
        figures |= {f"expand_{name}_s": {"value": 1e-4 * size}, f"query_{name}_s": {"value": 1.0}}
        figures |= {f"dispatch_{name}_ms": {"value": 2.0}, f"bookkeeping_{name}_ms": {"value": 1.0}}
    figures["expand_1m_s"] = {"value": 9.0}  # measured another way
    file = tmp_path / "scale.svg"
    draw({"machine": {"cpu": "some", "cores": 2}, "figures": figures}, file)
    text = file.read_text()
    for words in (
        "bookkeeping  ~ n^1.00",
        "expansion and plan  ~ n^1.00",
        "llem show  ~ n^0.00",
        "experiments in the study",
    ):
        assert words in text
    with pytest.raises(ValueError, match="fewer than two sizes"):
        draw({"machine": {"cpu": "some", "cores": 2}, "figures": {}}, file)
