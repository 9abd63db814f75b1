"""A rank of a tensor-parallel group other than the first: `python -m llem_pytorch.rank`, started by rank 0."""

from __future__ import annotations

import ctypes
import pickle
import signal
import sys
from typing import Any

from llem_pytorch.config import PyTorchConfig
from llem_pytorch.devices import devices_of, read_memory, stable_id, synchronize
from llem_pytorch.generation import Generator
from llem_pytorch.loading import load_model
from llem_pytorch.parallel import follow, gather, join
from llem_pytorch.settings import apply_settings

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Load this rank's part of the model, then follow rank 0."""
    if sys.platform == "linux":  # nothing is left behind, however rank 0 dies
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    config, base_dir, device = pickle.load(sys.stdin.buffer)
    options = config.options
    assert isinstance(options, PyTorchConfig)
    apply_settings(options)
    group = join(device)
    loaded = load_model(config.model, options, base_dir, device)
    generator, devices = Generator(loaded.model), devices_of(loaded.model)
    gather([stable_id(d) for d in devices], group)

    def memory(reset_peak: Any) -> None:
        gather(read_memory(devices, reset_peak=bool(reset_peak)), group)

    def wait(_: Any) -> None:
        synchronize(devices)
        gather(None, group)

    def run(batch: Any) -> None:
        generator.run(batch)

    follow(group, {"run": run, "memory": memory, "synchronize": wait})


if __name__ == "__main__":
    main()
