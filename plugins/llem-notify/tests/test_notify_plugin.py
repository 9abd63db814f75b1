"""The hooks: studies of one process beside each other, and those that nobody ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llem_notify import plugin

STARTED = {"name": "s", "experiments": 2}


@pytest.fixture
def told(tmp_path: Path, receiver, monkeypatch: pytest.MonkeyPatch):
    """The receiver, which a `notify.yaml` names; every study is ended after the test."""
    monkeypatch.setenv("LLEM_CONFIG_FILE", str(tmp_path / "config.yaml"))
    notify = {"targets": [{"name": "lab", "url": receiver.address}], "most_failures": 1}
    (tmp_path / "notify.yaml").write_text(json.dumps(notify))
    yield receiver
    plugin._broken_off()


def ended_of(receiver) -> list[tuple[str, str]]:
    ends = [one.message for one in receiver.posted if one.message["event"] == "study_finished"]
    return sorted((end["study"]["folder"], end["outcome"]["state"]) for end in ends)


def test_studies_beside_each_other_are_told_apart(told) -> None:
    for name in ("a", "b"):
        plugin.llem_study_started(Path(name), STARTED)
    plugin.llem_study_finished(Path("a"), {"state": "complete", "done": 2})
    assert ended_of(told) == [("a", "complete")]
    plugin._broken_off()
    assert ended_of(told) == [("a", "complete"), ("b", "broken off")]
    plugin._broken_off()
    assert len(ended_of(told)) == 2


def test_a_study_that_goes_on_after_an_error_is_not_told_as_two(told) -> None:
    plugin.llem_study_started(Path("a"), STARTED)
    told.await_messages(1)
    plugin.llem_study_started(Path("a"), STARTED)
    plugin.llem_study_finished(Path("a"), {"state": "complete"})
    told.await_messages(4)
    assert ended_of(told) == [("a", "broken off"), ("a", "complete")]
    assert plugin._under_way == {}


def test_interruptions_are_no_failures_and_the_end_counts_those_without_a_message(told) -> None:
    plugin.llem_study_started(Path("a"), STARTED)
    for kind in ("Interrupted", "OutOfMemory", "OutOfMemory", "OutOfMemory"):
        result = {"status": "failed", "failure": {"type": kind, "message": "x\ny" * 400}}
        plugin.llem_experiment_finished(Path("a"), Path("a/experiments/1"), result)
    plugin.llem_experiment_finished(Path("a"), Path("a/experiments/2"), {"status": "done"})
    plugin.llem_experiment_finished(Path("other"), Path("other/1"), result)
    plugin.llem_study_finished(Path("a"), {"state": "complete", "failed": 3})
    assert told.events() == ["study_started", "experiment_failed", "study_finished"]
    failure = told.posted[1].message["experiment"]
    assert (failure["failure"], failure["folder"]) == ("OutOfMemory", "1")
    assert len(failure["message"]) <= 500
    assert "\n" not in failure["message"]
    assert told.posted[2].message["text"] == "s is complete: 3 failed. 2 more failures had no message."


def test_what_did_not_arrive_is_raised_as_llem_shows_it(told) -> None:
    told.answers = [404, 404]
    plugin.llem_study_started(Path("a"), STARTED)
    with pytest.raises(plugin.NotDeliveredError, match="2 messages did not reach `lab`: it answered 404"):
        plugin.llem_study_finished(Path("a"), {"state": "complete"})


@pytest.mark.process
def test_a_study_that_nobody_ended_is_told_when_the_process_ends(told) -> None:
    script = f"""
from pathlib import Path
from llem_notify import plugin
plugin.llem_study_started(Path("a"), {STARTED!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert told.events() == ["study_started", "study_finished"]
    assert ended_of(told) == [("a", "broken off")]
