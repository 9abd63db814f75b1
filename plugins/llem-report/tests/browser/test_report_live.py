"""A study runs, `llem report --serve` shows it, and a real Chromium sees it grow until it is done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

STUDY = {
    "name": "live",
    "model": "random:tiny-llama",
    "backend": "testbed",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 6, "output_tokens": 50},
    "measurement": {"min_window_s": 0, "settle_s": 0, "samplers": ["testmeter"]},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
    "testbed": {"token_s": 0.01},
    "sweep": {"testbed.batch_size": [1, 2, 3, 4], "dataset.output_tokens": [50, 100]},
}
METER = Path(__file__).parents[4] / "tests" / "testmeter"


@pytest.fixture
def study_dir(tmp_path: Path) -> Iterator[Path]:
    """The folder of a study that is running."""
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY))
    path = os.pathsep.join([str(METER), os.environ["PYTHONPATH"]])
    command = [sys.executable, "-m", "llem", "run", "study.yaml", "--no-gaps", "--output", "results"]
    log = (tmp_path / "log").open("w")
    with (
        log,
        subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log) as llem,
    ):
        while not (found := list(tmp_path.glob("results/*/manifest.json"))):
            assert llem.poll() is None, (tmp_path / "log").read_text()
            llem_waits(llem)
        yield found[0].parent
        assert llem.wait(240) == 0, (tmp_path / "log").read_text()


def llem_waits(process: subprocess.Popen[bytes]) -> None:
    """A moment, or less where it ends."""
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return


def test_a_live_page_follows_the_study_to_its_end(study_dir, open_page):
    command = [sys.executable, "-m", "llem", "report", str(study_dir), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as served:
        assert served.stdout is not None
        line = served.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert address, line + served.stdout.read()
        page = open_page(address[0])
        first = page.locator("#state").inner_text()
        assert first.startswith("Running"), first
        expect(page.locator("#state")).to_contain_text("Complete", timeout=240_000)
        expect(page.locator("#scroller tbody tr[data-place]")).to_have_count(8)
        assert "8 done" in page.locator("#state").inner_text()
        assert page.locator("#findings li").count() >= 1
        page.wait_for_selector("#figure-pareto .chart svg")
        served.send_signal(signal.SIGINT)
        assert served.wait(60) == 0
