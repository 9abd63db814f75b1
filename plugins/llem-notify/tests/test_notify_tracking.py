"""Results of a running study in MLflow's own store: what its client reads, whatever becomes of the store."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ConfigError, PluginError
from llem_exporters.mlflow_runs import log_mlflow
from llem_exporters.source import Source
from llem_notify import plugin
from llem_notify.tracking import STORE, Tracking, require_store

pytestmark = pytest.mark.process  # an empty store takes MLflow seconds to make

STARTED = {"name": "designed", "experiments": 4}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    runs(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of the test's own, which MLflow's variable names."""
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    monkeypatch.setenv(STORE, uri)
    return uri


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A notify.yaml that asks for MLflow alone."""
    monkeypatch.setenv("LLEM_CONFIG_FILE", str(tmp_path / "config.yaml"))
    (tmp_path / "notify.yaml").write_text("mlflow: true")
    yield
    plugin._broken_off()


@pytest.fixture
def study(write_design: Callable[..., Path]) -> Path:
    """Two batch sizes in two cycles."""
    return write_design([{"pytorch.batch_size": n} for n in (1, 2)], energy=lambda p: p["pytorch.batch_size"], cycles=2)


def runs(uri: str, name: str = "designed") -> dict[str, Any]:
    """Every run's data of an experiment, by the run's name."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(name)
    found = [] if experiment is None else client.search_runs([experiment.experiment_id])
    return {
        str(run.info.run_name): (run.data.params, run.data.metrics, run.data.tags, run.info.status) for run in found
    }


def finish(study: Path, job: Path) -> None:
    plugin.llem_experiment_started(study, job, {})
    plugin.llem_experiment_finished(study, job, json.loads((job / "result.json").read_text()))


def test_each_result_is_logged_when_it_has_come_as_an_export_logs_it(
    study: Path, store: str, told: None, empty_store: Path, tmp_path: Path
) -> None:
    plugin.llem_study_started(study, STARTED)
    jobs = sorted((study / "experiments").iterdir())
    for count, job in enumerate(jobs, start=1):
        finish(study, job)
        tracking = plugin._under_way[study]._tracking
        assert tracking is not None
        while tracking._missing:  # until its thread has logged it; the test's own limit ends a wait without an end
            tracking._thread.join(0.01)
        assert len(runs(store)) == count, "while the study runs"
    plugin.llem_study_finished(study, {"state": "complete", "done": 4})
    exported = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'exported.db')}"
    log_mlflow(Source(study), exported)
    assert len(jobs) == 4
    assert runs(store) == runs(exported)


def test_a_result_that_cannot_be_read_costs_its_own_run_alone(study: Path, store: str, told: None) -> None:
    plugin.llem_study_started(study, STARTED)
    first, second, *_ = sorted((study / "experiments").iterdir())
    finish(study, second)
    (first / "result.json").write_text("{")
    plugin.llem_experiment_finished(study, first, {"status": "done"})
    finish(study, sorted((study / "experiments").iterdir())[2])
    tracking = plugin._under_way[study]._tracking
    assert tracking is not None
    tracking._jobs.put(None)
    tracking._thread.join()
    with pytest.raises(plugin.NotDeliveredError, match=rf"MLflow has no run of {first.name}: "):
        plugin.llem_study_finished(study, {"state": "complete"})
    assert len(runs(store)) == 2


def test_a_store_that_refuses_is_told_at_the_end_without_its_password(
    study: Path, told: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv(STORE, f"http://me:hunter2@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracking = Tracking(study, "designed")
    for job in sorted((study / "experiments").iterdir()):
        tracking.experiment_finished(job)
    said = str(tracking.finished(300))
    assert said.startswith("MLflow has no run of 00001")
    assert "and 1 more: MLflow's store refuses" in said
    assert "hunter2" not in said


def test_a_store_that_never_answers_holds_up_nothing(study: Path, told: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(STORE, f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracking = Tracking(study, "designed")
        job = next((study / "experiments").iterdir())
        tracking.experiment_finished(job)
        assert tracking.finished(0.05) == f"MLflow has no run of {job.name}: not done in time"


def test_what_is_missing_is_found_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="it is not set"):
        require_store({})
    assert require_store({STORE: " sqlite:///a.db "}) == "sqlite:///a.db"
    for module in ("mlflow", "llem_exporters"):
        with monkeypatch.context() as hidden:
            hidden.setitem(sys.modules, module, None)
            with pytest.raises(PluginError, match=r"llem-notify\[mlflow\]"):
                require_store({STORE: "sqlite:///a.db"})
