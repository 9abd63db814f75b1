"""The environment with the two other tools, at fixed versions: made once, in the user's cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PINS = ("zeus==0.16.0", "codecarbon==3.3.2", "nvidia-ml-py==13.615.71")


def python() -> Path:
    """Its interpreter. Installs what is missing, which needs a package index the first time."""
    key = hashlib.sha256(" ".join([*PINS, sys.version]).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "llem-bench" / f"meters-{key}"
    interpreter = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        print(f"installing {', '.join(PINS)} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *PINS], check=True)
        ready.touch()
    return interpreter
