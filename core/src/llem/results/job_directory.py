"""The job directory: the one contract between the study and wherever a worker runs.

`experiment.json` goes in. Out come `events.jsonl` and `worker.log` while it runs, then `timeseries.parquet`,
`requests.parquet`, and last and atomically `result.json`: present and valid means done (or failed, and said so).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from llem.errors import ResultError
from llem.files import NotAFileError, open_file, parse_json, read_file
from llem.results.job_files import EVENTS as EVENTS
from llem.results.job_files import POWER as POWER
from llem.results.job_files import READINGS as READINGS
from llem.results.validation import EXACT, problem_of

EXPERIMENT = "experiment.json"
RESULT = "result.json"
TIMESERIES = "timeseries.parquet"
REQUESTS = "requests.parquet"
LOG = "worker.log"
INTERRUPTED = "Interrupted"
"""Type of the failure of an experiment that was told to end: it has not failed by itself."""

_AT_ONCE = 64 * 2**20
"""A reader of events takes so many bytes at once, at the most."""

JOB_SCHEMA = 1
"""Version of `experiment.json`."""


@dataclass(frozen=True, kw_only=True, config=EXACT)
class JobDocument:
    """The content of `experiment.json`: all that a worker needs to know.

    Attributes:
        config: the experiment as `ExperimentConfig.document()` gives it.
        config_hash: its identity.
        base_dir: the folder that relative paths in the configuration start from.
        study: name of the study's folder, or None for a single experiment.
        cycle: which repetition, from 1; position: place in the study's order, from 1.
        point: the swept keys with their values.
        provenance: facts about the study for the result's environment: git commit of the study file, runner and its origin.
        warnings: what was found before the dispatch, `{"code", "message"}` each; the worker puts them into the result.
    """

    config: Mapping[str, Any]
    config_hash: str
    base_dir: str
    study: str | None = None
    cycle: int = 1
    position: int = 1
    point: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[Mapping[str, str]] = ()
    schema: int = JOB_SCHEMA

    def write(self, directory: Path) -> None:
        """Put it into the job directory."""
        write_json(directory / EXPERIMENT, asdict(self))

    @classmethod
    def read(cls, directory: Path) -> JobDocument:
        """Read it from the job directory. Raises ResultError where it is missing or of another version."""
        path = directory / EXPERIMENT
        try:
            data = parse_json(read_file(path))
            if data["schema"] != JOB_SCHEMA:
                raise ResultError(
                    f"this experiment is of version {data['schema']}; this llem reads version {JOB_SCHEMA}.",
                    where=str(path),
                    remedy="Use the same version of llem on both sides.",
                )
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultError(f"no readable experiment: {problem_of(error)}.", where=str(path)) from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new whole, also after a power loss.

    Half a surrogate pair, which a file's name can hold, has no UTF-8; it is written out, which in JSON is the same.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Made anew: what stands there already may be a link to anywhere.
        temporary.unlink(missing_ok=True)
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON atomically: UTF-8, indented, no NaN."""
    write_atomically(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


class EventLog:
    """Appends events: one JSON object a line with `t_ns` (monotonic), `event`, and what belongs to it.

    Events: `phase` (name, state `start` or `end`), `progress` (phase, done, total, unit, tokens_per_s, power_w where known),
    `power` (power_w, estimated; from the sampling process), `message` (level `info` or `warning`, code, text), `failure`
    (type, text).
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("a", encoding="utf-8", errors="backslashreplace")

    def append(self, event: str, **fields: Any) -> int:
        """Write one event; returns its time (monotonic ns)."""
        t_ns = time.monotonic_ns()
        self._stream.write(json.dumps({"t_ns": t_ns, "event": event, **fields}, ensure_ascii=False) + "\n")
        self._stream.flush()
        return t_ns

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class EventReader:
    """Reads events as they are appended; an unfinished last line waits for its end.

    A file that was put in the place of the one before, as by a runner that starts an experiment anew, is read from its begin.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._file = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """The events since the last call. A line that is no JSON object is passed over."""
        try:
            with open_file(self._path) as stream:
                if (file := os.fstat(stream.fileno()).st_ino) != self._file:
                    self._file, self._offset = file, 0
                if stream.seek(0, os.SEEK_END) < self._offset:
                    self._offset = 0  # the job began anew, elsewhere
                stream.seek(self._offset)
                data = stream.read(_AT_ONCE)
        except (FileNotFoundError, NotAFileError):
            return
        whole, newline, rest = data.rpartition(b"\n")
        if not newline and len(rest) == _AT_ONCE:
            self._offset += len(rest)  # no line of ours is so long
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                event = parse_json(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event
