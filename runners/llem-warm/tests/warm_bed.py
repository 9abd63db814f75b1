"""A backend whose engine tests write, and a runner that starts its workers from a template."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.plugins import default_registry
from llem.runners.local import LocalRunner
from llem.specs.runner import Exit, Job, RunnerContext

CONFIG = ExperimentConfig.model_construct(backend="probing", options=Section())

PLUGIN = """
from dataclasses import replace
import llem_testbed
from llem.hookspecs import hookimpl

@hookimpl
def llem_backends():
    (testbed,) = llem_testbed.llem_backends()
    return [replace(testbed, name="probing", engine="probing_engine:Engine", preload=PRELOAD)]
"""

ENGINE = """
import os
from llem_testbed import TestbedEngine as Engine
IMPORTED_IN = os.getpid()
ALLOCATED = []
BEGINNING
"""

WORKER = """
import json, os, runpy, sys
def main(arguments):
    sys.stdout.flush()
    try:
        runpy.run_path(os.path.join(arguments[0], "do.py"), run_name="done")
    except SystemExit as end:
        return end.code or 0
    return 0
"""
"""In place of `llem.worker`: runs what the test has put into the job directory."""


NOTES_ITS_START = """
import os
if "NOTE_START" in os.environ:
    with open(os.environ["NOTE_START"], "w") as file:
        file.write(os.environ.get("LLEM_START", ""))
"""
"""The first act of every interpreter of a job where `NOTE_START` names a file; a worker that soon is gone has told."""


class Bed:
    """A folder of plugins whose engine tests write, and a runner that starts workers warm."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._count = 0
        self.runner: LocalRunner | None = None

    def install(self, beginning: str = "", preload: tuple[str, ...] = ()) -> None:
        """Make the engine's module, with this code at its beginning, and a runner for it."""
        site = self._folder / "site"
        (site / "probing-1.0.dist-info").mkdir(parents=True)
        (site / "probing-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: probing\nVersion: 1.0\n")
        (site / "probing-1.0.dist-info" / "entry_points.txt").write_text("[llem]\nprobing = probing_plugin\n")
        (site / "probing_plugin.py").write_text(PLUGIN.replace("PRELOAD", repr(preload)))
        (site / "probing_engine.py").write_text(ENGINE.replace("BEGINNING", beginning))
        replaced = f"import types\nmodule = types.ModuleType('llem.worker')\nexec({WORKER!r}, module.__dict__)\n"
        replaced += f"module.__file__ = {str(site / 'worker.py')!r}\nimport llem\nllem.worker = module\n"
        replaced += "import sys\nsys.modules['llem.worker'] = module\n"
        (site / "replaced_worker.py").write_text(replaced)
        (site / "sitecustomize.py").write_text(NOTES_ITS_START)
        self._monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ["PYTHONPATH"]]))
        self.runner = LocalRunner(RunnerContext(registry=default_registry(), backend="probing", warm_start=True))

    def start(self, code: str, **environment: str) -> tuple[Any, Path]:
        """A worker that runs this code in place of an experiment; the job and its directory."""
        self._count += 1
        job_dir = self._folder / f"job{self._count}"
        job_dir.mkdir()
        (job_dir / "do.py").write_text(f"import json, os, sys\nJOB_DIR = {str(job_dir)!r}\n{code}\n")
        assert self.runner is not None
        job = Job(directory=job_dir, config=CONFIG, config_hash="0" * 64, environment=environment)
        return self.runner.start(job), job_dir

    def run(self, code: str, **environment: str) -> tuple[Exit, Any, str]:
        """The same, to its end: how it ended, what it told, its log."""
        running, job_dir = self.start(code, **environment)
        ending = running.wait(60)
        assert ending is not None
        told = job_dir / "told.json"
        log = (job_dir / "worker.log").read_text()
        return ending, json.loads(told.read_text()) if told.exists() else None, log

    def close(self) -> None:
        if self.runner is not None:
            self.runner.close()


TELL = "json.dump(TOLD, open(os.path.join(JOB_DIR, 'told.json'), 'w'))"


def replaced(beginning: str = "") -> str:
    """The engine's beginning that puts the test's worker in place."""
    return f"import replaced_worker\n{beginning}"


def warm(code: str) -> str:
    """Tell what this code leaves in TOLD, and that the worker was forked."""
    return f"{code}\n{TELL}\nassert os.environ['LLEM_START'] == 'forked', os.environ['LLEM_START']"
