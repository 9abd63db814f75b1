"""The keywords that `LLM` and its requests are given, by the interface alone; and failures as one paragraph."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError, ModelError
from llem_trtllm import start
from llem_trtllm.arguments import engine_arguments
from llem_trtllm.driver import Driver, Item, RefusedError
from llem_trtllm.loading import identity_of, prepare

Configured = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder as far as its identity goes."""
    place = tmp_path / "model"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    write_weights(place, b"\0\0\0\0")
    return place


def write_weights(place: Path, weights: bytes) -> None:
    """One weight of four bytes."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (place / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + weights)


def test_llm_gets_the_model_and_the_options(interface: Any, configured: Configured, folder: Path) -> None:
    config = configured({"max_batch_size": 4, "cuda_graph_config": {"enable_padding": True}}, model=str(folder))
    prepared = prepare(config.model, str(folder.parent))
    start.start({**engine_arguments(config.options), **prepared.arguments, "skip_tokenizer_init": True}, "it")
    (made,) = interface.made
    assert made == {
        "model": str(folder),
        "trust_remote_code": False,
        "skip_tokenizer_init": True,
        "max_batch_size": 4,
        "cuda_graph_config": {"enable_padding": True},
    }


def test_an_argument_that_tensorrt_llm_does_not_have_is_refused_by_the_stand_in(interface: Any) -> None:
    with pytest.raises(ModelError, match="unexpected keyword argument"):
        start.start({"model": "x", "max_bach_size": 4}, "it")
    assert interface.made == []


@pytest.mark.parametrize("error", [ValueError("bad\nmore"), RuntimeError("CUDA out of memory"), AssertionError()])
def test_what_tensorrt_llm_refuses_is_one_paragraph(interface: Any, error: Exception) -> None:
    interface.refusal = error
    with pytest.raises(ModelError) as caught:
        start.start({"model": "x"}, "org/model")
    assert "TensorRT-LLM cannot load it: " in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.where == "org/model"


def test_without_tensorrt_llm_it_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_llm", None)
    with pytest.raises(ModelError) as caught:
        start.start({"model": "x"}, "x")
    assert "pip install 'llem-trtllm[engine]'" in str(caught.value)


def test_a_version_without_engines_says_so(interface: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorrt_llm._tensorrt_engine")
    with pytest.raises(ModelError, match="builds no engines any more"):
        start._tensorrt_llm()


def test_an_engine_is_built_saved_and_loaded_from_the_cache(
    interface: Any, configured: Configured, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(start, "kinds_of", lambda count: ("sm90 NVIDIA H100",) * count)
    counts = iter([{"GPU-a": 100.0}, {"GPU-a": 340.0}])
    monkeypatch.setattr(start, "counted_j", lambda ids: next(counts))
    options = {"engine": "tensorrt", "max_batch_size": 4, "tensorrt": {"quant_config": {"quant_algo": "FP8"}}}
    config = configured(options, model=str(folder))
    prepared = prepare(config.model, str(folder.parent))
    arguments = {**engine_arguments(config.options), **prepared.arguments}

    def load() -> dict[str, Any]:
        _, entry = start.start_built(arguments, config.options, prepared, "it", ["GPU-a"])
        return start.told(entry)

    first, again = load(), load()
    assert (first["engine_origin"], again["engine_origin"]) == ("built", "cached")
    assert first["engine_build_j"] == again["engine_build_j"] == 240.0
    built, *loaded = interface.made
    assert len(interface.saved) == 1
    assert built["model"] == str(folder)
    assert built["quant_config"].keywords == {"quant_algo": "FP8"}
    place = tmp_path / "cache" / "llem" / "trtllm-engines" / first["engine_key"] / "engine"
    assert [one["model"] for one in loaded] == [str(place)] * 2
    assert all("quant_config" not in one and one["max_batch_size"] == 4 for one in loaded)
    (place / "rank0.engine").write_bytes(b"other")
    counts = iter([{}, {}])
    rebuilt = load()
    assert rebuilt["engine_origin"] == "built"
    assert "rank0.engine" in rebuilt["engine_rebuilt_because"]
    assert "engine_build_j" not in rebuilt, "nothing counted it"


def test_changed_weights_in_one_folder_are_another_model(configured: Configured, folder: Path) -> None:
    prepared = prepare(configured(model=str(folder)).model, str(folder.parent))
    before = identity_of(prepared, folder)
    assert before == identity_of(prepared, folder)
    write_weights(folder, b"\0\0\0\1")
    assert identity_of(prepared, folder) != before


@pytest.mark.process
def test_a_request_goes_as_token_ids_and_its_refusal_names_it(interface: Any) -> None:
    from tensorrt_llm import LLM, SamplingParams

    driver = Driver(LLM(model="x"), SamplingParams)
    try:
        with pytest.raises(RefusedError, match="answers nothing") as caught:
            driver.run([Item("7", (1, 2), {"max_tokens": 3}, "pass 0")], lambda *_: None)
        assert caught.value.name == "7"
        with pytest.raises(LlemError, match="has no answer"):
            driver.run([Item("8", (1,), {"max_tokns": 3}, None)], lambda *_: None)
        driver.check()
    finally:
        driver.close()
    assert interface.asked == [{"inputs": [1, 2], "streaming": True, "cache_salt": "pass 0"}]
    assert interface.sampled == [{"max_tokens": 3}]
