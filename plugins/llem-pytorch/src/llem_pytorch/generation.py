"""Runs batches through transformers' `generate`, and tells what came out of each row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

from llem_pytorch.devices import current_device
from llem_pytorch.streamer import StepClock


@dataclass(frozen=True)
class Batch:
    """One call of `generate`, as plain data: the same for every process of a tensor-parallel group.

    Attributes:
        prompts: token ids of each row, without padding.
        limits: the most new tokens of each row.
        arguments: of transformers' `GenerationConfig` (see `llem_pytorch.arguments.generation_arguments`).
        seed: of sampling; each batch has its own, so that its answers do not depend on what ran before.
    """

    prompts: Sequence[Sequence[int]]
    limits: Sequence[int]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


class RowLimits(StoppingCriteria):
    """Ends each row at its own length, so that a batch ends when the last row that needs a token has it."""

    def __init__(self, limits: Sequence[int], prompt_length: int, device: torch.device) -> None:
        self._ends = torch.tensor(limits, device=device) + prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return self._ends <= input_ids.shape[1]


class Generator:
    """A model with its assistant.

    Args:
        model: transformers' model on its devices.
        assistant: a draft model, or None.
    """

    def __init__(self, model: Any, assistant: Any = None) -> None:
        self.model = model
        self._assistant = assistant
        self._device = torch.device(model.device)

    def run(self, batch: Batch, clock: StepClock | None = None) -> list[list[int]]:
        """Generate; returns the new tokens of each row, whatever `generate` put after a row's end included.

        Rows are padded on the left, with a mask; positions count from each row's first real token.
        """
        longest = max(len(prompt) for prompt in batch.prompts)
        pad = batch.arguments["pad_token_id"]
        padded = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in batch.prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in batch.prompts]
        config = generation_config(batch.arguments, everywhere=self._device.type != "cuda")
        keywords: dict[str, Any] = {}
        if config.eos_token_id is not None and len(set(batch.limits)) > 1:
            keywords["stopping_criteria"] = StoppingCriteriaList([RowLimits(batch.limits, longest, self._device)])
        if self._assistant is not None:
            keywords["assistant_model"] = self._assistant
        if config.do_sample:
            torch.manual_seed(batch.seed)
        with torch.inference_mode(), current_device(self._device):
            output = self.model.generate(
                torch.tensor(padded, device=self._device),
                attention_mask=torch.tensor(mask, device=self._device),
                generation_config=config,
                streamer=clock,
                **keywords,
            )
            rows: list[list[int]] = output[:, longest:].tolist()
        return rows


def generation_config(arguments: Mapping[str, Any], *, everywhere: bool) -> transformers.GenerationConfig:
    """Build transformers' `GenerationConfig`.

    Args:
        everywhere: compile on devices other than GPUs too; transformers does so only when told.
    """
    keywords = dict(arguments)
    if (compiled := keywords.get("compile_config")) is not None:
        keywords["compile_config"] = transformers.CompileConfig(**compiled)
        keywords["compile_config"]._compile_all_devices = everywhere or None
    return transformers.GenerationConfig(**keywords)  # type: ignore[no-untyped-call]


def answer(tokens: Sequence[int], limit: int, end_ids: Collection[int]) -> tuple[list[int], bool]:
    """Cut one row to its answer: up to and including the stop token, at most `limit` tokens.

    Returns:
        the answer's tokens, and whether a stop token ended it.
    """
    for i, token in enumerate(tokens[:limit]):
        if token in end_ids:
            return list(tokens[: i + 1]), True
    return list(tokens[:limit]), False
