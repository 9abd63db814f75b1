"""Puts the test backend on the path, here and in every worker that a test starts; offers the simulated NVML."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

MadeOnce = Callable[[str, Callable[[Path], object]], Path]
_ROOT = Path(__file__).parent
_TESTBED = str(_ROOT / "tests" / "testbed")
sys.path[:0] = [_TESTBED, str(_ROOT / "tests" / "fixtures"), str(_ROOT / "tests"), str(_ROOT)]
pytest_plugins = ["designed_studies", "kinds", "notebooks", "results_by_hand", "two_backends", "unlike_facts"]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_TESTBED, os.environ.get("PYTHONPATH")]))

# Hundreds of processes import the same modules: what Python compiles is kept, also where the shell asks for the opposite.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False

# A busy machine fails no property: Hypothesis by itself takes 200 ms for one example, and gives up on slow ones. The
# environments of engines have no Hypothesis.
with contextlib.suppress(ImportError):
    from hypothesis import HealthCheck, settings

    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")

# Tests run side by side, and none shall wait for another's study: each process of pytest is a machine of its own.
_LOCKS = Path(tempfile.gettempdir()) / f"pytest-locks-{os.getpid()}"
os.environ["LLEM_LOCK_DIR"] = str(_LOCKS)
atexit.register(shutil.rmtree, _LOCKS, ignore_errors=True)


def _memory() -> str | None:
    """A file system in memory, with room, from which a library can be loaded."""
    with contextlib.suppress(OSError):
        facts = os.statvfs("/dev/shm")
        if (
            facts.f_bavail * facts.f_frsize > 4 << 30
            and not facts.f_flag & os.ST_NOEXEC
            and os.access("/dev/shm", os.W_OK)
        ):
            return "/dev/shm"
    return None


# Results and journals are forced to the disk, which takes most of the time of many tests where it is a real one.
if (_found := _memory()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _found)

# No test asks the hub: one that needs its answers brings a server of its own.
os.environ.setdefault("HF_ENDPOINT", "http://127.0.0.1:9")

# A shell that starts tests in the background leaves them, and whatever they start, deaf to these.
for _number, _heard in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _heard)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first, after the shuffling, files that load engines or start much, and between them those that wait long: side by
    side, none of them is left for the end, and while some wait others compute."""
    ranks: dict[Path, int] = {}
    starting = Counter(item.path for item in items if item.get_closest_marker("unit") is None)
    for item in items:
        rank = next((n for n, kind in enumerate(("model", "engine", "timeout")) if item.get_closest_marker(kind)), 3)
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    files = sorted(ranks, key=lambda path: (ranks[path], -starting[path]))
    waiting = [path for path in files if ranks[path] == 2]
    others = [path for path in files if ranks[path] != 2]
    mixed = [path for pair in itertools.zip_longest(others, waiting) for path in pair if path is not None]
    place = {path: number for number, path in enumerate(mixed)}
    items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the thousands of tests that are read out of the garbage collector's sight: it would look through them time and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)  # a test leaves little behind
        gc.enable()


@functools.cache
def _why_no_docker() -> str | None:
    from llem.errors import LlemError
    from llem_docker.daemon import DockerDaemon

    try:
        DockerDaemon().close()
    except LlemError as error:
        return str(error)
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `docker` say why they cannot run here."""
    if item.get_closest_marker("docker") is not None and (reason := _why_no_docker()) is not None:
        pytest.skip(f"needs a Docker engine: {reason}")


@pytest.fixture(scope="session")
def cpu_image() -> Callable[[str], str]:
    """Takes a backend, returns the name of its CPU image, which is built where it is not there yet."""
    import cpu_images

    return functools.cache(cpu_images.build)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Takes a name and what fills a folder; returns that folder, filled once for all processes of pytest of this run. Not to
    be written to."""
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def fill(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = base / f"once-{name}", base / f"once-{name}.done"
        with (base / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return fill


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated libnvidia-ml.so.1, compiled."""
    from sim import nvml

    return nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def simulated_gpus(nvml_library: Path, tmp_path: Path) -> Callable[[str], Mapping[str, str]]:
    """Takes a scenario (see tests/sim/nvml/scenario.h), returns the environment of a process that sees its GPUs."""

    def write(scenario: str) -> Mapping[str, str]:
        return _seeing(nvml_library, tmp_path, scenario)

    return write


@pytest.fixture(scope="module")
def module_gpus(nvml_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Mapping[str, str]]:
    """`simulated_gpus`, for a fixture that many tests share."""
    folder = tmp_path_factory.mktemp("gpus")
    return lambda scenario: _seeing(nvml_library, folder, scenario)


def _seeing(nvml_library: Path, folder: Path, scenario: str) -> Mapping[str, str]:
    file = folder / "scenario.txt"
    file.write_text(f"epoch {time.monotonic_ns()}\n{scenario}")
    return {**os.environ, "LD_LIBRARY_PATH": str(nvml_library.parent), "NVML_SIM": str(file)}


@pytest.fixture(scope="session")
def amd_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated libamd_smi.so, compiled, in `lib/` of a folder for ROCM_PATH."""
    from sim import amdsmi

    return amdsmi.build(tmp_path_factory.mktemp("rocm"))


@pytest.fixture
def simulated_amd_gpus(amd_library: Path, tmp_path: Path) -> Callable[[str], Mapping[str, str]]:
    """As `simulated_gpus`, for AMD cards. The last `gpu` is HIP's first card."""

    def write(scenario: str) -> Mapping[str, str]:
        file = tmp_path / "scenario.txt"
        file.write_text(f"epoch {time.monotonic_ns()}\n{scenario}")
        return {**os.environ, "ROCM_PATH": str(amd_library.parent.parent), "NVML_SIM": str(file)}

    return write


@pytest.fixture
def testbed_result(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Takes an environment and settings, runs one short experiment on the testbed by `llem run`, returns its result."""

    def run(environment: Mapping[str, str], **settings: object) -> dict[str, Any]:
        values: dict[str, object] = {
            "dataset.name": "synthetic",
            "dataset.input_tokens": 8,
            "dataset.n": 4,
            "dataset.output_tokens": 10,
            "measurement.min_window_s": 2,
            "measurement.settle_s": 0,
            "warmup.enabled": "false",
            "baseline.enabled": "false",
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        command = [sys.executable, "-m", "llem", "run", "--model", "random:tiny-llama", "--backend", "testbed"]
        command += ["--no-gaps", "--output", str(tmp_path / "results")]
        command += [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
        found = list(tmp_path.glob("results/*/experiments/*/result.json"))
        assert len(found) == 1, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(found[0].read_text())
        assert result["status"] == "done", result["failure"]
        return result

    return run
