"""An environment with optimum-benchmark at a fixed version, on this environment's torch and transformers: made once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.tools import interpreter

PINS = (
    "optimum-benchmark==0.6.0",
    "omegaconf==2.4.0",
    "hydra-core==1.3.8",
    "antlr4-python3-runtime==4.9.3",
    "colorlog==6.12.0",
    "flatten-dict==0.5.0",
)
"""It and what it needs beyond what is here. Its launcher is what is compared; its own engines do not fit transformers 5."""


def python() -> Path:
    """Its interpreter, on this environment's packages."""
    return interpreter("launchers", PINS, beside=[entry for entry in sys.path if Path(entry).name == "site-packages"])


def launches(times: int, modules: Sequence[str]) -> list[float]:
    """Seconds of each process that its launcher starts, with these modules imported in it."""
    import json

    command = [str(python()), str(Path(__file__).with_name("launched.py")), str(times), *modules]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LOG_TO_FILE": "0", "LOG_LEVEL": "ERROR"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"optimum-benchmark's launcher failed: {done.stderr}")
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found
