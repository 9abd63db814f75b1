"""A bundle of a study of the scenario `server`, which really ran: verified, falsified, and made ready to run again."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from llem_bundle.bundling import prepare
from llem_bundle.container import Content, Packing, measured
from llem_bundle.listing import LISTING

SERVING = Path(__file__).parents[2] / "llem-serving" / "tests"
sys.path.append(str(SERVING))
from study_run import LOADBED, StudyRun  # noqa: E402

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

Llem = Callable[..., Any]
Change = Callable[[dict[str, Any], pa.Table], pa.Table | None]
SECTIONS = {
    "sweep": {"loadbed.max_batch": [1, 8]},
    "execution": {"cycles": 2},
    "load": {"rate_rps": 20, "ramp_s": 0.5, "steady_s": 0, "duration_s": 2, "drain_s": 1},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of a server that keeps up and one that does not, two cycles each. Not to be written to."""
    run = StudyRun(tmp_path_factory.mktemp("served"), SECTIONS)
    started = run.start()
    _, said = started.communicate()
    assert started.returncode == 0, said
    (study,) = (run.folder / "out").iterdir()
    assert len(run.jobs()) == 4
    return study


@pytest.fixture(scope="module")
def bundle(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle. Not to be written to."""
    path = tmp_path_factory.mktemp("bundle") / "served.zip"
    prepare(served).write(path)
    return path


def test_it_verifies_but_for_what_rows_tell_to_the_edge_only(bundle: Path, llem: Llem) -> None:
    done = llem("verify", bundle, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["counts"]["differs"] == 0
    of = {
        verdict: {one["figure"] for one in document["figures"] if one["verdict"] == verdict}
        for verdict in ("equal", "not_verified")
    }
    assert of["not_verified"] == {"tokens.requests", "tokens.input"}
    assert {"energy_j", "mean_w", "j_per_output_token", "window_s", "tokens.output", "tokens_per_s"} <= of["equal"]
    assert {"ttft_s.p50", "itl_s.p50", "tpot_s.p50", "e2e_s.mean", "requests_per_s"} <= of["equal"]
    assert {"j_per_output_token.mean", "tokens_per_s.mean"} <= of["equal"]
    reasons = {one["note"] for one in document["figures"] if one["verdict"] == "not_verified"}
    assert reasons == {"rows tell it to the edge only"}


def test_some_requests_of_it_were_under_way_at_an_edge(bundle: Path) -> None:
    """Else the tests here could not tell a window's tokens from those of the requests in it."""
    with zipfile.ZipFile(bundle) as archive:
        names = [name for name in archive.namelist() if name.endswith("/requests.parquet")]
        rows = [row for name in names for row in pq.read_table(BytesIO(archive.read(name))).to_pylist()]
    assert any(0 < row["window_tokens"] < row["output_tokens"] for row in rows)
    assert any(not row["inside"] for row in rows)


def changed(bundle: Path, target: Path, change: Change) -> Path:
    """A bundle whose every digest is right, with another result or other requests of its first experiment."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != LISTING}
    job = min(name for name in files if name.endswith("/result.json")).removesuffix("/result.json")
    result = json.loads(files[f"{job}/result.json"])
    rows = change(result, pq.read_table(BytesIO(files[f"{job}/requests.parquet"])))
    files[f"{job}/result.json"] = json.dumps(result).encode()
    if rows is not None:
        out = BytesIO()
        pq.write_table(rows, out)
        files[f"{job}/requests.parquet"] = out.getvalue()
    with target.open("wb") as stream:
        Packing([measured(Content(name, lambda data=data: BytesIO(data))) for name, data in files.items()]).write(
            stream
        )
    return target


def more_tokens(result: dict[str, Any], _rows: pa.Table) -> None:
    result["tokens"]["output"] += 1


def shorter_wait(result: dict[str, Any], _rows: pa.Table) -> None:
    result["latency"]["ttft_s"]["p50"] *= 0.99


def one_row_less(_result: dict[str, Any], rows: pa.Table) -> pa.Table:
    counts = [row["window_tokens"] and row["inside"] for row in rows.to_pylist()]
    place = next(place for place, counted in enumerate(counts) if counted)
    return pa.concat_tables([rows.slice(0, place), rows.slice(place + 1)])


def all_inside(_result: dict[str, Any], rows: pa.Table) -> pa.Table:
    """Those that arrived before the window count too, which wait less, or more, than the others."""
    column = pa.array([True] * rows.num_rows)
    return rows.set_column(rows.column_names.index("inside"), "inside", column)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (more_tokens, "tokens.output"),
        (shorter_wait, "ttft_s.p50"),
        (one_row_less, "tokens.output"),
        (all_inside, "ttft_s.n"),
    ],
)
def test_what_is_falsified_in_it_is_found(bundle: Path, tmp_path: Path, change: Change, found: str) -> None:
    from llem_bundle.verifying import verify_bundle

    verified = verify_bundle(changed(bundle, tmp_path / "false.zip", change))
    assert verified.exit_code == 1
    assert found in {one.name for one in verified.of("differs")}


def test_it_is_made_ready_with_the_same_arrivals(bundle: Path, served: Path, llem: Llem, tmp_path: Path) -> None:
    with_backend = os.pathsep.join([str(LOADBED), os.environ["PYTHONPATH"]])
    done = llem("replicate", bundle, "--prepare", "-o", "again", PYTHONPATH=with_backend)
    assert done.returncode == 0, done.stderr
    study = yaml.safe_load((tmp_path / "again" / "study.yaml").read_text())
    results = [json.loads(path.read_text()) for path in served.glob("experiments/*/result.json")]
    assert {one["config"]["load"]["seed"] for one in results} == {study["load"]["seed"]}
    assert study["execution"]["cycles"] == 2
    assert study["measurement"]["scenario"] == "server"
