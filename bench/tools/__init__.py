"""Other tools, each in an environment of its own at fixed versions: made once, in the user's cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def interpreter(name: str, pins: Sequence[str], *, beside: Sequence[str] = ()) -> Path:
    """The Python of such an environment. Installs what is missing, which needs a package index the first time.

    Args:
        name: what the tools are for; names the folder.
        pins: `package==version` of each.
        beside: folders whose packages it sees as well; then the pins are installed without what they depend on.
    """
    key = hashlib.sha256(" ".join([*pins, *beside, sys.version]).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "llem-bench" / f"{name}-{key}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        print(f"installing {', '.join(pins)} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        alone = ["--no-deps"] if beside else []
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *alone, *pins], check=True)
        (own,) = folder.glob("lib/python*/site-packages")
        (own / "beside.pth").write_text("".join(f"{entry}\n" for entry in beside))
        ready.touch()
    return python
