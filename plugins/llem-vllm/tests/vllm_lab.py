"""A small model, what transformers answers with it, and engines as the backend's tests use them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from llem.config.compose import Composer
from llem.plugins import default_registry, load_object
from llem.specs.backend import Engine, LoadContext, LoadReport, Request, RequestRecord
from llem.specs.kinds import BACKENDS, SCENARIOS

SENTENCES = (
    "the quick brown fox jumps over the lazy dog",
    "a long time ago there was a small house at the edge of a dark wood",
    "numbers such as 17 and 42 are counted one after another",
    "what is the energy of one token, and who pays for it?",
)
PROMPTS = tuple(" ".join((SENTENCES[i % 4], "and then " * (i % 5), f"number {i}")) for i in range(12))
"""Prompts of quite different lengths."""
LENGTH = 24
"""Tokens of each answer."""


@dataclass
class Session:
    """A loaded engine with what it said of itself."""

    engine: Engine
    report: LoadReport

    def answer(self, requests: Sequence[Request]) -> dict[int, RequestRecord]:
        """Every request's record by its id, through the engine's own batches."""
        return {r.id: r for batch in self.engine.batches(requests) for r in self.engine.generate(batch)}


def start(source: str, vllm: Mapping[str, Any], **sections: Any) -> Session:
    """Load by the spec that is registered. In float32, without compilation, so that it starts quickly."""
    options = {"dtype": "float32", "enforce_eager": True} | dict(vllm)
    document = {"model": source, "backend": "vllm", "vllm": options, **sections}
    registry = default_registry()
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document)
    engine: Engine = load_object(registry.find(BACKENDS, "vllm").engine)()
    try:
        return Session(engine, engine.load(LoadContext(config=config, base_dir=".", progress=lambda _: None)))
    except BaseException:
        engine.close()
        raise


def write_model(folder: Path) -> Path:
    """A Llama of two layers with weights wide enough that its answers differ, and a stop token that some of them reach."""
    tokenizer, model = _tokenizer(), _model()
    answers = [plain_answer(model, tokenizer(p)["input_ids"], 24) for p in PROMPTS]
    seen = Counter(token for answer in answers for token in set(answer[2:]))
    stop = min(seen, key=lambda token: (abs(seen[token] - len(PROMPTS) // 2), token))
    model.config.eos_token_id = model.generation_config.eos_token_id = stop
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def transformers_answers(folder: Path) -> dict[str, Any]:
    """The answers of transformers alone to `PROMPTS`."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder)
    stop = model.config.eos_token_id
    ids = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    return {
        "prompts": PROMPTS,
        "ids": ids,
        "fixed": [plain_answer(model, one, LENGTH) for one in ids],
        "natural": [plain_answer(model, one, LENGTH, [stop]) for one in ids],
    }


def plain_answer(model: Any, ids: Sequence[int], length: int, end_ids: Sequence[int] = ()) -> list[int]:
    """The answer of a bare greedy `generate` to one prompt."""
    settings = transformers.GenerationConfig(
        max_new_tokens=length, do_sample=False, eos_token_id=list(end_ids) or None, pad_token_id=2
    )
    model.generation_config = transformers.GenerationConfig()
    one = torch.tensor([list(ids)])
    with torch.inference_mode():
        out = model.generate(one, attention_mask=torch.ones_like(one), generation_config=settings)
    found: list[int] = out[0, len(ids) :].tolist()
    return found


def _model() -> Any:
    config = transformers.LlamaConfig(
        vocab_size=400,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        initializer_range=0.15,
        bos_token_id=0,
        eos_token_id=1,
    )
    torch.manual_seed(7)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def _tokenizer() -> transformers.PreTrainedTokenizerFast:
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
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=template
    )
