"""Questions of llem to Slurm and its reading of the answers, without one."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llem.config.compose import Composer
from llem.errors import ConfigError
from llem.plugins import Registry, default_registry
from llem.results.job_directory import EXPERIMENT, LOG, RESULT, EventReader, JobDocument
from llem.specs.kinds import BACKENDS, CHECKS, RUNNERS, SCENARIOS
from llem.specs.runner import RunnerContext
from llem_analysis.warning_codes import WARNINGS
from llem_slurm.checks import minutes_of
from llem_slurm.commands import environment, run, said
from llem_slurm.ending import ending_of
from llem_slurm.errors import SlurmMissing, SlurmRefused, SlurmUnreachable
from llem_slurm.node import clear, with_lost_attempt
from llem_slurm.nodes import gpus_in
from llem_slurm.options import SlurmOptions
from llem_slurm.queue import Seen, read_accounts, read_queue
from llem_slurm.reclaim import reclaim
from llem_slurm.runner import SlurmRunner
from llem_slurm.script import ResourceRequest, array_options, gpus_of, need_of, resource_options, script
from llem_slurm.shared_files import Batch, Record, Task, Tasks
from llem_slurm.worker_start import container_options

BED = default_registry().find(BACKENDS, "testbed")


def experiment(**sections: Any) -> Any:
    composer = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS])
    return composer.compose({"model": "random:tiny-llama", "backend": "testbed", **sections})


def test_an_array_asks_for_what_the_options_say_and_nothing_else() -> None:
    assert resource_options(SlurmOptions(), ResourceRequest(gpus=0, minutes=70)) == [
        "--nodes=1",
        "--ntasks=1",
        "--time=70",
    ]
    options = SlurmOptions(
        partition="gpu",
        account="lab",
        constraint="a100",
        gpu_type="a100",
        mem="64G",
        cpus=8,
        exclusive=True,
        time="1:00:00",
    )
    asked = resource_options(options, ResourceRequest(gpus=2, minutes=None, node="n7"))
    assert {"--partition=gpu", "--account=lab", "--constraint=a100", "--gres=gpu:a100:2", "--mem=64G"} <= set(asked)
    assert {"--cpus-per-task=8", "--exclusive", "--time=1:00:00", "--nodelist=n7"} <= set(asked)
    words = array_options(
        SlurmOptions(max_running=5), ResourceRequest(0, 70), count=9, name="a", comment="b", folder="/s"
    )
    assert "--array=0-8%5" in words
    assert "--requeue" in words
    assert "--no-requeue" in array_options(
        SlurmOptions(requeues=0), ResourceRequest(0, 70), count=1, name="a", comment="b", folder="/s"
    )


def test_the_time_of_a_job_is_its_experiments_limit_and_ten_minutes() -> None:
    need = need_of(experiment(limits={"timeout_s": 1_800}), BED, SlurmOptions())
    assert need.minutes == 40
    assert need_of(experiment(), BED, SlurmOptions(time="0:05:00")).minutes is None


@pytest.mark.parametrize(
    ("capabilities", "says", "gpus"),
    [({"cpu"}, None, 0), ({"cpu"}, 2, 0), ({"gpu"}, None, 1), ({"gpu"}, 4, 4), ({"gpu", "cpu"}, 0, 0)],
)
def test_a_backend_that_takes_gpus_gets_one_unless_it_says_more_or_none(
    capabilities: Any, says: int | None, gpus: int
) -> None:
    backend = replace(BED, capabilities=frozenset(capabilities))
    config = experiment(testbed={"gpus": says})
    assert gpus_of(config, backend) == gpus
    assert need_of(config, backend, SlurmOptions(gpus=3)).gpus == 3


def test_the_script_hands_its_process_over_to_the_nodes_side() -> None:
    text = script(SlurmOptions(setup=["module load cuda"]), "/opt/my env/bin/python", "/s/b")
    assert text.splitlines() == [
        "#!/bin/bash",
        "module load cuda",
        "exec '/opt/my env/bin/python' -m llem_slurm.node /s/b",
    ]


@pytest.mark.parametrize("wrong", [["--array=1"], ["-p gpu"], ["--comment=x"]])
def test_options_that_llem_sets_itself_are_refused_among_the_extra_ones(wrong: list[str]) -> None:
    with pytest.raises(ValidationError):
        SlurmOptions(extra=wrong)


def test_jobs_do_not_inherit_the_job_that_llem_runs_in() -> None:
    inherited = {"SLURM_MEM_PER_NODE": "1", "SLURM_CONF": "/c", "SBATCH_ACCOUNT": "lab", "HOME": "/h"}
    assert environment(inherited) == {
        "SLURM_CONF": "/c",
        "SBATCH_ACCOUNT": "lab",
        "HOME": "/h",
        "SLURM_TIME_FORMAT": "standard",
    }


@pytest.mark.process
def test_commands_that_are_missing_silent_or_refuse_are_told_apart() -> None:
    with pytest.raises(SlurmMissing, match="no-such-command"):
        run(["no-such-command"])
    with pytest.raises(SlurmUnreachable, match=r"did not answer within 0\.2 s"):
        run(["sleep", "5"], timeout_s=0.2)
    with pytest.raises(SlurmUnreachable, match="Socket timed out"):
        run(["sh", "-c", "echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1"])
    with pytest.raises(SlurmRefused, match=r"sh: Invalid account\."):
        run(["sh", "-c", "echo 'sh: error: Invalid account' >&2; exit 1"])
    assert said("", "sbatch") == "it failed and said nothing."


def test_the_queue_is_read_by_job_and_index() -> None:
    text = (
        "12|0|RUNNING|n1|llem-ab/1|None\n12|1|PENDING||llem-ab/1|Nodes required | are DOWN\n13|N/A|RUNNING|n1|x|None\n"
    )
    found = read_queue(text)
    assert set(found) == {("12", 0), ("12", 1)}
    assert found["12", 0].node == "n1"
    assert found["12", 1].waits
    assert found["12", 1].reason == "Nodes required | are DOWN"


def test_accounts_tell_who_cancelled_a_job() -> None:
    found = read_accounts("7_3|CANCELLED by 0|0:15|n2|00:10:00|None\n7|COMPLETED|0:0|n1|||\n")
    assert found == {("7", 3): Seen("CANCELLED", "None", "n2", by="root", exit_code="0:15", time_limit="00:10:00")}
    assert ending_of(found["7", 3], "").cause == "its job was cancelled (scancel) by root"


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("OUT_OF_MEMORY", "OutOfMemory", "out of memory: the job on n1"),
        ("TIMEOUT", "SlurmTimeLimit", "time limit of 00:10:00"),
        ("NODE_FAIL", "NodeFailed", "the node n1 failed"),
        ("PREEMPTED", "Preempted", "higher priority"),
        ("CANCELLED", "Cancelled", "by somebody"),
        ("COMPLETED", "NotStarted", "left no word"),
        ("FAILED", "NotStarted", "exit code 3"),
    ],
)
def test_every_end_has_its_type_and_cause(state: str, error: str, words: str) -> None:
    found = ending_of(Seen(state, node="n1", exit_code="3:0", time_limit="00:10:00"), "")
    assert (found.error, found.node) == (error, "n1")
    assert words in (found.cause or "")


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", {}),
        ("gpu:4", {"": 4}),
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:a100:2,gpu:h100:1(S:1),lustre:1", {"a100": 2, "h100": 1}),
        ("gpu:a100_3g.20gb:2(S:0)", {"a100_3g.20gb": 2}),
        ("gpu:4(S:0)", {"": 4}),
    ],
)
def test_gpus_of_a_node_are_read_from_its_gres(gres: str, gpus: dict[str, int]) -> None:
    assert gpus_in(gres) == Counter(gpus)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("1:30", 1.5), ("2:00:00", 120), ("1-0", 1440), ("1-02:30", 1590), ("UNLIMITED", None)],
)
def test_times_are_read_as_slurm_writes_them(text: str, minutes: float | None) -> None:
    assert minutes_of(text) == minutes


def test_what_llem_and_nodes_write_for_each_other_comes_back_the_same(tmp_path: Path) -> None:
    batch = Batch(tmp_path / "slurm" / "b")
    batch.folder.mkdir(parents=True)
    tasks = Tasks(tasks=(Task(directory="/j", config_hash="h", environment={"A": "1"}),), requeues=3, exclusive=True)
    tasks.write(batch.jobs)
    assert Tasks.read(batch.jobs) == tasks
    record = Record(code=0, signal=None, cause=None, error=None, node="n1", result="ab", attempts=2)
    record.write(batch.record(0))
    assert Record.read(batch.record(0)) == record
    batch.record(1).write_text('{"code": 0')
    assert Record.read(batch.record(1)) is None


def test_each_lost_attempt_is_a_warning_of_the_result() -> None:
    earlier = {"code": "gpu_shared", "message": "someone else"}
    document = JobDocument(config={}, config_hash="h", base_dir="/", warnings=[earlier])
    third = with_lost_attempt(with_lost_attempt(document, 1), 2)
    assert [w["code"] for w in third.warnings] == ["gpu_shared", "attempt_lost", "attempt_lost"]
    assert [f"number {n} " in w["message"] for n, w in enumerate(third.warnings)] == [False, True, True]
    assert {w["code"] for w in third.warnings} <= set(WARNINGS)


def test_an_attempt_begins_with_nothing_but_the_experiment_and_earlier_logs(tmp_path: Path) -> None:
    for name in (EXPERIMENT, LOG, RESULT, "events.jsonl", ".result.json.1.tmp"):
        (tmp_path / name).write_text(name)
    (tmp_path / "container").mkdir()
    clear(tmp_path, 1)
    (tmp_path / LOG).write_text("second")
    clear(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [EXPERIMENT, "worker.attempt-1.log", "worker.attempt-2.log"]
    assert (tmp_path / "worker.attempt-1.log").read_text() == LOG


def test_events_of_a_job_that_began_anew_are_read_from_their_beginning(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    path.write_text('{"event": "a"}\n{"event": "b"}\n')
    assert [event["event"] for event in reader.new()] == ["a", "b"]
    path.unlink()
    assert list(reader.new()) == []
    path.write_text('{"event": "c"}\n')
    assert [event["event"] for event in reader.new()] == ["c"]
    assert list(reader.new()) == []


def test_a_study_that_was_never_on_slurm_needs_no_slurm_to_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert reclaim(tmp_path) == []
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "id").write_text("llem-0123\n")
    with pytest.raises(Exception, match="nobody can tell whether its jobs still run"):
        reclaim(tmp_path)


def test_the_runner_and_its_checks_are_registered() -> None:
    spec = default_registry().find(RUNNERS, "slurm")
    assert spec.options is SlurmOptions
    assert {"slurm", "slurm-place", "slurm-node"} <= default_registry()[CHECKS].keys()
    assert json.dumps(SlurmOptions().model_dump(mode="json"))


def test_options_of_a_container_are_those_of_its_runner_and_others_are_refused_before_a_job_is_submitted() -> None:
    docker = Registry().find(RUNNERS, "docker")
    given = container_options(docker, {"memory": "64g"})
    assert given is not None
    assert given.model_dump()["memory"] == "64g"
    with pytest.raises(ConfigError, match=r"memroy: Extra inputs are not permitted"):
        container_options(docker, {"memroy": "64g"})
    options = SlurmOptions(image="x", container="docker", container_options={"shm": "much"})
    (finding,) = SlurmRunner(RunnerContext(registry=Registry(), options=options)).preflight([])
    assert finding.level == "error"
    assert "container_options: shm: Value error, a size of 1 MiB or more" in finding.message


def test_options_of_apptainer_are_its_runners_too_and_without_an_image_nothing_is_asked() -> None:
    wrong = SlurmOptions(image="x.sif", container_options={"shm": "1g"})
    (finding,) = SlurmRunner(RunnerContext(registry=Registry(), options=wrong)).preflight([])
    assert finding.level == "error"
    assert "container_options: shm: Extra inputs are not permitted" in finding.message
    right = SlurmOptions(image="x.sif", container_options={"memory": "64g"})
    assert list(SlurmRunner(RunnerContext(registry=Registry(), options=right)).preflight([])) == []
    none = SlurmOptions(container_options={"shm": "1g"})
    assert list(SlurmRunner(RunnerContext(registry=Registry(), options=none)).preflight([])) == []


@pytest.mark.parametrize("container", ["apptainer", "docker"])
def test_a_runner_of_images_that_is_not_installed_is_told_before_a_job_is_submitted(container: str) -> None:
    entry_points = importlib.metadata.entry_points(group="llem")
    registry = Registry(one for one in entry_points if one.dist is None or one.dist.name != f"llem-{container}")
    options = SlurmOptions.model_validate({"image": "x.sif", "container": container})
    (finding,) = SlurmRunner(RunnerContext(registry=registry, options=options)).preflight([])
    assert finding.level == "error"
    assert finding.message.startswith(f"`{container}` is to run the image on the nodes")
    assert finding.remedy == f"Install it here and on the nodes: pip install llem-{container}."
