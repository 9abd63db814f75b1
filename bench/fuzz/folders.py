"""Results folders as a target: a finished study of which one file is mutated, or is something else than a file.

What `llem show`, `export` and the looking and tidying of `llem resume` do with it may be anything but a traceback, a hang
and a write outside of the study. Nothing is measured.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

from bench.fuzz.mutations import Mutant, mutant
from llem.cli.invoke import invoke
from llem.config.layers import load_study
from llem.config.reading import read_yaml
from llem.errors import LlemError
from llem.plan import make_plan
from llem.plugins import Registry, default_registry
from llem.results.aggregate import aggregate
from llem.results.job_directory import (
    EVENTS,
    EXPERIMENT,
    LOG,
    REQUESTS,
    RESULT,
    TIMESERIES,
    EventLog,
    JobDocument,
    write_json,
)
from llem.results.models import EnergyBreakdown, EnergyFigure, ExperimentResult, Identity, Throughput, Tokens
from llem.results.store import EXPERIMENTS, MANIFEST
from llem.runners.failure import log_tail
from llem.specs.kinds import BACKENDS, RUNNERS
from llem.study.lock import Lock
from llem.study.manifest.journal import JOURNAL, line_of
from llem.study.manifest.manifest import PREVIOUS
from llem.study.manifest.new import new_manifest
from llem.study.manifest.writer import ManifestWriter
from llem.study.record import RECORD, keep_study_file, record_of
from llem.study.resume.request import ResumeRequest
from llem.study.resume.resume import _tidy, find, study_folder
from llem.study.verify import seal

STUDY = """name: fuzzed
model: random:tiny-llama
backend: pytorch
dataset: {name: synthetic, n: 2, input_tokens: 4, output_tokens: 4}
sweep: {pytorch.batch_size: [1, 2]}
execution: {cycles: 1, order: sequential}
"""
_FILES = (MANIFEST, PREVIOUS, JOURNAL, RECORD, "study.yaml", "results.parquet", ".lock")
_JOB_FILES = (RESULT, EXPERIMENT, TIMESERIES, REQUESTS, EVENTS, LOG)
_OUTSIDE = (
    "../victim",
    "/victim",
    "experiments/../../victim",
    "experiments/away",
    ".",
    "",
    "experiments",
    "experiments/..",
)
_KINDS = ("pipe", "folder", "loop", "device", "outside", "sparse", "nothing")


class EscapeError(Exception):
    """Something outside of the study was written, moved or removed."""


class _Quiet:
    """A reporter that nobody reads."""

    def message(self, level: str, text: str) -> None:
        text.encode("utf-8", "replace")

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: None


@cache
def _registry() -> Registry:
    return default_registry()


@cache
def _root() -> Path:
    return Path(mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else gettempdir()))


@cache
def _template() -> Path:
    """A finished study of two experiments."""
    folder = _root() / "template"
    (folder / EXPERIMENTS).mkdir(parents=True)
    registry = _registry()
    (_root() / "study.yaml").write_text(STUDY)
    study = load_study(
        _root() / "study.yaml",
        environ={},
        user=read_yaml("{}", "nothing", may_be_empty=True),
        backends=registry[BACKENDS],
        find_backend=partial(registry.find, BACKENDS),
        runners=registry[RUNNERS],
    )
    plan = make_plan(study, registry)
    record_of(study, runner=None, hosts=[]).write(folder)
    keep_study_file(folder, study.text)
    writer = ManifestWriter(folder, new_manifest(plan))
    for planned in plan.experiments:
        job = folder / EXPERIMENTS / planned.directory
        job.mkdir()
        _finish(job, planned)
        writer.experiment(planned.position, "running", started_at="2026-01-01T12:00:00.000Z")
        writer.experiment(
            planned.position,
            "done",
            started_at="2026-01-01T12:00:00.000Z",
            ended_at="2026-01-01T12:01:00.000Z",
            files=seal(job),
        )
    writer.study("complete")
    writer.close()
    (folder / ".lock").touch()
    aggregate(folder)
    return folder


def _finish(job: Path, planned: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    JobDocument(
        config=planned.config.document(),
        config_hash=planned.config_hash,
        base_dir=".",
        position=planned.position,
        point=planned.point,
    ).write(job)
    figure = EnergyFigure(
        scope="gpu",
        method="counter",
        samplers=["nvml"],
        devices=["GPU-1"],
        energy_j=50.0,
        mean_w=5.0,
        j_per_output_token=0.5,
    )
    result = ExperimentResult(
        status="done",
        identity=Identity(
            config_hash=planned.config_hash, study="fuzzed", position=planned.position, point=dict(planned.point)
        ),
        config=planned.config.document(),
        work="fixed_length",
        scenario="offline",
        started_at="2026-01-01T12:00:00.000Z",
        ended_at="2026-01-01T12:01:00.000Z",
        energy=EnergyBreakdown(window_s=10.0, headline=figure, totals=[figure]),
        tokens=Tokens(requests=2, input=8, output=100),
        throughput=Throughput(tokens_per_s=10.0, total_tokens_per_s=None, requests_per_s=None),
    )
    for name in (TIMESERIES, REQUESTS):
        pq.write_table(pa.table({"t_s": [0.0, 1.0], "power_w": [5.0, 5.0]}), job / name)
    events = EventLog(job / EVENTS)
    events.append("phase", name="window", state="start")
    events.append("phase", name="window", state="end")
    events.close()
    (job / LOG).write_text("loaded\n")
    write_json(job / RESULT, result.model_dump(mode="json"))


def recordings() -> Mapping[str, bytes]:
    """Each file of the finished study by its path in it."""
    folder = _template()
    files = [
        *_FILES,
        *(
            f"{job.relative_to(folder)}/{name}"
            for job in sorted((folder / EXPERIMENTS).iterdir())
            for name in _JOB_FILES
        ),
    ]
    return {name: (folder / name).read_bytes() for name in files}


def mutate(name: str, data: bytes, seed: int, others: list[bytes]) -> Mutant:
    """A file mutated as any other; or, every third time, by somebody who knows its form: sealed again, or no file at all."""
    chance = random.Random(seed)
    if chance.random() < 1 / 6:
        return Mutant(b"", (chance.choice(_KINDS),))
    if chance.random() < 1 / 2 and name in (MANIFEST, PREVIOUS):
        return Mutant(_sealed(_altered(data, chance)), ("sealed",))
    if name == JOURNAL and chance.random() < 1 / 2:
        document = {
            "seq": chance.choice((7, 8, 10**30, "7", None)),
            "position": chance.choice((1, 2, 0, -1, "1", [], 10**20)),
            **_CHANGE,
        }
        document[chance.choice(list(document))] = chance.choice(_ODD)
        return Mutant(data + line_of(document), ("journalled",))
    return mutant(data, seed, others)


_CHANGE: dict[str, Any] = {"state": "done", "started_at": None, "ended_at": None, "failure": None, "files": None}
_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "x",
    "../../victim",
    [],
    [[]],
    {},
    {"": {}},
    {"../../../victim/keep": "1 0"},
    "\ud800",
)


def _altered(data: bytes, chance: random.Random) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data)
    place = document if chance.random() < 1 / 2 else chance.choice(document["experiments"])
    if chance.random() < 1 / 2:
        chance.choice(document["experiments"])["directory"] = chance.choice(_OUTSIDE)
        chance.choice(document["experiments"])["state"] = chance.choice(
            ("pending", "running", "done", "dropped", "failed")
        )
    else:
        place[chance.choice(list(place))] = chance.choice(_ODD)
    return document


def _sealed(document: dict[str, Any]) -> bytes:
    document.pop("checksum", None)
    body = json.dumps(document, indent=1).encode()[: -len("\n}")]
    return body + b',\n "checksum": "' + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b'"\n}\n'


def read(name: str, change: Mutant, seed: int) -> str:
    """Use a study with this file. Returns `used`; raises what no user may see, and EscapeError."""
    case = _root() / f"case-{os.getpid()}"
    shutil.rmtree(case, ignore_errors=True)
    study, victim = case / "study", case / "victim"
    shutil.copytree(_template(), study)
    victim.mkdir()
    (victim / "keep").write_text("kept")
    (victim / RESULT).write_text("{}")
    (victim / ".kept.tmp").write_text("kept")
    (study / EXPERIMENTS / "away").symlink_to(victim)
    _put(study / name, change, victim)
    before = _tree(case)
    _use(study, seed)
    if _tree(case) != before:
        raise EscapeError(f"{name} by {', '.join(change.steps)}")
    return "used"


def _put(path: Path, change: Mutant, victim: Path) -> None:
    path.unlink()
    match change.steps:
        case ("pipe",):
            os.mkfifo(path)
        case ("folder",):
            path.mkdir()
        case ("loop",):
            path.symlink_to(path.name)
        case ("device",):
            path.symlink_to("/dev/zero")
        case ("outside",):
            path.symlink_to(victim if path.suffix == ".parquet" else victim / "keep")
        case ("sparse",):
            with path.open("wb") as stream:
                stream.truncate(2**40)
        case ("nothing",):
            pass
        case _:
            path.write_bytes(change.data)


def _tree(case: Path) -> list[tuple[str, bytes]]:
    """All that is outside of the study."""
    found = [path for path in case.rglob("*") if "study" not in path.relative_to(case).parts[:1]]
    return sorted((str(path), path.read_bytes() if path.is_file() else b"") for path in found)


def _use(study: Path, seed: int) -> None:
    job = next(iter(sorted((study / EXPERIMENTS).iterdir())), study)
    command = (
        ["show", str(study)],
        ["show", str(job)],
        ["show", str(study), "--json"],
        ["export", str(study), "--format", "csv"],
    )[seed % 4]
    told = io.StringIO()
    with _captured(told):
        invoke(command)
        if seed % 8 == 1:
            invoke(["show", str(study), "--rebuild"])
    if "this is a bug of llem" in told.getvalue():
        raise AssertionError(" ".join(told.getvalue().split())[-600:])
    log_tail(job / LOG)
    try:
        with Lock(study_folder(study)):
            found = find(
                study, _registry(), _Quiet(), ResumeRequest(as_started=seed % 2 == 0, allow_changes=seed % 3 == 0)
            )
            with contextlib.suppress(OSError):  # the command tells it: the study's folder can no longer be written
                _tidy(found)
    except LlemError as error:
        str(error).encode("utf-8", "replace")


@contextlib.contextmanager
def _captured(told: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        yield


def clear() -> None:
    """Remove what was made; it is made anew where it is asked for again."""
    shutil.rmtree(_root(), ignore_errors=True)
    for made in (_root, _template):
        made.cache_clear()
