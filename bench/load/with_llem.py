"""Puts a load to the server by `llem run`, as a user would: the whole of it, with meters and all.

The server is asked by the backend `openai`, or by packets: then it is an engine in another process, and the way to it is as
short as can be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.load.judging import Told, percentiles
from bench.load.load import Load
from bench.load.process import ToolFailedError
from bench.load.seen import ROOT, Account

INSTALLED = """Metadata-Version: 2.1
Name: llem-remote
Version: 1.0
"""


def run(load: Load, account: Account, folder: Path, *, packets: bool = False) -> Told:
    """One run, and what the result says.

    Args:
        load: to be put.
        account: of the server.
        folder: an empty one, for the study and its results.
        packets: by packets, and not by the backend `openai`.
    """
    study = folder / "study.yaml"
    study.write_text(json.dumps(_study(load, account, folder, packets=packets)))
    command = [sys.executable, "-m", "llem", "run", str(study), "--no-gaps", "--output", str(folder / "results")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": _path(folder)}, capture_output=True, text=True, check=False
    )
    found = list((folder / "results").glob("*/experiments/*"))
    result = json.loads((found[0] / "result.json").read_text()) if found else {}
    if result.get("status") != "done":
        raise ToolFailedError(f"llem run: {done.stderr[-2000:]}\n{result.get('failure')}")
    return _told(result, found[0] / "requests.parquet", packets=packets)


def _study(load: Load, account: Account, folder: Path, *, packets: bool) -> Mapping[str, Any]:
    prompts = folder / "prompts.jsonl"
    load.write_prompts(prompts)
    common = {
        "name": "load",
        "measurement": {"scenario": "server", "settle_s": 0},
        "baseline": {"enabled": False},
        "warmup": {"enabled": False},
        "load": {
            "arrival": load.arrival,
            "rate_rps": load.rate_rps,
            "ramp_s": load.ramp_s,
            "steady_s": 0,
            "duration_s": load.duration_s,
            "drain_s": 5,
            "seed": load.seed,
        },
    }
    if packets:
        return {
            **common,
            "model": "random:tiny-llama",
            "backend": "remote",
            "remote": {"path": str(account.packets)},
            "dataset": {"name": "synthetic", "n": 100, "input_tokens": 8, "output_tokens": load.tokens},
        }
    return {
        **common,
        "model": "mock",
        "backend": "openai",
        "openai": {"base_url": account.address},
        "dataset": {"name": "jsonl", "path": str(prompts), "n": load.prompts, "output_tokens": load.tokens},
        "decoding": {"length": "fixed"},
    }


def _path(folder: Path) -> str:
    """A PYTHONPATH by which a process of llem finds the backend `remote`, as if it were installed."""
    info = folder / "plugin" / "llem_remote-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(INSTALLED)
    (info / "entry_points.txt").write_text("[llem]\nremote = bench.load.remote_engine\n")
    return os.pathsep.join(part for part in (str(ROOT), str(info.parent), os.environ.get("PYTHONPATH", "")) if part)


def _told(result: Mapping[str, Any], table: Path, *, packets: bool) -> Told:
    import pyarrow.parquet as pq

    (window,) = (phase for phase in result["phases"] if phase["name"] == "window")
    rows = [row for row in pq.read_table(table).to_pylist() if row["inside"]]
    answered = [row for row in rows if row["finish"] == "length"]
    # llem leaves out what it could not see, such as gaps where tokens came in groups.
    told = {name: [row[f"{name}_s"] for row in answered if row[f"{name}_s"] is not None] for name in ("ttft", "tpot")}
    told["itl"] = [gap for row in answered for gap in row["itl_s"] or ()]
    mark = "batch" if packets else "id"
    due_ns = {
        str(row[mark] - packets) if packets else f"r{row[mark]}": window["start_ns"] + round(row["arrival_s"] * 1e9)
        for row in rows
    }
    return Told(
        latency_s={name: percentiles(values) for name, values in told.items() if values},
        requests=len(rows),
        failed=len(rows) - len(answered),
        due_ns=due_ns,
        marks=frozenset(due_ns),
    )
