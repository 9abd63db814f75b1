"""Whole studies of the scenario `server` by `llem run` on the simulated server: behind a socket, and as an engine in the worker."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from bench.simulated_server import MODEL

ROOT = Path(__file__).parents[2]
LOADBED = ROOT / "plugins" / "llem-serving" / "tests" / "loadbed"
Where = Literal["sockets", "in_process"]

PROMPTS = 4_000
"""More than arrive in any run, so that a prompt tells which arrival it is."""

TOKENS = 8
"""Output tokens of every answer."""

OPTIONS: Mapping[str, float] = {
    "base_s": 0.005,
    "request_s": 0.00025,
    "max_batch": 16,
    "idle_w": 100.0,
    "request_w": 10.0,
}
"""Of the server: a full batch takes 9 ms a token, which answers 222 requests/s."""

SLO: Mapping[str, float] = {"ttft_s": 0.02, "e2e_s": 0.07}
"""Limits that all keep where the server is idle, and most miss where it is busy."""


@dataclass(frozen=True)
class Ran:
    """One experiment.

    Attributes:
        result: its `result.json`.
        requests: the rows of its `requests.parquet`.
        journal: what the server wrote down meanwhile.
    """

    result: Mapping[str, Any]
    requests: Sequence[Mapping[str, Any]]
    journal: Sequence[Sequence[Any]]

    @property
    def window_ns(self) -> tuple[int, int]:
        """Edges of the window (monotonic ns)."""
        (found,) = [phase for phase in self.result["phases"] if phase["name"] == "window"]
        return found["start_ns"], found["end_ns"]

    @property
    def rate_rps(self) -> float:
        """Requests per second that were asked for."""
        rate: float = self.result["config"]["load"]["rate_rps"]
        return rate

    @property
    def others_share(self) -> float:
        """Share of the machine's processor time in the window that others used; nan where it is not known."""
        share = (self.result["other_load"] or {}).get("window_share")
        return math.nan if share is None else float(share)


def run(
    where: Where,
    rates: Sequence[float],
    folder: Path,
    load: Mapping[str, float],
    options: Mapping[str, float] | None = None,
) -> Iterator[Ran]:
    """Run a study with one experiment for each rate.

    Args:
        where: the server's place.
        rates: requests per second.
        folder: for study, results and journals; made here.
        load: keys of the section besides the rate.
        options: of the server, besides `OPTIONS`.

    Raises:
        RuntimeError: an experiment failed.
    """
    folder.mkdir(parents=True)
    (folder / "journals").mkdir()
    prompts = [json.dumps({"prompt": f"request {number} of a simulated load"}) for number in range(PROMPTS)]
    (folder / "prompts.jsonl").write_text("\n".join(prompts) + "\n")
    (folder / "study.yaml").write_text(json.dumps(_study(where, rates, load, {**OPTIONS, **(options or {})})))
    path = os.pathsep.join([str(ROOT), str(LOADBED), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "llem", "run", str(folder / "study.yaml"), "--no-gaps", "--skip-preflight", "load"]
    done = subprocess.run(
        [*command, "--output", str(folder / "out")],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "LOADBED_POWER": str(folder / "power"),
            "LOADBED_JOURNAL": str(folder / "journals"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"llem run ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    yield from read(folder)


def read(folder: Path) -> Iterator[Ran]:
    """The experiments of a study that `run` has put there. Raises RuntimeError where one failed."""
    found = sorted((folder / "out").glob("*/experiments/*/result.json"))
    lines = [line for file in (folder / "journals").iterdir() for line in file.read_bytes().splitlines()]
    journal = [json.loads(line) for line in lines]
    for file in found:
        result = json.loads(file.read_text())
        if result["status"] != "done":
            raise RuntimeError(f"an experiment failed: {result['failure']}")
        start_ns, end_ns = result["phases"][0]["start_ns"], result["phases"][-1]["end_ns"]
        meanwhile = [entry for entry in journal if start_ns <= _instant(entry) <= end_ns]
        yield Ran(result, pq.read_table(file.with_name("requests.parquet")).to_pylist(), meanwhile)


def _study(
    where: Where, rates: Sequence[float], load: Mapping[str, float], options: Mapping[str, float]
) -> Mapping[str, Any]:
    server = [sys.executable, "-m", "bench.simulated_server", "--port", "{port}", "--options", json.dumps(options)]
    backend: Mapping[str, Any] = (
        {"backend": "openai", "openai": {"serve": server, "served_name": MODEL}}
        if where == "sockets"
        else {"backend": "loadbed", "loadbed": dict(options)}
    )
    return {
        "name": where.replace("_", "-"),
        "model": "random:tiny-llama",
        "dataset": {"name": "jsonl", "path": "prompts.jsonl", "n": PROMPTS, "output_tokens": TOKENS},
        "measurement": {"scenario": "server", "settle_s": 0, "samplers": ["loadbed"]},
        "baseline": {"enabled": False},
        "warmup": {"enabled": False},
        "load": {"steady_s": 0, **load},
        "slo": dict(SLO),
        "execution": {"run_all": True},
        "sweep": {"load.rate_rps": list(rates)},
        **backend,
    }


def _instant(entry: Sequence[Any]) -> int:
    """The first instant in an entry of a journal: those of requests begin with an id."""
    instant: int = entry[1] if entry[0] in ("power", "stalled") else entry[2]
    return instant
