"""Tensor parallelism: one process for each device, which all run the same batches.

The worker is rank 0. It starts the other ranks (`python -m llem_pytorch.rank`), hands them the experiment, and sends each
batch before it runs it itself; transformers' collectives keep them in step. Orders travel over a gloo group of their own,
where waiting sleeps: a rank that has nothing to do burns no power.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from llem.plugin_api import LoadContext, ModelError

_FOREVER = timedelta(days=30)
"""Between two batches any time may pass; limits of time are the study's business."""
_START = timedelta(minutes=10)
"""For all ranks to find each other, before any of them loads."""


class Ranks:
    """Rank 0's view of the others."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._children: list[subprocess.Popen[bytes]] = []
        self._group: Any = None

    def start(self, context: LoadContext, device: str) -> None:
        """Start the other ranks and join them. Raises ModelError where that fails."""
        port = _free_port()
        for rank in range(1, self._size):
            child = subprocess.Popen(
                [sys.executable, "-m", "llem_pytorch.rank"],
                stdin=subprocess.PIPE,
                env={**os.environ, **_place(rank, self._size, port)},
            )
            self._children.append(child)
            assert child.stdin is not None
            with child.stdin as pipe:
                pickle.dump((context.config, context.base_dir, device), pipe)
        os.environ.update(_place(0, self._size, port))
        try:
            self._group = join(device)
        except (dist.DistError, RuntimeError, OSError) as error:
            raise ModelError(
                f"the {self._size} processes of tensor parallelism did not find each other: {error}.",
                where="pytorch.tensor_parallel",
                remedy="The worker's log says which of them failed, and why.",
            ) from error

    def order(self, what: str, argument: Any = None) -> None:
        """Tell every other rank what comes next: `run` a batch, `memory`, `synchronize` or `close`."""
        dist.broadcast_object_list([what, argument], src=0, group=self._group)

    def gather(self, own: Any) -> list[Any]:
        """One value of each rank, in their order; every rank must be asked for the same."""
        return gather(own, self._group)

    def close(self) -> None:
        """End the other ranks; those that do not end by themselves are killed."""
        if self._group is not None:
            with suppress(RuntimeError):  # a rank that died has closed its end
                self.order("close")
        for child in self._children:
            try:
                child.wait(timeout=20 if self._group is not None else 0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if dist.is_initialized():
            dist.destroy_process_group()
        self._children.clear()
        self._group = None


def join(device: str) -> Any:
    """Join the group that the environment names; returns the group for orders."""
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_START)
    return dist.new_group(backend="gloo", timeout=_FOREVER)


def follow(group: Any, actions: dict[str, Callable[[Any], None]]) -> None:
    """A rank's life after loading: do what rank 0 orders, until `close`."""
    while True:
        received: list[Any] = [None, None]
        dist.broadcast_object_list(received, src=0, group=group)
        what, argument = received
        if what == "close":
            return
        actions[what](argument)


def gather(own: Any, group: Any) -> list[Any]:
    """One value of each rank of the group, in their order."""
    values: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(values, own, group=group)
    return values


def _place(rank: int, size: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
