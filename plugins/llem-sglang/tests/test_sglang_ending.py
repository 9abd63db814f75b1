"""The end of SGLang in each way: closed, killed, refused; nothing of it is left, and the reason is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from llem.errors import ModelError

pytestmark = [pytest.mark.sglang, pytest.mark.timeout(300)]

WORKER = """
import sys, time
sys.path[:0] = {paths!r}
from sglang_lab import start
session = start({model!r}, {{}})
print("loaded", flush=True)
time.sleep(600)
"""


def test_a_worker_that_is_killed_leaves_no_process(model_folder: Path) -> None:
    from sglang_lab import below, gone

    paths = [path for path in sys.path if "tests" in path]
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(paths=paths, model=str(model_folder))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "loaded\n"
        everything = below(worker.pid)
        assert len(everything) > 2, "the host, SGLang's scheduler, and what makes text"
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        assert gone(everything), [process.cmdline() for process in everything if process.is_running()]
    finally:
        worker.kill()
        worker.wait()


def test_a_host_that_is_killed_while_it_loads_is_an_error_and_leaves_no_process(model_folder: Path) -> None:
    from sglang_lab import ON_CPU, below, gone

    from llem_sglang.hosted import Hosted

    hosted = Hosted("small", {**os.environ, "SGLANG_USE_CPU_ENGINE": "1"}, None)
    host = psutil.Process(hosted._process.pid)
    found: list[psutil.Process] = []

    def kill_once_it_has_children() -> None:
        while len(found) < 2:
            time.sleep(0.05)
            found[:] = below(host.pid)
        host.kill()

    killing = threading.Thread(target=kill_once_it_has_children)
    killing.start()
    try:
        with pytest.raises(ModelError, match="SGLang cannot load it"):
            hosted.load({**ON_CPU, "model_path": str(model_folder), "skip_tokenizer_init": True}, lambda _: None)
    finally:
        killing.join()
        hosted.close()
    assert gone([host, *found])


def test_an_option_that_sglang_refuses_is_one_paragraph(model_folder: Path) -> None:
    from sglang_lab import start

    with pytest.raises(ModelError) as caught:
        start(str(model_folder), {"page_size": -3, "tp_size": 3})
    assert "SGLang cannot load it" in caught.value.what
    assert "\n" not in caught.value.what


def test_weights_that_are_not_there_are_told_in_sglangs_words(tmp_path: Path, model_folder: Path) -> None:
    """It is a child of SGLang that fails, which makes SGLang kill the process that holds it."""
    from sglang_lab import below, start

    config: dict[str, Any] = json.loads((model_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((model_folder / name).read_bytes())
    before = {process.pid for process in below()}
    with pytest.raises(ModelError) as caught:
        start(str(tmp_path), {})
    assert "weights" in caught.value.what
    assert "\n" not in caught.value.what
    assert {process.pid for process in below()} <= before
