"""Processes that hold a device: a server that does the experiment's work is none of the strangers once it is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llem.measure.power_now import PowerNow
from llem.measure.sampling import Recorder
from llem.specs.sampler import Device, Reading

pytestmark = pytest.mark.process


class Card:
    """A sampler of one card that tells who holds it."""

    holders: ClassVar[set[int]] = set()

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return [Device(id="GPU-1", name="a card", scope="gpu", methods=frozenset({"power"}))]

    def read(self) -> Sequence[Reading]:
        return []

    def processes(self) -> Mapping[str, Collection[int]]:
        return {"GPU-1": self.holders}

    def environment(self) -> Mapping[str, object]:
        return {}

    def close(self) -> None: ...


def test_a_server_that_is_named_is_no_stranger_on_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llem.measure.sampling.WATCH_NS", 0)
    stream = os.open(tmp_path / "readings", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    worker = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    recorder = Recorder(stream, PowerNow(stream))
    try:
        Card.holders = {server.pid, worker.pid}
        order: dict[str, Any] = {"worker": worker.pid, "samplers": [["card", f"{__name__}:Card"]], "settings": {}}
        assert recorder.open({**order, "hz": 1, "start_ns": 0}) == {}
        recorder.read_all(0)
        recorder.own([server.pid])
        for slot in range(1, 500):
            recorder.read_all(slot)  # it looks again after ten times as long as looking took
            if strangers(tmp_path)[1:]:
                break
            time.sleep(0.01)
    finally:
        recorder.close()
        os.close(stream)
        for process in (server, worker):
            process.communicate()
    assert strangers(tmp_path) == [[[str(server.pid)]], []]


def strangers(folder: Path) -> list[list[list[str]]]:
    """Strangers on each device that has some, whenever that had changed."""
    lines = [json.loads(line) for line in (folder / "readings").read_text().splitlines()]
    return [[list(found) for _, found in line["foreign"]] for line in lines if "foreign" in line]
