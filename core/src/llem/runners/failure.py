"""The record in a job directory when its worker has ended: a valid result, whoever had to write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from llem.errors import ResultError
from llem.measure.failure import log_tail
from llem.results.job_directory import EVENTS, LOG, RESULT, EventReader, JobDocument, write_atomically
from llem.results.last_word import last_word
from llem.results.models import ExperimentResult, Failure, Identity, Phase, ResultWarning
from llem.results.scrub import scrub, scrub_data
from llem.results.store import read_result
from llem.runners.readings import keep_series
from llem.specs.runner import Exit

INVALID = "result.invalid.json"
"""Where a `result.json` that is none is kept aside."""

LAST_WORDS = 200
"""Characters of the log's last line that a failure's message quotes."""

Why = Literal["Crash", "Timeout", "Silence", "Interrupted", "StartFailed", "Withdrawn"]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of an experiment, as far as the study can tell without its result.

    Attributes:
        why: `Crash` where the worker ended by itself; else why it was ended, or never started.
        message: one sentence; None lets the exit tell.
        ending: how the process ended, None where there was none.
        started_at: when it was dispatched.
    """

    why: Why
    started_at: datetime
    message: str | None = None
    ending: Exit | None = None


def final_result(directory: Path, document: JobDocument, ended: Ended) -> ExperimentResult:
    """The result of a job whose worker has ended; where it left no valid one, a failed one is written.

    A `result.json` that is truncated, of another experiment or not of the schema counts as none and is kept aside as
    `result.invalid.json`. What the worker reported as failed because the study ended it gets the study's reason.

    Raises:
        OSError: the folder cannot be written.
    """
    for log in sorted(directory.glob("*.log")):  # what an engine started may have one of its own
        _hide_secrets(log)
    result, problem = _read(directory, document)
    samplers = keep_series(directory)
    if result is not None and (result.status == "done" or ended.why == "Crash"):
        return result
    failed = _failed(directory, document, ended, problem)
    failed.samplers = samplers
    if result is not None:
        assert failed.failure is not None
        assert result.failure is not None
        # The worker knows its phase better: on its way out it has closed it in the events.
        result.failure = failed.failure.model_copy(update={"phase": result.failure.phase or failed.failure.phase})
        failed = result
    failed = last_word(failed)
    write_atomically(directory / RESULT, failed.model_dump_json(indent=1) + "\n")
    return failed


def _read(directory: Path, document: JobDocument) -> tuple[ExperimentResult | None, str | None]:
    """A valid result, or what is wrong with the one that is there."""
    path = directory / RESULT
    if not path.exists():
        return None, None
    try:
        result = read_result(path)
    except ResultError as error:
        problem = error.what
    else:
        if result.identity.config_hash != document.config_hash:
            problem = "it is of another experiment."
        elif result.status == "failed" and result.failure is None:
            problem = "it says failed and not why."
        else:
            return result, None
    path.replace(directory / INVALID)
    return None, f"the worker left a {RESULT} that cannot be used, kept as {INVALID}: {problem}"


def _failed(directory: Path, document: JobDocument, ended: Ended, problem: str | None) -> ExperimentResult:
    phases, current = _phases(directory / EVENTS)
    config = document.config
    ending = ended.ending or Exit()
    tail = log_tail(directory / LOG)
    message = " ".join(
        filter(
            None,
            [
                ended.message or _told(ending),
                problem,
                _last_words(tail) if ended.why == "Crash" and ending.code else None,
            ],
        )
    )
    return ExperimentResult(
        status="failed",
        identity=Identity(
            config_hash=document.config_hash,
            study=document.study,
            cycle=document.cycle,
            position=document.position,
            point=scrub_data(document.point),
        ),
        config=scrub_data(config),
        work="natural_length" if config.get("decoding", {}).get("length") == "natural" else "fixed_length",
        scenario=config.get("measurement", {}).get("scenario", "offline"),
        started_at=_utc(ended.started_at),
        ended_at=_utc(datetime.now(UTC)),
        phases=phases,
        environment={
            **({"node": ending.node} if ending.node else {}),
            **({"study": scrub_data(document.provenance)} if document.provenance else {}),
        },
        warnings=[ResultWarning(code=w["code"], message=w["message"]) for w in document.warnings],
        failure=Failure(
            type=_kind(ended, ending),
            message=scrub(message),
            phase=current,
            exit_code=ending.code,
            signal=ending.signal,
            log_tail=scrub(tail),
        ),
    )


def _kind(ended: Ended, ending: Exit) -> str:
    """The kind of failure that the runner knows better than `Crash`; what the study did to the worker stands."""
    return ending.error or ended.why if ended.why in ("Crash", "StartFailed") else ended.why


def _told(ending: Exit) -> str:
    """An exit in words."""
    if ending.error and ending.cause:
        return f"{ending.cause[:1].upper()}{ending.cause[1:]}."
    if ending.signal == "SIGKILL":
        text = "the worker was killed (SIGKILL) by something other than llem"
    elif ending.signal:
        text = f"the worker crashed with {ending.signal}"
    elif ending.code == 0:
        text = "the worker ended with exit code 0 and left no result"
    elif ending.code is not None:
        text = f"the worker ended with exit code {ending.code} and left no result"
    else:
        text = "the worker ended in an unknown way and left no result"
    return f"{text}; {ending.cause}." if ending.cause else f"{text}."


def _last_words(tail: str) -> str | None:
    """The end of the log of a worker that died without a result: often the reason itself."""
    last = tail.rpartition("\n")[2].strip()
    return f"Its log ends with: {last[:LAST_WORDS]}" if last else None


def _phases(path: Path) -> tuple[list[Phase], str | None]:
    """The phases that ended, and the one that was under way."""
    started: dict[str, int] = {}
    done: list[Phase] = []
    for event in EventReader(path).new():
        name, t_ns = event.get("name"), event.get("t_ns")
        if event.get("event") != "phase" or not isinstance(name, str) or not isinstance(t_ns, int):
            continue
        if event.get("state") == "start":
            started[name] = t_ns
        elif name in started:
            done.append(Phase(name=name, start_ns=started.pop(name), end_ns=t_ns))
    return done, next(reversed(started), None)


def _hide_secrets(path: Path) -> None:
    """Rewrite a log without its secrets, if it has any."""
    try:
        log = path.open("r", encoding="utf-8", errors="replace", newline="")
    except OSError:
        return
    with log:
        if all(scrub(block) == block for block in _blocks(log)):
            return
        log.seek(0)
        clean = path.with_name(f".{path.name}.clean")
        with clean.open("w", encoding="utf-8", newline="") as out:
            out.writelines(scrub(block) for block in _blocks(log))
    clean.replace(path)


def _blocks(log: TextIO) -> Iterator[str]:
    """Whole lines, about a megabyte at a time: a log can be larger than memory."""
    while lines := log.readlines(1 << 20):
        yield "".join(lines)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def failure_summary(result: ExperimentResult) -> dict[str, Any] | None:
    """A failure in short, for the manifest; None where there is none."""
    if result.failure is None:
        return None
    failure = result.failure
    return {
        "type": failure.type,
        "message": failure.message[:500],
        "phase": failure.phase,
        "exit_code": failure.exit_code,
        "signal": failure.signal,
    }
