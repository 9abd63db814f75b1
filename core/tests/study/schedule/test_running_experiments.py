"""Several experiments at once: how many, which first, what waits, and how all of them end."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llem_crowd
import pytest
from llem_crowd import CrowdJob, started

from llem.accelerators import residual
from llem.config.layers import load_study
from llem.errors import LlemError
from llem.plan import make_plan
from llem.plugins import Registry
from llem.specs.kinds import BACKENDS
from llem.specs.runner import Exit
from llem.study import folder
from llem.study.loop import StudyOutcome, run_plan
from llem.study.reporter import SilentReporter

REGISTRY = Registry(
    entry_points=[
        importlib.metadata.EntryPoint(module, module, "llem")
        for module in ("llem_testbed", "llem_crowd", "llem_analysis.plugin")  # the last one has the stopping rule
    ]
)


class Listener(SilentReporter):
    """Keeps what it is told, and skips a pause when asked to."""

    def __init__(self) -> None:
        self.skip = False
        self.gaps: list[float] = []
        self.said: list[str] = []
        self.events: list[tuple[int, str]] = []
        self.ended: list[int] = []
        self.ahead_of: list[tuple[int, int]] = []
        self.not_needed: list[str] = []
        self.threads: set[int] = set()

    def event(self, number: int, event: Any) -> None:
        self.threads.add(threading.get_ident())
        self.events.append((number, event["event"]))

    def experiment_finished(self, number: int, result: Any) -> None:
        self.threads.add(threading.get_ident())
        self.ended.append(number)

    def gap(self, remaining_s: float, why: str) -> None:
        self.gaps.append(remaining_s)

    def skip_gap(self) -> bool:
        return self.skip

    def message(self, level: Any, text: str) -> None:
        self.said.append(text)

    def ahead(self, total: int, cycles: int) -> None:
        self.ahead_of.append((total, cycles))

    def spared(self, label: str) -> None:
        self.not_needed.append(label)


class Running:
    """A study in a thread of its own, driven by the test's."""

    def __init__(self, tmp_path: Path, document: dict[str, Any]) -> None:
        self.listener = Listener()
        self.directory = folder.create(tmp_path, "crowd")
        self.outcome: StudyOutcome | None = None
        self.error: BaseException | None = None
        self._plan = plan_of(document)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = run_plan(self._plan, REGISTRY, self.directory, self.listener)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def end(self) -> StudyOutcome:
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.error is None, self.error
        assert self.outcome is not None
        return self.outcome

    def fails(self) -> BaseException:
        self._thread.join(60)
        assert self.error is not None
        return self.error

    def abort(self) -> None:
        while self._thread.is_alive():
            for job in list(llem_crowd.STARTED):
                job.end(Exit(code=1))
            self.listener.skip = True
            self._thread.join(0.1)


def plan_of(document: dict[str, Any]) -> Any:
    execution = {"order": "interleaved", "experiment_gap_s": 0, "cycle_gap_s": 0, **document.pop("execution", {})}
    whole = {
        "model": "random:tiny-llama",
        "dataset": {"name": "synthetic", "n": 2, "input_tokens": 4},
        "execution": execution,
        **document,
    }
    return make_plan(load_study(None, document=whole, backends=REGISTRY[BACKENDS], environ={}), REGISTRY)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    llem_crowd.STARTED.clear()
    studies: list[Running] = []

    def do(**document: Any) -> Running:
        studies.append(Running(tmp_path, document))
        return studies[-1]

    yield do
    for study in studies:
        study.abort()


def crowd(count: int, capacity: int, **document: Any) -> dict[str, Any]:
    sweep = {"testbed.batch_size": list(range(1, count + 1))}
    return {"backend": "testbed", "sweep": sweep, "runners": {"testbed": f"crowd:{capacity}"}, **document}


def positions() -> list[int]:
    return sorted(job.position for job in llem_crowd.STARTED)


def test_as_many_run_at_once_as_there_is_room_for_in_the_plans_order(run: Callable[..., Running]) -> None:
    study = run(**crowd(5, 2))
    first, second = started(2)
    time.sleep(0.5)
    assert positions() == [1, 2]
    second.done()
    third = started(3)[-1]
    assert positions() == [1, 2, 3]
    third.done()
    started(4)[-1].done()
    first.done()
    started(5)[-1].done()
    outcome = study.end()
    assert (outcome.state, outcome.counts["done"], outcome.exit_code) == ("complete", 5, 0)
    assert sorted(study.listener.ended) == [1, 2, 3, 4, 5]
    assert len(study.listener.threads) == 1
    entries = json.loads((study.directory / "manifest.json").read_text())["experiments"]
    assert [entry["state"] for entry in entries] == ["done"] * 5


def test_one_at_a_time_waits_for_each_to_end(run: Callable[..., Running]) -> None:
    study = run(**crowd(3, 1))
    for count in (1, 2, 3):
        job = started(count)[-1]
        time.sleep(0.3)
        assert positions() == list(range(1, count + 1))
        job.done()
    assert study.end().counts["done"] == 3


def test_events_of_all_reach_the_reporter_with_their_number(run: Callable[..., Running]) -> None:
    study = run(**crowd(2, 2))
    first, second = started(2)
    second.event("progress")
    first.event("phase")
    for job in (first, second):
        job.done()
    study.end()
    assert sorted(study.listener.events) == [(1, "phase"), (2, "progress")]


def mixed(**document: Any) -> dict[str, Any]:
    experiments = [{"backend": name, name: {"batch_size": n}} for n in (1, 2) for name in ("testbed", "crowded")]
    return {"experiments": experiments, "runners": {"testbed": "nearby", "crowded": "crowd:3"}, **document}


def test_what_runs_on_this_machine_does_not_keep_others_waiting(run: Callable[..., Running]) -> None:
    study = run(**mixed())
    jobs = started(3)
    time.sleep(0.3)
    assert [job.position for job in jobs] == [1, 2, 4]  # 3 waits for 1, which has this machine
    for job in jobs[1:]:
        job.done()
    jobs[0].done()
    started(4)
    next(job for job in llem_crowd.STARTED if job.position == 3).done()
    assert study.end().counts["done"] == 4


def test_a_runner_on_this_machine_serves_one_at_a_time_however_many_it_could_take(run: Callable[..., Running]) -> None:
    study = run(**crowd(2, 3, runners={"testbed": "nearby:3"}))
    for count in (1, 2):
        job = started(count)[-1]
        time.sleep(0.3)
        assert positions() == list(range(1, count + 1))
        job.done()
    assert study.end().counts["done"] == 2


def test_two_runners_on_this_machine_share_it(run: Callable[..., Running]) -> None:
    study = run(**mixed(runners={"testbed": "nearby", "crowded": "nearby:2"}))
    for count in (1, 2, 3, 4):
        job = started(count)[-1]
        time.sleep(0.2)
        assert positions() == list(range(1, count + 1))
        job.done()
    assert study.end().counts["done"] == 4


def test_pauses_concern_this_machine_only(run: Callable[..., Running]) -> None:
    study = run(**mixed(execution={"experiment_gap_s": 3600}))
    for job in started(3):
        job.done()
    end = time.monotonic() + 60
    while not study.listener.gaps and time.monotonic() < end:
        time.sleep(0.01)
    assert study.listener.gaps
    assert positions() == [1, 2, 4]
    study.listener.skip = True
    started(4)
    next(job for job in llem_crowd.STARTED if job.position == 3).done()
    assert study.end().counts["done"] == 4


def test_a_cluster_that_takes_one_job_at_a_time_has_no_pauses(run: Callable[..., Running]) -> None:
    study = run(**crowd(3, 1, execution={"experiment_gap_s": 3600}))
    for count in (1, 2, 3):
        started(count)[-1].done()
    assert study.end().counts["done"] == 3
    assert study.listener.gaps == []


def test_two_clusters_of_one_job_at_a_time_do_not_wait_for_each_other(run: Callable[..., Running]) -> None:
    study = run(**mixed(runners={"testbed": "crowd:1", "crowded": "crowd:1"}))
    jobs = started(2)
    assert [job.position for job in jobs] == [1, 2]
    for job in jobs:
        job.done()
    for job in started(4)[2:]:
        job.done()
    assert study.end().counts["done"] == 4


@pytest.mark.parametrize(("runner", "looked_at"), [("crowd:1", False), ("nearby", True)])
def test_what_is_left_on_this_machines_gpus_concerns_only_what_runs_here(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, runner: str, looked_at: bool
) -> None:
    warning = {"code": "residual_gpu_memory", "message": "GPU-0 has 900 MiB in use."}
    monkeypatch.setattr(residual, "residual_memory", lambda *_: [warning])
    study = run(**crowd(1, 1, runners={"testbed": runner}))
    (job,) = started(1)
    assert (warning in [dict(one) for one in job.document.warnings]) is looked_at
    job.done()
    study.end()


def test_failures_in_a_row_stop_what_has_not_started(run: Callable[..., Running]) -> None:
    study = run(**crowd(6, 2, execution={"max_consecutive_failures": 2}))
    for job in started(2):
        job.end(Exit(code=3))
    for job in started(2)[2:]:
        job.done()  # one more may have started after the first failure
    end = time.monotonic() + 60
    while study.outcome is None and time.monotonic() < end:
        for job in list(llem_crowd.STARTED):
            job.end(Exit(code=3))
        time.sleep(0.05)
    outcome = study.end()
    assert outcome.state == "stopped"
    assert outcome.counts["pending"] >= 3
    assert any("max_consecutive_failures" in text for text in study.listener.said)


def test_time_in_a_queue_counts_for_no_limit(run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    queueing = llem_crowd.CrowdRunner.start

    def start(self: Any, job: Any) -> CrowdJob:
        made = queueing(self, job)
        made.in_queue = True
        return made

    monkeypatch.setattr(llem_crowd.CrowdRunner, "start", start)
    study = run(**crowd(1, 1, execution={"timeout_s": 0.5, "silence_timeout_s": 100}))
    (job,) = started(1)
    time.sleep(1.5)
    assert job.stops_s == []
    job.in_queue = False
    outcome = study.end()
    assert job.stops_s == [2.0]
    assert outcome.counts["failed"] == 1
    result = json.loads(next(study.directory.glob("experiments/*/result.json")).read_text())
    assert result["failure"]["type"] == "Timeout"


def test_of_many_at_once_each_sleeps_the_longer(run: Callable[..., Running]) -> None:
    study = run(**crowd(100, 200))
    jobs = started(100)
    for job in jobs:
        job.done()
    study.end()
    assert {s for job in jobs for s in job.waits_s} == {5.0}
    assert max(len(job.waits_s) for job in jobs) <= 3


def test_what_breaks_in_a_runner_ends_all_that_is_under_way(run: Callable[..., Running]) -> None:
    study = run(**crowd(3, 2))
    first, second = started(2)
    second.breaks = LlemError("the cluster is gone.")
    assert "the cluster is gone" in str(study.fails())
    assert second.stops_s[-1] == 0
    assert first.stops_s[-1] == 0
    entries = json.loads((study.directory / "manifest.json").read_text())["experiments"]
    assert [entry["state"] for entry in entries] == ["interrupted", "interrupted", "pending"]


def test_cycles_that_may_not_be_needed_wait_for_those_before(run: Callable[..., Running]) -> None:
    document = crowd(1, 10, execution={"until": {"ci_width": 0.5, "figure": "tokens_per_s"}})
    study = run(**document)
    jobs = started(3)
    time.sleep(0.3)
    assert positions() == [1, 2, 3]
    for job in jobs:
        job.done()
    outcome = study.end()
    assert outcome.counts["not_needed"] == 17  # without a figure, more of the same is no use
    assert len(study.listener.not_needed) == 17


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_an_interrupt_stops_all_that_is_under_way(tmp_path: Path, twice: bool) -> None:
    llem_crowd.STARTED.clear()

    def interrupt() -> None:
        for job in started(3):
            job.deaf = twice
        os.kill(os.getpid(), signal.SIGINT)
        end = time.monotonic() + 60
        while not all(job.stops_s for job in llem_crowd.STARTED) and time.monotonic() < end:
            time.sleep(0.01)
        if twice:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    directory = folder.create(tmp_path, "crowd")
    outcome = run_plan(plan_of(crowd(5, 3)), REGISTRY, directory, Listener())
    thread.join()
    assert (outcome.state, outcome.exit_code) == ("interrupted", 130)
    assert outcome.counts["interrupted"] == 3
    assert outcome.counts["pending"] == 2
    assert {tuple(job.stops_s) for job in llem_crowd.STARTED} == {(5.0, 0) if twice else (5.0,)}


def test_who_follows_the_plan_is_told_what_is_ahead(run: Callable[..., Running]) -> None:
    study = run(**crowd(3, 1))
    for count in (1, 2, 3):
        started(count)[-1].done()
    study.end()
    assert study.listener.ahead_of == [(3, 1)]
    assert study.listener.not_needed == []
