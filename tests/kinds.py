"""The kinds of tests. One without a marker of `OTHERS` is a unit test: it starts no process and loads no engine, and fails
where it does. `pytest -m unit` runs these alone, and does not even import modules that are marked as a whole."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Generator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

OTHERS = (
    "process",
    "engine",
    "model",
    "bench",
    "install",
    "gpu",
    "slurm",
    "docker",
    "apptainer",
    "vllm",
    "sglang",
    "ray",
    "browser",
    "crash",
)
STARTING = frozenset(
    {
        "amd_library",
        "clock_library",
        "cpu_image",
        "llem",
        "make_job",
        "nvml_library",
        "tenant",
        "wheels",
    }
)
"""Fixtures that start a process: a test that asks for one is marked `process` by that."""

ENGINES = frozenset({"torch", "transformers", "vllm", "sglang", "tensorrt_llm", "ray"})
STARTS = frozenset({"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"})
HERE = ("process", "engine", "model")
"""Kinds that every machine can run."""

_MARKS = re.compile(r"^pytestmark = (.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
_OTHER = re.compile(rf"pytest\.mark\.({'|'.join(OTHERS)})\b")
_ASKING = re.compile(rf"[(,\s\"](?:{'|'.join(STARTING)})(?::|\")")


class _Watch:
    """Forbidden acts of the unit test at work, in `seen`; None while none is at work."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None

        def heard(event: str, arguments: tuple[Any, ...]) -> None:  # of a test's many events nearly none is of interest
            if event in STARTS:
                self._heard(event, arguments)

        sys.addaudithook(heard)
        start = BaseProcess.start

        def started(process: BaseProcess) -> None:  # its start by `spawn` and `forkserver` is no event
            self._heard("multiprocessing", (process, process.name))
            start(process)

        BaseProcess.start = started  # type: ignore[method-assign]

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is not None and not _lists_fonts(arguments):
            what = arguments[1] if len(arguments) > 1 else ""
            self.seen.append(f"{event}: {what}")


def _lists_fonts(arguments: tuple[Any, ...]) -> bool:
    """Tell the one program that matplotlib starts, for the first figure on a machine, to keep a list of its fonts."""
    return bool(arguments) and arguments[0] == "fc-list"


# Libraries ask for the processor at any time, MLflow from a thread of its own. Python starts `uname` for the first who asks.
platform.processor()
_WATCH = _Watch()


def _loaded() -> frozenset[str]:
    return frozenset(name for name in ENGINES if getattr(sys.modules.get(name), "__file__", None))


def _watched(item: pytest.Item) -> Generator[None, Any, Any]:
    if item.get_closest_marker("unit") is None:
        return (yield)
    before, _WATCH.seen = _loaded(), []
    try:
        result = yield
        seen = _WATCH.seen
    finally:
        _WATCH.seen = None
    if seen:
        pytest.fail(f"starts a process, and has not the marker `process`: {'; '.join(seen)}", pytrace=False)
    if new := _loaded() - before:
        pytest.fail(f"loads {', '.join(sorted(new))}, and has not the marker `engine`", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Watch what fixtures of a unit test do."""
    return (yield from _watched(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Watch what a unit test does."""
    return (yield from _watched(item))


def kinds_in(text: str) -> frozenset[str]:
    """Name the kinds of which a module's text marks tests, or asks for by a fixture."""
    return frozenset(_OTHER.findall(text)) | ({"process"} if _ASKING.search(text) else frozenset())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what starts processes by its fixtures, and what has no other kind as `unit`. A kind that cannot be read in a module's
    text ends the run: where only that kind runs, the module would be left unread."""
    texts: dict[Path, frozenset[str]] = {}
    for item in items:
        if not STARTING.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("process")
        kinds = {mark.name for mark in item.iter_markers()}.intersection(OTHERS)
        if not kinds:
            item.add_marker("unit")
            continue
        if item.path not in texts:
            texts[item.path] = kinds_in(item.path.read_text())
        if config.option.markexpr == "unit" and texts[item.path].isdisjoint(kinds):
            raise pytest.UsageError(
                f"{item.nodeid} is one of {', '.join(sorted(kinds))}: mark it as that in its module"
            )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a module unread that holds none of the tests that are asked for."""
    asked = config.option.markexpr
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    text = collection_path.read_text()
    marks = _MARKS.search(text)
    every = set(_OTHER.findall(marks[1])) if marks else set()
    if asked == "unit":
        return True if every else None
    if asked.startswith("not unit"):
        return True if every.difference(HERE) or kinds_in(text).isdisjoint(HERE) else None
    return True if asked in OTHERS and asked not in kinds_in(text) else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """End a run of unit tests whose modules load an engine when they are read."""
    if session.config.option.markexpr == "unit" and (found := _loaded()):
        raise pytest.UsageError(f"reading the tests loads {', '.join(sorted(found))}: mark that module as `engine`")
