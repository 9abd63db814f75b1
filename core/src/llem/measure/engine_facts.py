"""Facts that an engine tells of itself, as far as it can be: a figure that is impossible is left out, and a caveat says so.

These are facts beside the work. What makes the work uncountable fails the experiment instead (`llem.measure.contract`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from llem.specs.backend import MemoryReading
from llem.specs.caveat import Caveat
from llem.specs.scenario import Answer

_NAMED = 3
"""Number of examples in a message."""


def believable_memory(reading: MemoryReading) -> tuple[MemoryReading, list[Caveat]]:
    """The allocator's figures; both null where one of them cannot be."""
    figures = {"allocated": reading.allocated_mb, "peak": reading.peak_mb}
    wrong = [f"{name} {value!r} MiB" for name, value in figures.items() if value is not None and not _positive(value)]
    held, peak = reading.allocated_mb, reading.peak_mb
    # Rounding apart, a peak holds what is allocated now.
    if not wrong and held is not None and peak is not None and peak < held * 0.999:
        wrong = [f"a peak of {peak:.6g} MiB with {held:.6g} MiB allocated"]
    if not wrong:
        return reading, []
    return MemoryReading(None, None, None), [
        Caveat(
            "memory_unseen",
            f"the engine's allocator told {' and '.join(wrong)}, with a model loaded: memory by the allocator is null. "
            "Zero is no reading; report it to whoever maintains the backend.",
        )
    ]


def believable_metrics(metrics: Mapping[str, float]) -> tuple[dict[str, float], list[Caveat]]:
    """Counts of the engine, without what is no finite number."""
    kept = {name: float(value) for name, value in metrics.items() if isinstance(name, str) and _finite(value)}
    dropped = [f"{name} = {value!r}" for name, value in metrics.items() if name not in kept]
    if not dropped:
        return kept, []
    return kept, [
        Caveat(
            "engine_metrics_dropped",
            f"{len(dropped)} of {len(metrics)} counts of the engine are no finite number and are left out: "
            f"{_some(dropped)}.",
        )
    ]


def input_caveats(answers: Sequence[Answer]) -> list[Caveat]:
    """A caveat where one prompt had other numbers of input tokens in another pass; it is the same prompt each time.

    A chat that went on with other answers of the model is another prompt.
    """
    counted: dict[tuple[int, Any], set[int]] = {}
    for answer in answers:
        chats = {one.id: tuple(one.messages) for one in answer.requests if one.messages is not None}
        for record in answer.records:
            counted.setdefault((record.id, chats.get(record.id)), set()).add(record.input_tokens)
    varying = sorted((number, sorted(counts)) for (number, _), counts in counted.items() if len(counts) > 1)
    if not varying:
        return []
    told = [f"prompt {number} with {' and '.join(map(str, counts))}" for number, counts in varying]
    return [
        Caveat(
            "input_tokens_vary",
            f"the engine counted {len(varying)} of {len(counted)} prompts differently from pass to pass ({_some(told)} input "
            "tokens): figures that count input tokens are doubtful. A server may leave cached tokens out of its count.",
        )
    ]


def _some(found: Sequence[str]) -> str:
    return ", ".join(found[:_NAMED]) + (" …" if len(found) > _NAMED else "")


def _finite(value: Any) -> bool:
    return type(value) is not bool and isinstance(value, Real) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _finite(value) and bool(value > 0)
