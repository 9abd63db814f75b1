"""A small study on the testbed that is killed and resumed, and the account of what must never be lost of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash import preload
from crash.processes import MARK, PATIENCE_S, all_gone
from llem.study.manifest.manifest import StudyManifest, recover

STUDY = """\
name: crash
model: random:tiny-llama
backend: testbed
dataset: {name: synthetic, n: 4, input_tokens: 8}
measurement: {min_window_s: 0.05, settle_s: 0}
warmup: {enabled: false}
baseline: {enabled: false}
sweep: {dataset.output_tokens: [4, 5, 6]}
execution: {cycles: 1, experiment_gap_s: 0, cycle_gap_s: 0, warm_start: WARM}
"""
"""Three experiments of a few milliseconds each."""

POINTS = 3

KEPT = ("result.json", "requests.parquet", "timeseries.parquet")
"""The files that a finished experiment consists of."""


def assert_told(text: str) -> None:
    """Check that llem's words are for people: no traceback, and nothing that it takes for its own fault."""
    assert "Traceback" not in text, text[-4000:]
    assert "this is a bug of llem" not in text, text[-4000:]


@dataclass
class Study:
    """A study under attack.

    Attributes:
        root: a folder of its own.
        results: where llem makes the study's folder, `root/results` if not given.
        preload: the shared object that every process of it loads first (`crash.preload`, compiled).
        warm: workers are forked from a fork server.
        cycles: how many are asked for by now.
        finished: digest of every finished experiment that was ever seen, by its directory in the study.
        said: what every call of llem printed, in order.
    """

    root: Path
    preload: Path
    results: Path = field(default=Path())
    warm: bool = True
    cycles: int = 1
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    finished: dict[str, str] = field(default_factory=dict)
    said: list[Path] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        if self.results == Path():
            self.results = self.root / "results"
        self.results.mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").mkdir(parents=True, exist_ok=True)
        (self.root / "study.yaml").write_text(STUDY.replace("WARM", str(self.warm).lower()))

    @property
    def order(self) -> Path:
        """Where an order to kill stands (see crash.c)."""
        return self.root / "order"

    @property
    def folder(self) -> Path | None:
        """The study's own folder, once anything in it says what the study is."""
        found = {path.parent for name in ("manifest.json", "study.json") for path in self.results.glob(f"*/{name}")}
        assert len(found) <= 1, f"one study became several: {found}"
        return min(found, default=None)

    @property
    def running(self) -> bool:
        """Tell whether llem runs."""
        return self.process is not None and self.process.poll() is None

    def start(self, *more: str, record: Path | None = None) -> None:
        """Run the study (`more`: further words), or resume it where it has begun; failed experiments are tried again."""
        folder = self.folder
        words = ["run", "study.yaml", "--output", str(self.results), *more]
        if folder is not None:
            words = ["resume", str(folder), "--retry-failed"]
            if self.cycles > 1 and self.manifest().cycles < self.cycles:
                words += ["--cycles", str(self.cycles)]
        self.process = self.launch(*words, record=record)

    def launch(self, *words: str, record: Path | None = None) -> subprocess.Popen[bytes]:
        """Start an `llem` of this test."""
        log = self.root / f"said-{self.mark[:4]}-{len(self.said):03}.txt"
        self.said.append(log)
        variables = {
            **os.environ,
            **preload.environment(self.preload, self.results, order=self.order, record=record),
            MARK: self.mark,
            "TMPDIR": str(self.root / "tmp"),
        }
        with log.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "llem", *words], cwd=self.root, env=variables, stdout=said, stderr=said
            )

    def call(self, *words: str) -> tuple[int, str]:
        """Run an `llem` to its end; returns its exit code and what it said."""
        code = self.launch(*words).wait(PATIENCE_S)
        return code, self.said[-1].read_text(errors="replace")

    def settle(self) -> int:
        """Wait until llem has ended and nothing of it is left; check that nothing was lost. Returns its exit code."""
        assert self.process is not None
        code = self.process.wait(PATIENCE_S)
        all_gone(self.mark)
        text = self.said[-1].read_text(errors="replace")
        assert code in (0, 1, -signal.SIGKILL), f"it ended with {code}:\n{text[-4000:]}"
        assert_told(text)
        now = self.digests()
        lost = [name for name, digest in self.finished.items() if now.get(name) != digest]
        assert not lost, f"finished experiments were lost or changed: {lost}"
        self.finished |= now
        return code

    def discard_unplanned(self) -> None:
        """Take away the folder of a run that was killed before anything in it said what the study is."""
        for folder in self.results.glob("*/"):
            if folder != self.folder:
                assert not list(folder.glob("experiments/*")), "an experiment began before the plan was on disk"
                code, text = self.call("resume", str(folder))
                assert code != 0
                assert_told(text)
                shutil.rmtree(folder)

    def complete(self) -> None:
        """Resume without a further kill until nothing is left to do, and check what the study then is."""
        self.order.unlink(missing_ok=True)
        for _ in range(2):  # a kill may have left failed experiments; those of the first attempt are tried once more
            self.start()
            if self.settle() == 0:
                break
        else:
            raise AssertionError(f"it cannot be completed:\n{self.said[-1].read_text()[-4000:]}")
        self.check_complete()

    def digests(self) -> dict[str, str]:
        """The finished experiments on disk: directory to digest."""
        found = {}
        for folder in self.results.glob("*/experiments/*"):
            try:
                status = json.loads((folder / "result.json").read_text())["status"]
            except (OSError, ValueError, KeyError):
                continue
            if status == "done" and all((folder / name).is_file() for name in KEPT):
                whole = hashlib.sha256(b"".join((folder / name).read_bytes() for name in KEPT))
                found[folder.name] = whole.hexdigest()
        return found

    def manifest(self) -> StudyManifest:
        """The manifest as every reader of the library sees it."""
        assert self.folder is not None
        return recover(self.folder).manifest

    def check_complete(self) -> None:
        """Every experiment is there exactly once, done and whole, and so are the manifest and the table."""
        import pyarrow.parquet as pq

        from llem.results.store import job_directories, read_result

        folder = self.folder
        assert folder is not None
        manifest = self.manifest()
        entries = manifest.experiments
        assert manifest.state == "complete"
        assert [entry.state for entry in entries] == ["done"] * POINTS * self.cycles
        wanted = {(entry.config_hash, entry.cycle) for entry in entries}
        assert len(wanted) == POINTS * self.cycles
        directories = sorted(entry.directory for entry in entries)
        assert [path.relative_to(folder).as_posix() for path in job_directories(folder)] == directories
        results = [read_result(folder / name) for name in directories]
        assert {(r.identity.config_hash, r.identity.cycle) for r in results} == wanted
        rows: list[Mapping[str, Any]] = pq.read_table(folder / "results.parquet").to_pylist()
        assert sorted(row["directory"] for row in rows) == directories
        for row in rows:
            result = results[directories.index(row["directory"])]
            assert row["status"] == "done"
            assert (row["config_hash"], row["cycle"]) == (result.identity.config_hash, result.identity.cycle)
            assert result.throughput is not None
            assert row["throughput.tokens_per_s"] == result.throughput.tokens_per_s
        left = [path for path in folder.rglob("*.tmp") if "set-aside" not in path.parts]
        assert not left, f"half-written files are left: {left}"
