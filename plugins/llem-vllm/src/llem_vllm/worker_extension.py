"""Questions of llem to each of vLLM's workers. vLLM mixes this class into its worker (`worker_extension_cls`)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llem_engines.facts import card_id

MIB = 2**20


class WorkerExtension:
    """Methods of a worker; `self.device` is torch's device that it computes on, `self.vllm_config` its settings."""

    device: Any
    vllm_config: Any

    def llem_facts(self) -> dict[str, Any]:
        """Facts of the model and of vLLM's settings, for a server that cannot be looked into."""
        from llem_vllm.facts import facts_of

        return dict(facts_of(self.vllm_config))

    def llem_leave(self, folder: str, method: str, arguments: Sequence[Any]) -> Any:
        """Answer one of the other questions, and leave the answer in a folder too: see `llem_vllm.replicas`."""
        answer = getattr(self, method)(*arguments)
        Path(folder, f"{os.getpid()}.json").write_text(json.dumps(answer), encoding="utf-8")
        return answer

    def llem_device(self) -> str:
        """Stable id of the worker's device: `GPU-…`, or its kind."""
        return str(self.device.type) if self.device.type != "cuda" else card_id(self.device)

    def llem_synchronize(self) -> None:
        """Return when the device has done what was given to it. A CPU has no queue."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def llem_memory(self, reset_peak: bool) -> list[float] | None:
        """MiB that torch's allocator holds here, now and at its peak since the last reset; None where it keeps no account."""
        import torch

        if self.device.type != "cuda":
            return None
        now = torch.cuda.memory_allocated(self.device) / MIB
        peak = torch.cuda.max_memory_allocated(self.device) / MIB
        if reset_peak:
            torch.cuda.reset_peak_memory_stats(self.device)
        return [now, peak]
