"""The promises that every runner must keep: a job comes back with its result, endings are told, nothing outlives it.

The tests run real workers through the real runner, with an engine that answers by a clock and goes wrong on request.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llem.plugin_api import (
    BACKENDS,
    EVENTS,
    LOG,
    RESULT,
    RUNNERS,
    SCENARIOS,
    BackendSpec,
    Composer,
    Exit,
    ExperimentConfig,
    ExperimentResult,
    Finding,
    Job,
    JobDocument,
    Runner,
    RunnerContext,
    RunnerSpec,
    RunningJob,
    config_hash,
    load_object,
)
from llem_plugin_kit import engine
from llem_plugin_kit.processes import awake_s, is_alive, nothing_left, settled
from llem_plugin_kit.registering import imported_by_registering, installed

_EXPERIMENT: Mapping[str, Any] = {
    "model": "random:tiny-llama",
    "dataset": {"name": "synthetic", "n": 2, "input_tokens": 4, "output_tokens": 3},
    "measurement": {"min_window_s": 0, "settle_s": 0},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
}
"""An experiment of a moment."""

Start = Callable[..., tuple[RunningJob, Path]]


class RunnerConformance:
    """Subclass it in a test module; pytest collects the tests below for your runner.

    Attributes:
        runner: the name that your plugin registers.
        argument: what stands after the colon, or None.
        options: what a study would set for it under `runner_options`; checked by the model that the spec names.
        backend: what the jobs run. The kit's own travels with a job by PYTHONPATH; a runner that brings an environment of
            its own names a backend of that environment with an option `fail`: `no`, `raise`, `kill` and `orphan`.
        image: the image of that backend, or None.
        wait_s: a job that has not ended by then never will.
    """

    runner: ClassVar[str]
    argument: ClassVar[str | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    backend: ClassVar[str] = engine.NAME
    image: ClassVar[str | None] = None
    wait_s: ClassVar[float] = 240.0

    @pytest.fixture
    def spec(self) -> RunnerSpec:
        return installed().find(RUNNERS, self.runner)

    @pytest.fixture
    def context(self, spec: RunnerSpec, tmp_path: Path) -> RunnerContext:
        return RunnerContext(
            registry=installed(),
            argument=self.argument,
            study_id="conformance",
            study_dir=tmp_path,
            backend=self.backend,
            image=self.image,
            options=spec.options.model_validate(dict(self.options)) if spec.options else None,
        )

    @pytest.fixture
    def made(self, spec: RunnerSpec, context: RunnerContext) -> Iterator[Runner]:
        one: Runner = load_object(spec.runner)(context)
        try:
            yield one
        finally:
            one.close()

    @pytest.fixture
    def start(self, made: Runner, tmp_path: Path) -> Iterator[Start]:
        """Starts one job whose engine ends as it is told; the job and its folder. Whatever runs is ended with the test."""
        jobs: list[RunningJob] = []
        numbers = itertools.count()

        def begin(fail: str = "no", **environment: str) -> tuple[RunningJob, Path]:
            job = self.job(tmp_path / f"job-{next(numbers)}", fail, environment)
            running = made.start(job)
            jobs.append(running)
            return running, job.directory

        yield begin
        for job in jobs:
            job.stop(0)

    def job(self, directory: Path, fail: str, environment: Mapping[str, str]) -> Job:
        """A job directory with one experiment in it."""
        directory.mkdir()
        config = self.experiment(fail)
        identity = config_hash(config)
        document = JobDocument(config=config.document(), config_hash=identity, base_dir=str(directory.parent))
        document.write(directory)
        carried: Mapping[str, str] = {}
        if self.backend == engine.NAME:
            site = directory.parent / "site"
            site.mkdir(exist_ok=True)
            carried = engine.carry(site)
        return Job(directory=directory, config=config, config_hash=identity, environment={**carried, **environment})

    def experiment(self, fail: str) -> ExperimentConfig:
        """The experiment whose engine ends in this way."""
        own = {spec.name: spec for spec in engine.llem_backends()}
        backends: Mapping[str, BackendSpec] = own if self.backend in own else installed()[BACKENDS]
        return Composer(backends, installed()[SCENARIOS]).compose(
            {**_EXPERIMENT, "backend": self.backend, self.backend: {"fail": fail}}
        )

    def left_behind(self, directory: Path) -> Sequence[int]:
        """Processes of a job that are alive. Override it where they are not on this machine, or have other pids here."""
        return [int(pid) for pid in re.findall(r"pid (\d+)", self._log(directory)) if is_alive(int(pid))]

    def test_registering_imports_no_runner(self, spec: RunnerSpec) -> None:
        assert imported_by_registering(RUNNERS, spec.name, spec.runner, spec.requires) == []

    def test_the_spec_says_what_it_is(self, spec: RunnerSpec) -> None:
        assert spec.summary
        assert "\n" not in spec.summary
        assert (spec.argument is not None) or self.argument is None, "an argument that is taken has a name in the spec"
        assert spec.on_this_machine or not spec.by_gpu, "this machine's GPUs are shared out among what runs on it"

    def test_every_option_has_a_default(self, spec: RunnerSpec) -> None:
        assert spec.options is None or spec.options.model_validate({}) is not None

    def test_its_capacity_is_one_or_more(self, made: Runner) -> None:
        assert made.capacity() >= 1

    def test_preflight_has_no_error_where_jobs_run(self, made: Runner) -> None:
        found = list(made.preflight([self.experiment("no")]))
        assert all(isinstance(finding, Finding) for finding in found)
        assert [finding.message for finding in found if finding.level == "error"] == []
        assert [finding.message for finding in found if finding.level == "warning" and not finding.remedy] == []

    def test_a_job_comes_back_with_its_result(self, start: Start) -> None:
        job, directory = start()
        ending = self._end_of(job, directory)
        assert (ending.code, ending.signal) == (0, None), (ending, self._log(directory))
        result = ExperimentResult.model_validate_json((directory / RESULT).read_text(encoding="utf-8"))
        assert result.status == "done"
        assert result.environment["node"], "a result says where it ran"
        assert ending.node in (None, result.environment["node"])
        assert (directory / EVENTS).stat().st_size > 0
        assert (directory / LOG).exists()

    def test_a_failed_experiment_is_no_success(self, start: Start) -> None:
        job, directory = start("raise")
        assert self._end_of(job, directory).code == 1
        result = ExperimentResult.model_validate_json((directory / RESULT).read_text(encoding="utf-8"))
        assert result.status == "failed"

    def test_a_killed_worker_is_told(self, start: Start) -> None:
        job, directory = start("kill")
        ending = self._end_of(job, directory)
        assert ending.code != 0
        assert ending.signal == "SIGKILL" or ending.code in (137, -9) or ending.cause, (
            "an ending that nobody understands"
        )
        assert not (directory / RESULT).exists(), "only the worker, or the study, writes a result"

    def test_polling_returns_at_once_and_waiting_does_not_spin(self, start: Start) -> None:
        job, directory = start("orphan")
        self._await(directory, "pid")
        before, awake, began = time.thread_time(), awake_s(), time.monotonic()
        assert job.poll() is None
        assert job.wait(1.0) is None
        waited_s = time.monotonic() - began
        assert waited_s >= 0.9, "it waits for as long as it is asked"
        assert time.thread_time() - before < 0.15, "it sleeps: the meters would see a busy wait"
        assert awake_s() - awake < waited_s / 2, "it sleeps, also where a busy machine lets it run only now and then"

    def test_stopping_ends_everything_that_a_job_started(self, start: Start) -> None:
        job, directory = start("orphan")
        self._await(directory, "(?:daemon|orphan) pid")
        ending = job.stop(0)
        assert ending.code != 0
        assert list(self.left_behind(directory)) == [], "when stop returns, every process is gone"

    def test_it_can_be_stopped_again_while_others_wait(self, start: Start) -> None:
        job, directory = start("orphan")
        self._await(directory, "(?:daemon|orphan) pid")
        found: list[Exit | None] = []
        calls: tuple[Callable[[], Exit | None], ...] = (
            lambda: job.wait(self.wait_s),
            lambda: job.stop(self.wait_s),
            lambda: job.stop(0),
        )
        threads = [threading.Thread(target=lambda call=call: found.append(call()), daemon=True) for call in calls]
        for thread in threads:
            thread.start()
            time.sleep(0.2)
        for thread in threads:
            thread.join(self.wait_s / 2)
        assert len(found) == len(calls), "a second stop with less grace ends what the first one waits for"
        assert None not in found
        assert list(self.left_behind(directory)) == []

    def test_an_ending_is_told_again(self, start: Start) -> None:
        job, directory = start()
        first = self._end_of(job, directory)
        assert job.poll() == first
        assert job.wait(0) == first
        assert job.stop(0) == first

    def test_a_jobs_variables_reach_its_engine(self, start: Start) -> None:
        if self.backend != engine.NAME:
            return
        job, directory = start(**{engine.MARK: "seen"})
        self._end_of(job, directory)
        assert "mark seen" in self._log(directory)

    def test_jobs_start_from_threads_as_many_as_its_capacity(self, made: Runner, start: Start) -> None:
        found: list[tuple[RunningJob, Path] | BaseException] = []

        def begin() -> None:
            try:
                found.append(start())
            except BaseException as error:  # noqa: BLE001 - it is told by the test's own thread
                found.append(error)

        threads = [threading.Thread(target=begin) for _ in range(min(2, made.capacity()))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in found:
            assert not isinstance(one, BaseException), one
            assert self._end_of(*one).code == 0, self._log(one[1])

    def test_closing_leaves_nothing(self, spec: RunnerSpec, context: RunnerContext, tmp_path: Path) -> None:
        self._once(spec, context, tmp_path / "first")  # a library may keep what it loads, once
        with nothing_left():
            self._once(spec, context, tmp_path / "again")

    def _once(self, spec: RunnerSpec, context: RunnerContext, folder: Path) -> None:
        folder.mkdir()
        one: Runner = load_object(spec.runner)(context)
        try:
            job = self.job(folder / "job", "no", {})
            self._end_of(one.start(job), job.directory)
        finally:
            one.close()

    def _end_of(self, job: RunningJob, directory: Path) -> Exit:
        ending = job.wait(self.wait_s)
        assert ending is not None, f"it has not ended: {self._log(directory)}"
        assert settled(lambda: list(self.left_behind(directory)) or None) is None, (
            "it has ended, and processes of it run"
        )
        return ending

    def _await(self, directory: Path, words: str) -> None:
        end = time.monotonic() + self.wait_s
        while not re.search(words, self._log(directory)):
            assert time.monotonic() < end, f"the engine never said `{words}`: {self._log(directory)}"
            time.sleep(0.05)

    @staticmethod
    def _log(directory: Path) -> str:
        path = directory / LOG
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else "no log"
