"""Messages of real studies, to a real server: what a user who writes a `notify.yaml` gets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from plain_environment import plain_environment

pytestmark = pytest.mark.process

STUDY = {
    "name": "told",
    "model": "random:tiny-llama",
    "dataset": {"name": "synthetic", "n": 2, "input_tokens": 4, "output_tokens": 3},
    "backend": "testbed",
    "measurement": {"min_window_s": 0, "settle_s": 0, "samplers": ["estimate"]},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
    "execution": {"experiment_gap_s": 0, "cycle_gap_s": 0},
}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts `llem` with these words; `notify` is the content of notify.yaml, `study` what the study changes."""

    def run(
        *words: str,
        notify: Mapping[str, object] | None,
        study: Mapping[str, object] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        (tmp_path / "study.yaml").write_text(json.dumps({**STUDY, **(study or {})}))
        config = tmp_path / "config" / "llem"
        config.mkdir(parents=True, exist_ok=True)
        if notify is not None:
            (config / "notify.yaml").write_text(json.dumps(notify))
        environment = plain_environment() | {
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "HOOK_KEY": "whsec_aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8=",
            **(variables or {}),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "llem", *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def to(address: str, **changes: object) -> dict[str, object]:
    return {"targets": [{"name": "lab", "url": address, **changes}]}


RUN: Sequence[str] = ("run", "study.yaml", "--output", "results")


def test_start_failures_and_end_are_told(start: Start, receiver) -> None:
    fails = {"sweep": {"testbed.fail": ["no", "raise"]}}
    code, _, err = ended(start(*RUN, notify=to(receiver.address, secret_variable="HOOK_KEY"), study=fails))
    assert code == 1, err
    first, failure, last = sorted(
        (one.message for one in receiver.posted), key=lambda message: list(ORDER).index(message["event"])
    )
    assert receiver.events() == ["study_started", "experiment_failed", "study_finished"]
    assert first["study"]["experiments"] == 2
    assert first["study"]["folder"].startswith("told-")
    assert failure["experiment"]["position"] in (1, 2)
    assert failure["experiment"]["failure"]
    assert last["outcome"] == {"state": "complete", "counts": {**last["outcome"]["counts"], "done": 1, "failed": 1}}
    assert all("webhook-signature" in one.headers for one in receiver.posted)
    assert str(Path.home()) not in "".join(one.body.decode() for one in receiver.posted)


ORDER = ("study_started", "experiment_failed", "study_stalled", "study_finished")


def test_without_a_file_nobody_is_told(start: Start) -> None:
    code, _, err = ended(start(*RUN, notify=None))
    assert code == 0, err
    assert "notify" not in err


@pytest.mark.parametrize("kind", ["nobody", "slow", "wrong"])
def test_a_dead_address_fails_no_study_and_delays_it_by_seconds(start: Start, receiver, nobody: str, kind: str) -> None:
    receiver.slow_s = 60 if kind == "slow" else 0
    receiver.answers = [404] * 9 if kind == "wrong" else []
    begin = time.monotonic()
    code, _, err = ended(start(*RUN, notify=to(nobody if kind == "nobody" else receiver.address)))
    assert code == 0, err
    assert time.monotonic() - begin < 45
    assert "did not reach `lab`" in err
    assert "Traceback" not in err


def test_an_interrupted_study_tells_its_end(start: Start, receiver) -> None:
    long = {"sweep": {"dataset.n": [1, 2]}, "execution": {"experiment_gap_s": 600}}
    process = start(*RUN, notify=to(receiver.address), study=long)
    receiver.await_messages(1, 60)
    _await_result(process)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130, err
    last = receiver.posted[-1].message
    assert last["event"] == "study_finished"
    assert last["outcome"]["state"] == "interrupted"


def _await_result(process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    folder = Path(f"/proc/{process.pid}/cwd").readlink() / "results"
    while not list(folder.glob("*/experiments/*/result.json")):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_silence_is_told(start: Start, receiver) -> None:
    long = {"sweep": {"dataset.n": [1, 2]}, "execution": {"experiment_gap_s": 600}}
    process = start(*RUN, notify={**to(receiver.address), "stalled_after_s": 2}, study=long)
    found = receiver.await_messages(2, 60)
    process.send_signal(signal.SIGINT)
    ended(process)
    assert found == ["study_started", "study_stalled"]
    assert receiver.posted[1].message["silent_s"] >= 2


def test_a_wrong_file_is_found_before_anything_runs(start: Start) -> None:
    code, _, err = ended(start(*RUN, notify={"targets": [{"name": "lab", "url_variable": "NOBODY_SET_THIS"}]}))
    assert code == 3
    assert "NOBODY_SET_THIS" in err
    assert "Traceback" not in err


def test_a_test_message_goes_to_every_target(start: Start, receiver, nobody: str) -> None:
    both = {"targets": [{"name": "lab", "url": receiver.address}, {"name": "gone", "url": nobody}]}
    code, out, err = ended(start("notify", notify=both))
    assert code == 1, err
    assert "lab: reached." in out
    assert "gone: not reached: no connection" in out
    assert receiver.events() == ["test"]


def test_without_a_file_the_command_says_where_it_belongs(start: Start) -> None:
    code, _, err = ended(start("notify", notify=None))
    assert code == 2
    assert "notify.yaml" in err


def test_a_running_study_has_a_file_for_prometheus(start: Start, tmp_path: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    (tmp_path / "collected").mkdir()
    study = {"sweep": {"testbed.fail": ["no", "raise"]}}
    process = start("run", "study.yaml", notify={"textfile_folder": str(tmp_path / "collected")}, study=study)
    code, _, said = ended(process)
    assert code == 1, said
    (file,) = (tmp_path / "collected").iterdir()
    samples = [one for family in text_string_to_metric_families(file.read_text()) for one in family.samples]
    found = {(one.name, one.labels.get("status")): one.value for one in samples}
    assert found["llem_study_running", None] == 0
    assert found["llem_study_experiments", None] == 2
    assert found["llem_study_experiments_ended", "done"] == found["llem_study_experiments_ended", "failed"] == 1
    (results,) = (tmp_path / "results").iterdir()
    assert {one.labels["folder"] for one in samples} == {results.name}


def test_results_are_logged_to_mlflow_while_a_study_runs(start: Start, tmp_path: Path) -> None:
    fails = {"sweep": {"testbed.fail": ["no", "raise"]}}
    code, _, err = ended(start(*RUN, notify={"mlflow": True}, study=fails))
    assert code == 3, err
    assert "MLFLOW_TRACKING_URI" in err
    assert not (tmp_path / "results").exists()
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code, _, err = ended(start(*RUN, notify={"mlflow": True}, study=fails, variables={"MLFLOW_TRACKING_URI": store}))
    assert code == 1, err
    assert "MLflow" not in err
    assert "alembic" not in err
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("told")
    assert experiment is not None
    states = {
        run.data.params["testbed.fail"]: run.info.status for run in client.search_runs([experiment.experiment_id])
    }
    assert states == {"no": "FINISHED", "raise": "FAILED"}
