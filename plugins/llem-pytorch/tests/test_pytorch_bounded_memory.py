"""Memory is bounded by the size of a batch, and not by the number of prompts: nothing of a batch is kept, and no batch makes more than
it needs."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from pytorch_lab import Session
from torch.utils._python_dispatch import TorchDispatchMode

from llem.specs.backend import Request

pytestmark = pytest.mark.engine

SIZE, PROMPT, ANSWER = 4, 48, 3


class Largest(TorchDispatchMode):
    """Watches what torch computes, and keeps the bytes of its largest tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, and look at what came out."""
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else (result,):
            if isinstance(one, torch.Tensor):
                self.nbytes = max(self.nbytes, one.nbytes)
        return result


def kept() -> int:
    """Bytes of all tensors that are alive, each storage once."""
    gc.unfreeze()  # what was frozen is neither collected nor listed
    gc.collect()
    storages: dict[int, int] = {}
    for one in gc.get_objects():
        if issubclass(type(one), torch.Tensor):
            # Stand-ins that another test's tracing has left behind have no memory, and no address of it.
            with suppress(RuntimeError):
                storages[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
    return sum(storages.values())


def ask(session: Session, prompts: int) -> tuple[int, int]:
    """Bytes of the largest tensor, and of those that were alive when the last answer was there."""
    requests = [
        Request(id=i, prompt_token_ids=[(i + place) % 50 + 5 for place in range(PROMPT)], output_tokens=ANSWER)
        for i in range(prompts)
    ]
    batches = session.engine.batches(requests)
    assert max(map(len, batches)) == SIZE
    with Largest() as seen:
        records = [session.engine.generate(batch) for batch in batches]
    assert sum(map(len, records)) == prompts
    return seen.nbytes, kept()


def test_what_is_kept_is_counted() -> None:
    before = kept()
    held = torch.empty(1000, dtype=torch.float32)
    assert kept() == before + held.nbytes


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_ten_times_the_prompts_take_the_same_memory(load: Callable[..., Session], dtype: str) -> None:
    session = load(pytorch={"dtype": dtype, "batch_size": SIZE})
    ask(session, SIZE)
    few, many = ask(session, 2 * SIZE), ask(session, 20 * SIZE)
    assert many == few


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_logits_are_made_of_a_whole_prompt(load: Callable[..., Session], dtype: str) -> None:
    session = load(pytorch={"dtype": dtype, "batch_size": SIZE})
    largest, _ = ask(session, SIZE)
    assert largest < SIZE * PROMPT * (session.report.vocab_size or 0) * (2 if dtype == "bfloat16" else 4)
