"""The backend on a real vLLM server on loopback. Marked `vllm`: it needs an environment with vLLM in it (`make test-vllm`)."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llem_plugin_kit import BackendConformance

HAS_VLLM = importlib.util.find_spec("vllm") is not None
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not HAS_VLLM, reason="vLLM is not installed here: make test-vllm sets it up"),
]

ROOT = Path(__file__).parents[3]
START_S = 600
LAYERS = 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a vLLM server with a small model of known vocabulary."""
    sys.path.insert(0, str(ROOT / "plugins" / "llem-vllm" / "tests"))
    from vllm_lab import write_model

    folder = write_model(tmp_path_factory.mktemp("served"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Whoever reads goes before the server, which takes every core: what waits unread loses its time to the kernel.
    command = ["nice", "-n", "9", sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "small", "--dtype", "float32", "--enforce-eager", "--no-enable-prefix-caching"]
    # Of two layers tokens come closer to one another than a busy machine lets anybody read them.
    command += ["--hf-overrides", json.dumps({"num_hidden_layers": LAYERS}), "--load-format", "dummy"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("log") / "server.log"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, start_new_session=True)
    try:
        _await(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its engine is a process of its own


def _await(page: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-4000:]
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(page) as response:
                if response.status == 200:
                    return
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.5)


class TestOnVllm(BackendConformance):
    backend = "openai"
    model = "small"
    broken_model = "another"
    options: ClassVar = {"vocab_size": 400}

    @pytest.fixture(scope="class")
    @classmethod
    def given(cls, server: str) -> Mapping[str, Any]:
        return {**cls.options, "base_url": server}


@pytest.mark.parametrize("scenario", ["offline", "single_stream"])
def test_an_experiment_has_a_time_for_each_token(server: str, scenario: str, tmp_path: Path) -> None:
    settings = {
        "openai.base_url": server,
        "openai.vocab_size": 400,
        "openai.concurrency": 4,
        "dataset.name": "synthetic",
        "dataset.input_tokens": 12,
        "measurement.scenario": scenario,
        "measurement.min_window_s": 1,
        "baseline.enabled": "false",
    }
    command = [sys.executable, "-m", "llem", "run", "--model", "small", "--backend", "openai", "--no-gaps"]
    command += ["-n", "8", "--output-tokens", "16", "--output", str(tmp_path)]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("*/experiments/*/result.json")
    result = json.loads(file.read_text())
    requests = result["tokens"]["requests"]
    assert (result["tokens"]["input"], result["tokens"]["output"]) == (12 * requests, 16 * requests)
    assert result["latency"]["itl_s"]["n"] == 15 * requests
    assert result["model"]["effective"]["token_times"] == "of each token"
    assert result["environment"]["engine"]["server"].startswith("vllm ")
