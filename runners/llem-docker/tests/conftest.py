"""A test image with the testbed backend in it, hostile ones made of it, a second engine to be killed, and `llem run`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from llem_docker.daemon import DockerDaemon

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))
import bed as test_bed
from container_runs import HOSTILE_HEAD, Ran

SETTINGS: Mapping[str, object] = {
    "dataset.name": "synthetic",
    "dataset.n": 4,
    "dataset.input_tokens": 8,
    "dataset.output_tokens": 8,
    "measurement.min_window_s": 0.2,
    "measurement.settle_s": 0,
    "warmup.enabled": "false",
    "baseline.enabled": "false",
}
"""A short experiment."""


@pytest.fixture(scope="session")
def bed() -> str:
    """An image with Python, llem and the testbed backend."""
    return test_bed.make()


@pytest.fixture(scope="session")
def serving_bed() -> str:
    """The same image with llem-serving, and a backend that answers several requests at once."""
    return test_bed.make_serving()


@pytest.fixture(scope="session")
def hostile(bed: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Takes a name and a program, returns an image that runs it in place of llem's worker."""
    made: dict[str, str] = {}

    def make(name: str, program: str) -> str:
        if name not in made:
            context = tmp_path_factory.mktemp(name)
            (context / "worker.py").write_text(HOSTILE_HEAD + program)
            text = f"FROM {bed}\nCOPY worker.py {test_bed.PACKAGES}/llem/worker.py\n"
            made[name] = test_bed.build(context, f"llem-test-{name}", text)
        return made[name]

    return make


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., list[str]]:
    """Takes an image and settings, returns the `llem run` of one short experiment, results in `tmp_path/results`."""

    def make(image: str, *words: str, **settings: object) -> list[str]:
        values = {**SETTINGS, **{key.replace("__", "."): value for key, value in settings.items()}}
        runner = ["--runner", f"docker:{image}"]
        return [
            *(sys.executable, "-m", "llem", "run", "--backend", "testbed", "--no-gaps", *runner),
            *("--model", "random:tiny-llama", "--output", str(tmp_path / "results")),
            *(word for key, value in values.items() for word in ("--set", f"{key}={value}")),
            *words,
        ]

    return make


@pytest.fixture
def llem_run(command: Callable[..., list[str]], tmp_path: Path) -> Callable[..., Ran]:
    """Runs one short experiment in an image to its end. `environ` is added to the environment."""

    def run(image: str, *words: str, environ: Mapping[str, str] | None = None, **settings: object) -> Ran:
        done = subprocess.run(
            command(image, *words, **settings),
            env={**os.environ, **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        return ran(done.returncode, done.stderr, tmp_path / "results")

    return run


def ran(code: int, stderr: str, folder: Path) -> Ran:
    """Collect what a run left."""
    found = sorted(folder.glob("*/experiments/*/result.json"))
    return Ran(code, stderr, folder, [json.loads(path.read_text()) for path in found])


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Tells the containers of this test's experiments that there are, running or not; those that it leaves are removed."""
    client = docker.from_env()

    def find() -> list[dict[str, Any]]:
        return _of_experiments_below(tmp_path, client)

    yield find
    for one in find():
        client.api.remove_container(one["Id"], force=True, v=True)
    client.close()


@pytest.fixture
def clean_engine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Removes dead containers of tests that were killed before they could, for a test that counts what is left."""
    client = docker.from_env()
    for one in _of_experiments_below(tmp_path_factory.getbasetemp().parent, client):
        if one["State"] == "exited":
            client.api.remove_container(one["Id"], v=True)
    client.close()


def _of_experiments_below(folder: Path, client: docker.DockerClient) -> list[dict[str, Any]]:
    found = client.api.containers(all=True, filters={"label": "llem.job"})
    return [one for one in found if one["Labels"]["llem.job"].startswith(f"{folder}/")]


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds. Raises AssertionError where it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


@dataclass
class SecondEngine:
    """An engine of the test's own, apart from the machine's, which may be killed."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.folder}/docker.sock"

    def start(self, path_first: Path | None = None) -> None:
        """Start it; programs in `path_first` are found before all others."""
        path = os.pathsep.join(filter(None, [str(path_first) if path_first else None, os.environ["PATH"]]))
        options = ["--data-root", "data", "--exec-root", "exec", "--pidfile", "docker.pid", "--host", self.address]
        options = [o if o.startswith(("-", "unix")) else str(self.folder / o) for o in options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", *options, "--bridge", "none", "--iptables=false"],
                env={**os.environ, "PATH": path},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, 60)

    def _answers(self) -> bool:
        try:
            client = docker.DockerClient(base_url=self.address)
            client.ping()
            client.close()
        except docker.errors.DockerException:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, as the out-of-memory killer would; its containers are left to themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        # Its containerd dies with it. Where nobody fetches what is left of that, the next engine takes it for alive.
        for stale in ("docker.pid", "exec/containerd/containerd.pid"):
            (self.folder / stale).unlink(missing_ok=True)

    def stop(self) -> None:
        """End it in order."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="session")
def second_engine_folder(bed: str) -> Iterator[Path]:
    """The data of a second engine, with the test image in it."""
    # A socket's path must be short.
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="llem-engine-"))
    engine = SecondEngine(folder)
    engine.start()
    with subprocess.Popen(["docker", "save", bed], stdout=subprocess.PIPE) as save:
        subprocess.run(["docker", "--host", engine.address, "load"], stdin=save.stdout, check=True, capture_output=True)
    engine.stop()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def second_engine(second_engine_folder: Path) -> Iterator[SecondEngine]:
    """A second engine, not started."""
    engine = SecondEngine(second_engine_folder)
    yield engine
    if engine.process is not None and engine.process.poll() is None:
        client = docker.DockerClient(base_url=engine.address)
        for container in client.containers.list(all=True):
            container.remove(force=True)
        client.close()
        engine.stop()


@pytest.fixture
def engine() -> Iterator[DockerDaemon]:
    """The machine's engine."""
    found = DockerDaemon()
    yield found
    found.close()
