"""The bundled schema is what the reference files and the review give, and every option is judged."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from llem_engines.review import FILE, Review, judged, unknown
from llem_trtllm.arguments import TORCH_ONLY
from llem_trtllm.schema import DEFAULT, GROUPS, SCHEMAS, load
from llem_trtllm.schema.__main__ import main
from llem_trtllm.schema.annotations import class_in, hint_of
from llem_trtllm.schema.references import raw_schema

REFERENCES = Path(__file__).parent / "references"
FACTS = {"name", "type", "value", "default", "choices", "fields", "energy", "why", "set_by"}


def review() -> Review:
    return Review((SCHEMAS.folder / FILE).read_text(encoding="utf-8"))


def test_the_schema_is_what_the_references_and_the_review_give() -> None:
    schema, missing = judged(raw_schema(REFERENCES, DEFAULT), review())
    assert missing == []
    assert schema == load(DEFAULT)
    assert unknown(raw_schema(REFERENCES, DEFAULT), review()) == []


def test_it_holds_facts_and_our_judgement_alone() -> None:
    schema = load(DEFAULT)
    for group in GROUPS:
        names = [field["name"] for field in schema[group]]
        assert len(set(names)) == len(names)
        assert all(field.keys() <= FACTS for field in schema[group])
    engine = {field["name"] for field in schema["engine"]}
    assert engine >= TORCH_ONLY
    assert {"max_batch_size", "kv_cache_config", "cuda_graph_config", "speculative_config"} <= engine


def test_an_option_without_a_judgement_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--judged"]) == 0
    changed = dict(load(DEFAULT))
    changed["tensorrt"] = [*changed["tensorrt"], {"name": "something_new", "energy": True, "why": "nobody said"}]
    monkeypatch.setattr(SCHEMAS, "load", lambda version: changed)
    assert main(["--judged"]) == 1
    assert "tensorrt: something_new" in capsys.readouterr().out


def test_without_tensorrt_llm_the_command_says_what_brings_it(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pydantic")
    if SCHEMAS.installed() is not None:
        pytest.skip("TensorRT-LLM is installed here")
    assert main([]) == 2
    assert "pip install 'llem-trtllm[engine]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Optional[int]", int | None),
        ("Union[List[str], str, NoneType]", list[str] | str | None),
        ("Literal['auto', 'slow']", typing.Literal["auto", "slow"]),
        ("Optional[Dict[str, float]]", dict[str, float] | None),
    ],
)
def test_annotations_are_read_without_running_anything(text: str, hint: object) -> None:
    assert hint_of(text) == hint


def test_a_class_is_named_and_never_imported() -> None:
    assert class_in("Optional[tensorrt_llm.llmapi.llm_args.KvCacheConfig]") == "KvCacheConfig"
    assert class_in("Union[str, pathlib.Path, NoneType]") is None
    for wrong in ("__import__('os')", "int if x else str", "f(", "Callable[int]"):
        with pytest.raises(ValueError, match="no annotation"):
            hint_of(wrong)
