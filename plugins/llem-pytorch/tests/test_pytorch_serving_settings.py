"""Options that do not fit a load are told before anything runs, and where a model does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from pytorch_lab import SERVED, Session, at_once, plain_answer, tiny_tokenizer
from pytorch_prompts import PROMPTS

from llem.config.compose import Composer
from llem.config.experiment import DecodingConfig
from llem.errors import LlemError
from llem.plugins import default_registry
from llem.specs.backend import Request
from llem.specs.check import Finding, PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_pytorch.config import PyTorchConfig
from llem_pytorch.serving.check import check_serving
from llem_pytorch.serving.settings import continuous_arguments

pytestmark = pytest.mark.engine

NEVER: dict[str, tuple[dict[str, Any], str]] = {
    "compile": ({"compile": {"enabled": True, "backend": "eager"}}, "it would compile in the measured window"),
    "sorted": ({"batching": "sorted"}, "batching sorted orders a whole dataset"),
    "dynamic": ({"batching": "dynamic", "max_batch_tokens": 100}, "batching dynamic orders a whole dataset"),
}


def planned(pytorch: dict[str, Any], **sections: Any) -> PreflightContext:
    document = {"model": "random:tiny-llama", "backend": "pytorch", "pytorch": pytorch, **SERVED, **sections}
    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
    return PreflightContext(registry=default_registry(), experiments=[config], runners={"pytorch": "local"})


def findings(pytorch: dict[str, Any], **sections: Any) -> list[Finding]:
    return list(check_serving(planned(pytorch, **sections)))


@pytest.mark.parametrize(("section", "text"), NEVER.values(), ids=NEVER)
def test_an_option_that_no_load_takes_is_an_error(section: dict[str, Any], text: str) -> None:
    (found,) = findings(section)
    assert found.level == "error"
    assert text in found.message
    assert found.remedy
    document = {"model": "random:tiny-llama", "backend": "pytorch", "pytorch": section}
    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
    (fine,) = check_serving(PreflightContext(registry=default_registry(), experiments=[config]))
    assert fine.level == "ok"


@pytest.mark.parametrize(("section", "text"), NEVER.values(), ids=NEVER)
def test_a_worker_refuses_it_too(load: Callable[..., Session], section: dict[str, Any], text: str) -> None:
    with pytest.raises(LlemError, match=text):
        load(pytorch=section, **SERVED)


def test_a_batch_size_without_effect_is_a_warning() -> None:
    (found,) = findings({"batch_size": 8})
    assert found.level == "warning"
    assert "pytorch.batch_size is 8" in found.message
    assert [one.level for one in findings({"batch_size": 8, "serving": "queue"})] == ["ok"]
    assert [one.level for one in findings({"batch_size": 8, "use_cache": False})] == ["ok"]


def test_decoding_that_continuous_batching_lacks_is_refused_where_it_was_asked_for() -> None:
    decoding = {"repetition_penalty": 2.0}
    (found,) = findings({"serving": "continuous"}, decoding=decoding)
    assert found.level == "error"
    assert "decoding.repetition_penalty 2.0" in found.message
    assert [one.level for one in findings({}, decoding=decoding)] == ["ok"]


def test_decoding_that_continuous_batching_lacks_is_served_in_batches(load: Callable[..., Session]) -> None:
    decoding = {"repetition_penalty": 2.0}
    requests = [Request(id=i, prompt=PROMPTS[i], output_tokens=8) for i in range(3)]
    alone = load(decoding=decoding).answer(requests)
    session = load(decoding=decoding, **SERVED)
    assert session.report.effective["serving"] == "queue"
    assert [one.output_token_ids for one in at_once(session, requests)] == [alone[i].output_token_ids for i in range(3)]
    with pytest.raises(LlemError, match=r"continuous batching has no decoding.repetition_penalty"):
        load(pytorch={"serving": "continuous"}, decoding=decoding, **SERVED)


@pytest.fixture(scope="module")
def bloom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose attention knows no paged cache."""
    folder = tmp_path_factory.mktemp("bloom")
    config = transformers.BloomConfig(
        vocab_size=400, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2, eos_token_id=1, bos_token_id=0
    )
    transformers.set_seed(1)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_a_model_that_continuous_batching_cannot_run_is_served_in_batches_and_that_is_told(
    load: Callable[..., Session], bloom: Path
) -> None:
    session = load(str(bloom), {"batch_size": 2}, **SERVED)
    assert session.report.effective["serving"] == "queue"
    (told,) = session.engine.caveats()
    assert told.code == "setting_ignored"
    assert "continuous batching cannot run this model" in told.message
    prompts = [list(range(5, 5 + length)) for length in (3, 30)]
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(bloom)
    expected = [plain_answer(model, ids, 12) for ids in prompts]
    requests = [Request(id=i, prompt_token_ids=ids, output_tokens=12) for i, ids in enumerate(prompts)]
    assert [list(one.output_token_ids or ()) for one in at_once(session, requests)] == expected
    with pytest.raises(LlemError, match="continuous batching cannot run this model"):
        load(str(bloom), {"serving": "continuous"}, **SERVED)


def test_a_cache_beyond_all_memory_is_told(load: Callable[..., Session]) -> None:
    with pytest.raises(LlemError, match="does not fit into the memory"):
        load(pytorch={"continuous_batching": {"num_blocks": 100_000_000}}, **SERVED)


def test_a_request_beyond_the_cache_fails_alone(load: Callable[..., Session]) -> None:
    session = load(pytorch={"continuous_batching": {"page_size": 16, "num_blocks": 4}}, **SERVED)
    with pytest.raises(LlemError, match="the cache of continuous batching holds 64"):
        at_once(session, [Request(id=0, prompt_token_ids=[5] * 60, output_tokens=5)])
    (fits,) = at_once(session, [Request(id=1, prompt_token_ids=[5] * 59, output_tokens=5)])
    assert fits.output_tokens == 5


def test_a_cpu_gets_a_cache_of_its_own_size_and_a_gpu_what_transformers_finds() -> None:
    options = PyTorchConfig.model_validate({"continuous_batching": {"page_size": 100}})
    on_cpu = continuous_arguments(options, DecodingConfig(), "cpu")
    assert (on_cpu["num_blocks"], on_cpu["max_batch_tokens"]) == (164, 512)
    on_gpu = continuous_arguments(options, DecodingConfig(seed=7), "cuda:0")
    assert not {"num_blocks", "max_batch_tokens"} & set(on_gpu)
    assert on_gpu["seed"] == 7
    assert on_gpu["auto_switch_to_flash"] is False
    assert on_gpu["allow_block_sharing"] is False
