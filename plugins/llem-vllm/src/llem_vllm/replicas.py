"""Questions to the workers of every data-parallel replica: vLLM asks them all, and gives back the answers of its first replica alone.

So each worker leaves its answer in a folder, which is read once vLLM says that all have answered.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Workers:
    """The workers of all replicas.

    Args:
        ask: calls a method of every worker, and returns the answers of the first replica's.
        replicas: how many there are.

    Attributes:
        unheard: workers whose answers did not come at the last question, as those on another machine.
    """

    def __init__(self, ask: Callable[..., list[Any]], replicas: int) -> None:
        self._ask, self._replicas = ask, replicas
        self.unheard = 0

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every worker. Its answers are what JSON can hold."""
        if self._replicas < 2:
            return self._ask(method, *arguments)
        with tempfile.TemporaryDirectory(prefix="llem-vllm-") as folder:
            first = self._ask("llem_leave", folder, method, list(arguments))
            found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).iterdir())]
        self.unheard = max(0, self._replicas * len(first) - len(found))
        return found or first
