"""Engines that are closed when a test ends, and a tiny model on disk. Everything runs on the CPU in seconds."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.backend import LoadContext
from llem.specs.kinds import BACKENDS, SCENARIOS

if TYPE_CHECKING:
    from pytorch_lab import Session

sys.path.insert(0, str(Path(__file__).parent))

from pytorch_prompts import PROMPTS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what loads an engine by its fixtures."""
    here = Path(__file__).parent
    for item in items:
        # The names first: few of all tests have them, and the parents of a path cost more.
        if not {"load", "model_folder"}.isdisjoint(getattr(item, "fixturenames", ())) and here in item.path.parents:
            item.add_marker("engine")


@pytest.fixture
def load() -> Iterator[Callable[..., Session]]:
    """Takes a model source, the section `pytorch` and further sections; returns a loaded engine. On the CPU in float32."""
    import torch
    from pytorch_lab import PyTorchEngine, Session

    open_engines: list[PyTorchEngine] = []
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()

    def start(
        source: str = "random:tiny-llama",
        pytorch: Mapping[str, Any] | None = None,
        base_dir: str = ".",
        **sections: Any,
    ) -> Session:
        options = {"dtype": "float32", "device": "cpu"} | dict(pytorch or {})
        if "device_map" in options:
            del options["device"]
        model = {"source": source} | sections.pop("model", {})
        document = {"model": model, "backend": "pytorch", "pytorch": options, **sections}
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        engine = PyTorchEngine()
        open_engines.append(engine)
        return Session(engine, engine.load(LoadContext(config=config, base_dir=base_dir, progress=lambda _: None)))

    yield start
    for engine in open_engines:
        engine.close()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with its tokenizer, as `save_pretrained` writes them. Its stop token comes early in some answers, late or never in others."""
    from pytorch_lab import plain_answer, tiny_model, tiny_tokenizer

    folder = tmp_path_factory.mktemp("tiny-model")
    tokenizer, model = tiny_tokenizer(), tiny_model()
    answers = [plain_answer(model, tokenizer(p)["input_ids"], 24) for p in PROMPTS]
    seen = Counter(token for answer in answers for token in set(answer[2:]))
    stop = min(seen, key=lambda token: (abs(seen[token] - len(PROMPTS) // 2), token))
    model.config.eos_token_id = model.generation_config.eos_token_id = stop
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
