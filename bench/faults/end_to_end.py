"""The same faults end to end: `llem run` with a sampler from outside that lies once the window is open, or an engine that lies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.faults.kinds import FAILED, Told

ROOT = Path(__file__).parents[2]
WATTS = 300.0
PLUGINS = [ROOT / "tests" / "testbed", ROOT / "tests" / "faultmeter"]
SETTINGS = {
    "dataset.name": "synthetic",
    "dataset.input_tokens": "8",
    "dataset.n": "4",
    "dataset.output_tokens": "10",
    "measurement.min_window_s": "3",
    "measurement.settle_s": "0",
    "measurement.samplers": '["faultmeter"]',
    "warmup.enabled": "false",
    "baseline.enabled": "false",
}

RUNS: dict[str, tuple[str, str, str]] = {
    "a counter that freezes half-way": ("frozen", "counter_froze", "stood still"),
    "all tokens at one instant": ("times=one_instant", "token_times_unseen", "one instant"),
    "a counter that reads 0": ("stuck", "counter_stuck", "stood still"),
    "a counter that jumps by 6.5 MJ": ("jump", "counter_jumped", "rose by"),
    "a counter that is reset to 0 mid-window": ("reset", "counter_backwards", "went back"),
    "negative power": ("negative", "power_implausible", "negative"),
    "no power at all at work": ("no_power", "power_implausible", "exactly 0 W"),
    "power in milliwatts": ("milliwatts", "power_implausible", "above 700 W"),
    "NaN instead of numbers": ("nan", "energy_unmeasured", "nan"),
    "times from the wall clock": ("wall_clock", "energy_unmeasured", "ahead of the clock"),
    "a sampler that raises from the window on": ("silent", "energy_unmeasured", "the driver is gone"),
    "one device under two names": ("two_names", "same_meter", "under two names"),
    "a record that ends when it starts": ("times=no_duration", "request_times_contradict", "look at the clock"),
    "more tokens than asked": ("times=one_more", FAILED, "at most 10"),
}
"""A kind of the table: how the plugin is told to lie, and what the result has to say; those of `--quick` first."""

HONEST = "none"


def told(lie: str) -> Told:
    """The `result.json` of an experiment with this lie."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        paths = [*map(str, PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "XDG_CACHE_HOME": f"{folder}/cache",
            "LLEM_LOCK_DIR": f"{folder}/lock",
            "FAULTMETER": "none" if "=" in lie else lie,
        }
        Path(f"{folder}/lock").mkdir()
        command = [
            sys.executable,
            "-m",
            "llem",
            "run",
            "--model",
            "random:tiny-llama",
            "--backend",
            "testbed",
            "--no-gaps",
        ]
        command += ["--output", str(output)]
        for key, value in (
            SETTINGS | ({f"testbed.{lie.split('=')[0]}": lie.split("=")[1]} if "=" in lie else {})
        ).items():
            command += ["--set", f"{key}={value}"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)
        results = list(output.glob("*/experiments/*/result.json"))
        if len(results) != 1:
            raise RuntimeError(f"llem run left no result: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        result = json.loads(results[0].read_text())
    said = [(w["code"], w["message"]) for w in result["warnings"]]
    if result["failure"] is not None:
        said.append((FAILED, result["failure"]["message"]))
    energy = result["energy"] or {}
    headline = energy.get("headline")
    return Told(
        said=said,
        figure_j=headline["energy_j"] if headline else None,
        truth_j=WATTS * energy["window_s"] if headline else None,
        is_unreliable=bool(headline and headline["unreliable"]),
    )
