"""A study whose next run follows from its results: one that a search asks for, and one that is skipped."""

from __future__ import annotations

import importlib.metadata
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import llem_crowd
import pytest
from llem_crowd import CrowdJob, started
from llem_seeker import KEY

from llem.config.layers import load_study
from llem.errors import ConfigError, PluginError
from llem.plan import Plan, make_plan
from llem.plan.show import describe, plan_json
from llem.plugins import Registry
from llem.results.store import SEARCH
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem.specs.runner import Exit
from llem.study import folder
from llem.study.loop import StudyOutcome, run_plan
from llem.study.manifest.manifest import StudyManifest, recover
from llem.study.manifest.new import new_manifest
from llem.study.reporter import SilentReporter
from llem.study.resume.plan import Remaining, resume_plan
from llem.study.resume.resume import _made_anew

PLUGINS = ("testbed", "crowd", "seeker")
REGISTRY = Registry(entry_points=[importlib.metadata.EntryPoint(name, f"llem_{name}", "llem") for name in PLUGINS])
SEARCHED = {"search": {"goal": "halving", "max_runs": 5}}


class Listener(SilentReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.totals: list[int] = []
        self.at_most: list[bool] = []

    def study_started(self, directory: Path, total: int, *, at_most: bool = False) -> None:
        self.totals.append(total)
        self.at_most.append(at_most)

    def message(self, level: Any, text: str) -> None:
        self.said.append(text)


def plan_of(execution: dict[str, Any], window_s: float = 4.0, **document: Any) -> Plan:
    """One that runs a job at a time."""
    gaps = {"order": "interleaved", "experiment_gap_s": 0, "cycle_gap_s": 0}
    whole = {
        "model": "random:tiny-llama",
        "backend": "testbed",
        "dataset": {"name": "synthetic", "n": 2, "input_tokens": 4},
        "measurement": {"min_window_s": window_s},
        "runners": {"testbed": "crowd:1"},
        "execution": {**gaps, **execution},
        **document,
    }
    study = load_study(None, document=whole, backends=REGISTRY[BACKENDS], scenarios=REGISTRY[SCENARIOS], environ={})
    return make_plan(study, REGISTRY)


class Running:
    """A study in a thread of its own."""

    def __init__(self, plan: Plan, directory: Path, continued: Remaining | None = None) -> None:
        llem_crowd.STARTED.clear()
        self.directory, self.listener = directory, Listener()
        self._outcome: list[StudyOutcome] = []
        self._thread = threading.Thread(
            target=lambda: self._outcome.append(run_plan(plan, REGISTRY, directory, self.listener, continued=continued))
        )
        self._thread.start()

    def play(self, *ends: Callable[[CrowdJob], None]) -> list[tuple[str, float, float]]:
        """End so many jobs, one after the other; returns folder, searched value and settling time of each."""
        seen = []
        for count, end in enumerate(ends, 1):
            job = started(count)[-1]
            measurement = job.document.config["measurement"]
            seen.append((job.job.directory.name[:5], measurement["min_window_s"], measurement["settle_s"]))
            end(job)
        return seen

    def end(self) -> StudyOutcome:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._outcome[0]

    @property
    def answer(self) -> Any:
        return json.loads((self.directory / SEARCH).read_text())

    def abort(self) -> None:
        while self._thread.is_alive():
            for job in list(llem_crowd.STARTED):
                job.end(Exit(code=1))
            self._thread.join(0.1)


def fail(job: CrowdJob) -> None:
    """Its worker crashes."""
    job.end(Exit(code=1))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    studies: list[Running] = []

    def do(plan: Plan, directory: Path | None = None, continued: Remaining | None = None) -> Running:
        studies.append(Running(plan, directory or folder.create(tmp_path, "sought"), continued))
        return studies[-1]

    yield do
    for study in studies:
        study.abort()


def test_each_run_is_an_experiment_of_the_study_that_follows_from_those_before(run: Callable[..., Running]) -> None:
    study = run(plan_of(SEARCHED))
    # The search sets what else a run needs, too: here the time to settle.
    assert study.play(*[CrowdJob.done] * 3) == [("00001", 4.0, 0.5), ("00002", 2.0, 0.25), ("00003", 1.0, 0.125)]
    outcome = study.end()
    assert (outcome.state, outcome.counts["done"], outcome.exit_code) == ("complete", 3, 0)
    manifest = recover(study.directory).manifest
    assert [(e.position, e.cycle, e.point, e.state) for e in manifest.experiments] == [
        (1, 1, {KEY: 4.0}, "done"),
        (2, 2, {KEY: 2.0}, "done"),
        (3, 3, {KEY: 1.0}, "done"),
    ]
    assert len({e.config_hash for e in manifest.experiments}) == 3
    assert study.answer["told"] == [[[4.0, "done"], [2.0, "done"], [1.0, "done"]]]
    assert study.listener.totals == [5]
    assert study.listener.at_most == [True], "the search ended with three"


def test_a_failed_run_is_told_and_asked_for_again_in_a_cycle_of_its_own(run: Callable[..., Running]) -> None:
    study = run(plan_of(SEARCHED, 1.0))
    assert [value for _, value, _ in study.play(fail, CrowdJob.done)] == [1.0, 1.0]
    assert study.end().exit_code == 1
    entries = recover(study.directory).manifest.experiments
    assert [(e.cycle, e.state) for e in entries] == [(1, "failed"), (2, "done")]
    assert entries[0].config_hash == entries[1].config_hash


def test_a_configuration_has_no_more_runs_than_it_may(run: Callable[..., Running]) -> None:
    study = run(plan_of(SEARCHED, 1.0))
    study.play(*[fail] * 5)
    assert study.end().counts["failed"] == 5


@pytest.mark.parametrize(("order", "expected"), [("interleaved", [1, 2, 1, 2]), ("sequential", [1, 1, 2, 2])])
def test_configurations_run_in_turn_or_one_after_the_other(
    run: Callable[..., Running], order: str, expected: list[int]
) -> None:
    plan = plan_of({**SEARCHED, "order": order}, 2.0, sweep={"testbed.batch_size": [1, 2]})
    study = run(plan)
    study.play(*[CrowdJob.done] * 4)
    assert study.end().counts["done"] == 4
    entries = recover(study.directory).manifest.experiments
    assert [e.point["testbed.batch_size"] for e in entries] == expected


def continued(plan: Plan, before: StudyManifest, ended: set[int], results: Callable[[int], Any]) -> Remaining:
    """The point from which a study goes on of which some runs have ended."""
    found = resume_plan(before, plan)
    kept = [(one, results(one.position)) for one in found.runs.only(ended)]
    left = [e.position for e in found.manifest.experiments if e.position not in ended]
    return Remaining(replace(found.manifest, state="running"), found.runs.only(left), kept)


def test_a_study_that_goes_on_tells_the_search_what_was_kept_and_repeats_nothing(
    run: Callable[..., Running], make_result: Any
) -> None:
    study = run(plan_of(SEARCHED))
    first, second = started(1)[0], None
    first.done()
    second = started(2)[-1]
    broken_off = recover(study.directory).manifest  # the second is under way
    second.done()
    started(3)[-1].done()
    study.end()
    (study.directory / SEARCH).unlink()
    for path in study.directory.glob("experiments/0000[23]*"):
        path.rename(study.directory / path.name)
    again = plan_of(SEARCHED)
    there = continued(again, broken_off, {1}, lambda position: make_result(cycle=position))
    assert [(one.position, one.cycle, dict(one.point)) for one in there.remaining] == [(2, 2, {KEY: 2.0})]
    on = run(again, study.directory, there)
    assert on.play(*[CrowdJob.done] * 2) == [("00002", 2.0, 0.25), ("00003", 1.0, 0.125)]
    assert on.end().counts["done"] == 3
    assert [e.cycle for e in recover(study.directory).manifest.experiments] == [1, 2, 3]
    assert on.answer["told"] == [[[4.0, "done"], [2.0, "done"], [1.0, "done"]]]


def test_the_answer_to_an_earlier_question_does_not_stand_while_the_first_run_is_under_way(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    there = folder.create(tmp_path, "sought")
    (there / SEARCH).write_text(json.dumps({"told": [[[9.0, "done"]]]}))
    study = run(plan_of(SEARCHED, 1.0), there)
    (first,) = started(1)
    assert study.answer["told"] == [[]]
    first.done()
    assert study.end().counts["done"] == 1
    assert study.answer["told"] == [[[1.0, "done"]]]


def test_what_the_search_never_asked_for_is_dropped() -> None:
    plan = plan_of(SEARCHED)
    manifest = new_manifest(plan)
    assert manifest.experiments == []
    assert plan.search is not None
    from llem.study.manifest.new import entries

    asked = replace(plan.search.run(0, 2.0, 1), position=1)
    strangers = [{KEY: 2.0, "testbed.batch_size": 9}, {KEY: "2.0"}, {KEY: None}, {KEY: True}, {KEY: -2.0}, {}]
    rows = [entries()(asked, 1)]
    rows += [replace(rows[0], position=n, cycle=n, point=point) for n, point in enumerate(strangers, 2)]
    rows.append(replace(rows[0], position=len(rows) + 1, cycle=99, config_hash="f" * 64))
    found = resume_plan(replace(manifest, experiments=rows), plan_of(SEARCHED))
    assert [one.position for one in found.runs] == [1]
    assert [row.position for row in found.dropped] == list(range(2, len(rows) + 1))


def test_a_lost_manifest_is_made_anew_from_the_runs_that_are_there(run: Callable[..., Running]) -> None:
    study = run(plan_of(SEARCHED, 2.0))
    study.play(*[CrowdJob.done] * 2)
    study.end()
    before = recover(study.directory).manifest.experiments
    made = _made_anew(study.directory, plan_of(SEARCHED, 2.0)).experiments
    assert [(e.position, e.cycle, e.config_hash, e.directory) for e in made] == [
        (e.position, e.cycle, e.config_hash, e.directory) for e in before
    ]
    plan = plan_of(SEARCHED, 2.0)
    found = resume_plan(_made_anew(study.directory, plan), plan)
    assert [one.position for one in found.runs] == [1, 2]


def test_the_plan_says_what_is_searched() -> None:
    plan = plan_of(SEARCHED, sweep={"testbed.batch_size": [1, 2]})
    text = "\n".join(describe(plan, 40))
    assert "2 to 10 experiments to run" in text
    assert "search    halves the window" in text
    assert plan_json(plan)["search"] == ["halves the window"]
    assert plan_json(plan)["total"] == 10
    assert plan.study_design_hash != plan_of({}, sweep={"testbed.batch_size": [1, 2]}).study_design_hash


def test_a_value_that_is_searched_is_not_swept() -> None:
    with pytest.raises(ConfigError, match=rf"`{KEY}` is varied by the study.*from which the search starts"):
        plan_of(SEARCHED, sweep={KEY: [1.0, 2.0]})


@pytest.mark.parametrize("repeats", [{"cycles": 3}, {"until": {"ci_width": "2 %"}}])
def test_a_search_decides_by_itself_what_is_repeated(repeats: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="leave out `cycles` and `until`"):
        plan_of({**SEARCHED, **repeats})


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"max_runs": 5}, "without goal it has no effect"),
        ({"goal": "halving", "low": 2.0, "high": 2.0}, "not below high"),
        ({"goal": "halving", "max_runs": 0}, "max_runs"),
    ],
)
def test_settings_of_a_search_fit_together(search: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_of({"search": search})


def test_a_search_that_no_plugin_brings_is_named() -> None:
    with pytest.raises(PluginError, match=r"no search `halvin` is installed.*halving"):
        plan_of({"search": {"goal": "halvin"}})


def test_what_a_search_cannot_do_is_told_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="nothing to halve"):
        plan_of(SEARCHED, 0.5)


SWEPT = {"sweep": {KEY: [1.0, 2.0, 4.0]}, "measurement": {"scenario": "spared"}}


def test_what_is_in_vain_after_a_result_is_skipped_and_told(run: Callable[..., Running]) -> None:
    study = run(plan_of({}, **SWEPT))
    assert [value for _, value, _ in study.play(CrowdJob.done, fail)] == [1.0, 2.0]
    outcome = study.end()
    assert (outcome.state, outcome.counts["skipped"]) == ("complete", 1)
    entries = recover(study.directory).manifest.experiments
    assert [e.state for e in entries] == ["done", "failed", "skipped"]
    assert entries[2].reason == "skipped: 2 s were too long already."
    assert study.listener.said == [f"{KEY}=4.0: skipped: 2 s were too long already."]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def waiting_in_a_queue(run: Callable[..., Running]) -> tuple[Running, list[CrowdJob]]:
    """A study with four jobs at once, of which the third waits for its turn."""
    sections = {**SWEPT, "sweep": {KEY: [1.0, 2.0, 4.0, 8.0]}, "runners": {"testbed": "crowd:4"}}
    study = run(plan_of({}, **sections))
    jobs = started(4)
    jobs[2].in_queue = True
    return study, jobs


def test_what_is_in_vain_after_a_result_is_taken_out_of_a_queue(run: Callable[..., Running]) -> None:
    study, (first, short, queued, begun) = waiting_in_a_queue(run)
    fail(short)
    until(lambda: bool(queued.stops_s))
    assert queued.stops_s == [0], "nothing of it runs: there is nobody to ask"
    until(lambda: bool(study.listener.said))
    assert begun.stops_s == [], "what has begun is not ended"
    begun.done()
    first.done()
    outcome = study.end()
    assert (outcome.state, outcome.counts["skipped"], outcome.counts["failed"]) == ("complete", 1, 1)
    entries = recover(study.directory).manifest.experiments
    assert [e.state for e in entries] == ["done", "failed", "skipped", "done"]
    assert entries[2].reason == "skipped: 2 s were too long already."
    assert not (study.directory / entries[2].directory).exists()
    assert study.listener.said == [f"{KEY}=4.0: skipped: 2 s were too long already."]


def test_what_was_taken_out_of_a_queue_and_is_needed_after_all_runs(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, (first, short, queued, begun) = waiting_in_a_queue(run)
    asked, may_end, stop = threading.Event(), threading.Event(), queued.stop

    def slow(grace_s: float) -> Exit:
        asked.set()
        assert may_end.wait(60)
        return stop(grace_s)

    monkeypatch.setattr(queued, "stop", slow)
    fail(short)
    assert asked.wait(60)
    begun.done()  # which contradicts that it is in vain
    until(lambda: recover(study.directory).manifest.experiments[3].state == "done")
    may_end.set()
    again = next(job for job in reversed(started(5)) if job is not queued and job.position == 3)
    again.done()
    first.done()
    assert study.end().counts["done"] == 3
    assert [e.state for e in recover(study.directory).manifest.experiments] == ["done", "failed", "done", "done"]
    assert study.listener.said == []


def test_everything_runs_on_request(run: Callable[..., Running]) -> None:
    study = run(plan_of({"run_all": True}, **SWEPT))
    study.play(CrowdJob.done, fail, CrowdJob.done)
    assert study.end().counts["done"] == 2


def test_a_run_is_told_from_its_folder_whatever_that_is_called(run: Callable[..., Running], make_result: Any) -> None:
    study = run(plan_of(SEARCHED, 2.0))
    study.play(*[CrowdJob.done] * 2)
    study.end()
    (gone,) = study.directory.glob("experiments/00001*")
    gone.rename(study.directory / gone.name)
    plan = plan_of(SEARCHED, 2.0)
    there = continued(plan, _made_anew(study.directory, plan), {1}, lambda position: make_result(cycle=2))
    assert there.manifest.experiments[0].directory.startswith("experiments/00002")
    on = run(plan, study.directory, there)  # the search sees to it that the result is there
    assert on.end().state == "complete"
    assert on.answer["told"] == [[[1.0, "done"]]]
