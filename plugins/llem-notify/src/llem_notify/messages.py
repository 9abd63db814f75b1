"""The messages: JSON of a written schema, with a sentence for people in each."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llem.plugin_api import one_line

LONGEST = 500
"""Characters of a failure's message."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Study(_Part):
    """The study that a message is about."""

    name: str
    folder: str = Field(description="name of its folder, without the path")
    experiments: int = Field(description="planned, cycles counted")
    at_most: bool = Field(False, description="fewer may run, as of a search")


class FailedExperiment(_Part):
    """An experiment that failed."""

    position: int | None
    cycle: int | None
    folder: str = Field(description="name of its folder below `experiments`")
    failure: str = Field(description="kind of the failure, such as OutOfMemory")
    message: str = Field(description="cause, one line; secrets are hidden")


class Outcome(_Part):
    """The end of a study."""

    state: str = Field(description="complete, interrupted, stopped, or broken off")
    counts: Mapping[str, int] = Field(description="experiments by status")


class Message(_Part):
    """One message."""

    schema_version: Literal[1] = 1
    id: str = Field(description="the same at every try of one message")
    event: Literal["study_started", "experiment_failed", "study_stalled", "study_finished", "test"]
    at: str = Field(description="time of the event, UTC, ISO 8601")
    host: str = Field(description="name of the machine on which llem was started")
    text: str = Field(description="the event as a sentence")
    study: Study | None = None
    experiment: FailedExperiment | None = None
    outcome: Outcome | None = None
    silent_s: float | None = Field(None, description="of study_stalled: for so long nothing started or ended")

    def body(self) -> bytes:
        """The message as JSON, UTF-8."""
        return self.model_dump_json(exclude_none=True).encode()


def started(study: Study) -> Message:
    """A study has started."""
    text = f"{study.name} has started: {'up to ' * study.at_most}{_experiments(study.experiments)}."
    return _message("study_started", text, study=study)


def failed(study: Study, folder: str, result: Mapping[str, Any]) -> Message:
    """An experiment has failed; `result` is its result."""
    failure = result.get("failure") or {}
    identity = result.get("identity") or {}
    experiment = FailedExperiment(
        position=identity.get("position"),
        cycle=identity.get("cycle"),
        folder=folder,
        failure=str(failure.get("type") or "unknown"),
        message=one_line(str(failure.get("message") or ""), LONGEST),
    )
    text = f"{study.name}: {folder} has failed: {experiment.failure}: {experiment.message}"
    return _message("experiment_failed", text, study=study, experiment=experiment)


def stalled(study: Study, silent_s: float) -> Message:
    """In a study nothing has happened for a while."""
    text = f"{study.name}: nothing has started or ended for {silent_s / 60:.0f} min."
    return _message("study_stalled", text, study=study, silent_s=round(silent_s, 1))


def finished(study: Study, state: str, counts: Mapping[str, int], untold: int) -> Message:
    """A study has ended; `untold` counts failures that had no message of their own."""
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
    more = f" {untold:,} more failures had no message." if untold else ""
    text = f"{study.name} is {state.replace('_', ' ')}{f': {told}' if told else ''}.{more}"
    return _message("study_finished", text, study=study, outcome=Outcome(state=state, counts=counts))


def test() -> Message:
    """A message that tries a target out."""
    return _message("test", "llem can reach you.")


def _experiments(n: int) -> str:
    return f"{n:,} experiment{'s' * (n != 1)}"


def _message(event: Any, text: str, **parts: Any) -> Message:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Message(id=f"msg_{uuid.uuid4().hex}", event=event, at=at, host=socket.gethostname(), text=text, **parts)
