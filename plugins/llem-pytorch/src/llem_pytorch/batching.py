"""Batches of requests that run together: pure functions over lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llem_pytorch.config import PyTorchConfig


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of one request: its prompt without padding, and the longest answer it may get."""

    prompt: int
    output: int


def cache_tokens(batch: Sequence[Length]) -> int:
    """Tokens that the cache of one row must hold: longest prompt + longest answer."""
    return max(length.prompt for length in batch) + max(length.output for length in batch)


def make_batches(lengths: Sequence[Length], options: PyTorchConfig) -> list[list[int]]:
    """Group indices of `lengths` into batches: each index once.

    `static` keeps the order. `sorted` and `dynamic` take the longest prompts first (equal ones in order), so that the
    biggest batch, the one that memory must hold, comes first. A request that alone exceeds `max_batch_tokens` is a batch of one.
    """
    order = list(range(len(lengths)))
    if options.batching != "static":
        order.sort(key=lambda i: -lengths[i].prompt)
    if options.max_batch_tokens is None:
        size = options.batch_size
        return [order[i : i + size] for i in range(0, len(order), size)]
    batches: list[list[int]] = []
    longest = Length(0, 0)  # of the batch that is being filled
    for index in order:
        prompt = max(longest.prompt, lengths[index].prompt)
        output = max(longest.output, lengths[index].output)
        if batches and (len(batches[-1]) + 1) * (prompt + output) <= options.max_batch_tokens:
            batches[-1].append(index)
            longest = Length(prompt, output)
        else:
            batches.append([index])
            longest = lengths[index]
    return batches
