"""Facts that a loaded engine tells of the model and of itself: plain data, which may come from another process."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import Any, TypedDict


class Facts(TypedDict):
    """All that an engine tells once it has loaded a model.

    Attributes:
        vocab_size: of the model.
        end_ids: tokens that end an answer.
        dtype: of the weights.
        architecture: what FLOPs are computed from, or None.
        effective: settings as the engine decided them.
        versions: of the packages that it runs on.
    """

    vocab_size: int
    end_ids: list[int]
    dtype: str
    architecture: dict[str, Any] | None
    effective: dict[str, Any]
    versions: dict[str, str]


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those packages that are installed, and of the CUDA that torch was built for. Called where the engine is imported."""
    import torch

    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if torch.version.cuda is not None:
        found["cuda"] = torch.version.cuda
    return found


def card_id(device: Any) -> str:
    """Stable id of a CUDA device of this process: `GPU-…`, or that of a part of one."""
    import torch

    found = str(torch.cuda.get_device_properties(device).uuid)
    return found if found.startswith(("GPU-", "MIG-")) else f"GPU-{found}"
