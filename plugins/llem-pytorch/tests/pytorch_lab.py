"""Tiny models, their references, and engines as the backend's tests use them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from pytorch_prompts import SENTENCES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from llem.specs.backend import LoadReport, Request, RequestRecord, TokenEvent
from llem_hub.shapes import load_shape
from llem_pytorch.engine import PyTorchEngine

SERVED = {"measurement": {"scenario": "server"}, "load": {"rate_rps": 1}}
"""Sections of an experiment whose requests do not wait for one another."""

torch.set_num_threads(1)  # several threads on a tiny model only wait for each other
gc.freeze()  # every engine that closes collects garbage; what was imported is none


@dataclass
class Session:
    """A loaded engine with what it said of itself."""

    engine: PyTorchEngine
    report: LoadReport

    def answer(self, requests: Sequence[Request]) -> dict[int, RequestRecord]:
        """Every request's record by its id, through the engine's own batches."""
        batches = self.engine.batches(requests)
        return {record.id: record for batch in batches for record in self.engine.generate(batch)}

    def ids(self, prompt: str, output_tokens: int = 8, **request: Any) -> tuple[int, ...]:
        """The tokens of one answer."""
        found = self.answer([Request(id=0, prompt=prompt, output_tokens=output_tokens, **request)])[0].output_token_ids
        assert found is not None
        return tuple(found)


async def events(session: Session, request: Request) -> list[TokenEvent]:
    """Every event of one streamed answer."""
    return [event async for event in session.engine.stream(request)]


async def record(session: Session, request: Request) -> RequestRecord:
    """The record of one streamed answer, as soon as it is whole."""
    found = (await events(session, request))[-1].record
    assert found is not None
    return found


def at_once(session: Session, requests: Sequence[Request]) -> list[RequestRecord]:
    """Records of answers that were all asked for at once, in the order of the requests."""

    async def ask() -> list[RequestRecord]:
        return await asyncio.gather(*(record(session, request) for request in requests))

    return asyncio.run(ask())


def tiny_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 400 entries that puts `<s>` in front, with a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    template = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}me:{% endif %}"
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=template,
    )


def tiny_model(seed: int = 7, shape: str = "tiny-llama") -> Any:
    """A model of transformers with weights wide enough that its answers differ from prompt to prompt."""
    content = {**load_shape(shape).config, "initializer_range": 0.15, "eos_token_id": 1, "bos_token_id": 0}
    config = transformers.CONFIG_MAPPING[content["model_type"]].from_dict(content)
    torch.manual_seed(seed)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def plain_answer(model: Any, ids: Sequence[int], length: int, end_ids: Sequence[int] = ()) -> list[int]:
    """The answer of a bare greedy `generate` to one prompt, the reference of every batch."""
    settings = transformers.GenerationConfig(
        max_new_tokens=length, do_sample=False, eos_token_id=list(end_ids) or None, pad_token_id=2
    )
    # What is None above would be taken from the model's own settings, the stop token among them.
    model.generation_config = transformers.GenerationConfig()
    one = torch.tensor([list(ids)])
    with torch.inference_mode():
        out = model.generate(one, attention_mask=torch.ones_like(one), generation_config=settings)
    found: list[int] = out[0, len(ids) :].tolist()
    return found
