"""The fixed loop that the gate of this repository divides by: `transformers.generate` as anybody writes it.

It shares nothing with llem-pytorch, and is left as it is: what it takes changes with the machine and with the versions of torch and
transformers, as it does for llem-pytorch. A folder with this module and its dist-info on PYTHONPATH is an installed plugin.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from llem.plugin_api import (
    API_VERSION,
    BackendSpec,
    LoadContext,
    LoadReport,
    MemoryReading,
    Request,
    RequestRecord,
    Section,
    TokenEvent,
    hookimpl,
)
from llem_hub.sources import locate_model

BATCH = 8


class ReferenceConfig(Section):
    """No options: a reference does not vary."""


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `reference`."""
    return [
        BackendSpec(
            name="reference",
            api_version=API_VERSION,
            summary="a fixed loop over transformers, for the gate of this repository",
            config=ReferenceConfig,
            engine="llem_reference:ReferenceEngine",
            capabilities=frozenset({"cpu"}),
            requires=("torch", "transformers", "gguf"),
        )
    ]


class ReferenceEngine:
    """Greedy answers in float32, eight prompts at once, all of one length, by a model of a GGUF file's shape with drawn weights.

    The work of a token does not depend on the weights, and to draw them takes a tenth of the time that unpacking the file takes.
    """

    _tokenizer: Any = None
    _model: Any = None

    def load(self, context: LoadContext) -> LoadReport:
        """Read tokenizer and shape, and draw the weights."""
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        path = locate_model(context.config.model.source, context.base_dir).path
        assert path is not None, "the study names a GGUF file"
        self._tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, padding_side="left")
        self._tokenizer.pad_token = self._tokenizer.pad_token or self._tokenizer.eos_token
        shape = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        torch.manual_seed(0)
        self._model = AutoModelForCausalLM.from_config(shape, dtype=torch.float32).eval()
        return LoadReport(
            vocab_size=len(self._tokenizer),
            devices=["cpu"],
            dtype="float32",
            tokenizer=path.name,
            versions={name: importlib.metadata.version(name) for name in ("torch", "transformers")},
        )

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """Eight at a time."""
        return [requests[i : i + BATCH] for i in range(0, len(requests), BATCH)]

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """Answer a batch with as many tokens as are asked for."""
        import torch

        start_ns = time.monotonic_ns()
        first = batch[0]
        inputs = self._tokenizer(
            [request.prompt for request in batch],
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=first.max_input_tokens,
        )
        length = first.output_tokens
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=length, min_new_tokens=length, do_sample=False)
        end_ns = time.monotonic_ns()
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        answers = output[:, inputs["input_ids"].shape[1] :].tolist()
        return [
            RequestRecord(
                id=request.id,
                input_tokens=read,
                output_tokens=len(answer),
                start_ns=start_ns,
                end_ns=end_ns,
                finish="length",
                output_token_ids=answer,
            )
            for request, read, answer in zip(batch, prompts, answers, strict=True)
        ]

    def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """Refuse: it answers in batches alone."""
        raise NotImplementedError("the reference does not stream")

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """The text of these tokens."""
        text: str = self._tokenizer.decode(list(token_ids))
        return text

    def synchronize(self) -> None:
        """A CPU is done when the call returns."""

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """Torch tells nothing of a CPU's memory."""
        return MemoryReading(allocated_mb=None, peak_mb=None, source=None)

    def close(self) -> None:
        """Let go of the model."""
        self._model = self._tokenizer = None
