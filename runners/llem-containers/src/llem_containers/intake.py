"""Takes from a container what a job directory may hold, and trusts none of it.

While the container runs, only `events.jsonl` is read, through a file that is opened without following a link. The rest is
taken when every process of it is gone, so that nothing changes between the look and the move.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import subprocess
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from llem.plugin_api import EVENTS, READINGS, REQUESTS, RESULT, TIMESERIES, open_parquet, write_json
from llem_containers.sizes import in_words
from llem_containers.text import clean

# The result comes last: where llem is killed in between, none is there without its tables.
MOST_BYTES = {TIMESERIES: 2 * 2**30, REQUESTS: 2 * 2**30, READINGS: 2 * 2**30, RESULT: 64 * 2**20}
"""Most bytes that a file may hold; a larger one is refused."""
MOST_LOG_BYTES = 64 * 2**20
MOST_LOGS = 8
_MOST_ENTRIES = 10_000
_LOG = re.compile(r"(?!worker\.)[A-Za-z0-9][A-Za-z0-9._-]{0,60}\.log")
MOST_EVENTS_BYTES = 64 * 2**20
_LONGEST_EVENT = 2**16
_LONGEST_TEXT = 2_000
_AT_ONCE = 2**20

_NUMBERS = frozenset({"done", "total", "tokens_per_s", "power_w", "t_ns"})
_KINDS = frozenset({"phase", "progress", "power", "message", "failure"})

_RESULT_INVALID = "result.invalid.json"


class Events:
    """Passes events on from the container's file to the job directory's, whole lines of known form only.

    Args:
        exchange: the folder that the container writes to.
        target: `events.jsonl` of the job directory.
        secrets: texts that never get there.
    """

    def __init__(self, exchange: Path, target: Path, secrets: Sequence[str] = ()) -> None:
        self._exchange = exchange
        self._target = target
        self._secrets = secrets
        self._offset = 0
        self._rest = b""

    def forward(self) -> None:
        """Pass on what is new. Returns at once."""
        while data := self._read():
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LONGEST_EVENT:
                self._rest = b""
            known = [event for line in lines if (event := known_event(line, self._secrets)) is not None]
            if known:
                with self._target.open("a", encoding="utf-8") as out:
                    out.writelines(json.dumps(event, ensure_ascii=False) + "\n" for event in known)
            if len(data) < _AT_ONCE:
                return

    def _read(self) -> bytes:
        room = min(_AT_ONCE, MOST_EVENTS_BYTES - self._offset)
        if room <= 0:
            return b""
        try:
            fd = os.open(self._exchange / EVENTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(fd, room, self._offset) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        except OSError:
            return b""
        finally:
            os.close(fd)


def known_event(line: bytes, secrets: Sequence[str] = ()) -> dict[str, Any] | None:
    """An event of known form, its texts cut and free of control characters; None for anything else."""
    if len(line) > _LONGEST_EVENT:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or event.get("event") not in _KINDS or not _is_number(event.get("t_ns")):
        return None
    found: dict[str, Any] = {}
    for key, value in event.items():
        if key in _NUMBERS:
            if value is None or _is_number(value):
                found[key] = value
        elif isinstance(value, str):
            found[key] = _plain(value, secrets)
        elif value is None or isinstance(value, bool) or _is_number(value):
            found[key] = value
    return found


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Compared first: an integer may be too large even to be asked whether it is finite.
    return abs(value) < 2**63 and math.isfinite(value)


def _plain(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return "".join(c if c.isprintable() else " " for c in text[:_LONGEST_TEXT])


def take(exchange: Path, job_dir: Path, expected: Mapping[str, Any], secrets: Sequence[str] = ()) -> list[str]:
    """Move what a job directory may hold out of the exchange folder. Every process of the container must be gone.

    Args:
        exchange: the folder that the container wrote to.
        job_dir: receives the files.
        expected: `experiment.json` as it was given in: whose result it must be.
        secrets: texts that a result must not hold.

    Returns:
        What was refused and why, a clause each.
    """
    refused = []
    for name, most in {**_logs(exchange), **MOST_BYTES}.items():
        source = exchange / name
        try:
            found = source.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            refused.append(f"{name} cannot be read ({error.strerror})")
            continue
        problem = _problem(found, most)
        if problem is None:
            try:
                source.chmod(0o644)
                if source.suffix == ".log":
                    source.write_bytes(clean(source.read_bytes(), [secret.encode() for secret in secrets]))
                problem = _result_problem(source, expected, secrets) if name == RESULT else _table_problem(source)
            except OSError as error:
                problem = f"cannot be read ({error.strerror})"
        if problem is None:
            source.replace(job_dir / name)
            continue
        refused.append(f"{name} {problem}")
        if stat.S_ISREG(found.st_mode) and name == RESULT and found.st_size <= most:
            source.replace(job_dir / _RESULT_INVALID)
    return refused


def _logs(exchange: Path) -> dict[str, int]:
    """Logs of what an engine has started (`LoadContext.job_dir`), with the bytes that each may hold: few, whatever else is there."""
    try:
        with os.scandir(exchange) as entries:
            names = [entry.name for entry in islice(entries, _MOST_ENTRIES) if _LOG.fullmatch(entry.name)]
    except OSError:
        return {}
    return dict.fromkeys(sorted(names)[:MOST_LOGS], MOST_LOG_BYTES)


def _problem(found: os.stat_result, most: int) -> str | None:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    if not stat.S_ISREG(found.st_mode):
        return f"is {kinds.get(stat.S_IFMT(found.st_mode), 'a device')}, not a file"
    if found.st_nlink > 1:
        return "has a second name"
    if found.st_size > most:
        return f"is larger than {in_words(most)}"
    return None


def _result_problem(path: Path, expected: Mapping[str, Any], secrets: Sequence[str]) -> str | None:
    """The reason why a result is not this experiment's. Secrets in it are blotted out on the way."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if any(secret in text for secret in secrets):
        for secret in secrets:
            text = text.replace(secret, "***")
        path.write_text(text, encoding="utf-8")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return "is not JSON"
    identity = data.get("identity") if isinstance(data, dict) else None
    if not isinstance(identity, dict):
        return "is no result"
    for key in ("config_hash", "study", "cycle", "position"):
        if identity.get(key) != expected.get(key):
            return f"is of another experiment (its {key} is not the one that was given)"
    return None


def _table_problem(path: Path) -> str | None:
    if path.suffix != ".parquet":
        return None
    import pyarrow

    try:
        open_parquet(path).close()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        return f"is no table ({type(error).__name__})"
    return None


def amend_failure(job_dir: Path, kind: str, cause: str) -> None:
    """Put what the runner knows into a result that says `failed`: the worker saw only what it did to its own processes."""
    path = job_dir / RESULT
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        failure = data["failure"]
        if data["status"] != "failed" or not isinstance(failure, dict):
            return
        failure["message"] = f"{cause[:1].upper()}{cause[1:]}. The worker said: {failure['message']}"
        failure["type"] = kind
        write_json(path, data)
    except (OSError, ValueError, KeyError, TypeError):
        return  # there is none, it is not one, or the disk is full: settling it says so


def written(folder: Path) -> int:
    """Bytes on disk below a folder, however deep and however named; 0 where it cannot be told."""
    done = subprocess.run(["du", "-sx", "-B1", "--", str(folder)], capture_output=True, text=True, check=False)
    word = done.stdout.split("\t")[0]
    return int(word) if word.isdecimal() else 0


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that a container left in it: links, locked folders, trees too deep for Python."""
    command = ["rm", "-rf", "--one-file-system", "--", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(folder)], capture_output=True, check=False)
        subprocess.run(command, capture_output=True, check=False)
