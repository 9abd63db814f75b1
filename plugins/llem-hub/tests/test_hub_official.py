"""The genuine set of AIEnergyScore, told from everything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from llem.config.experiment import DatasetConfig
from llem.datasets import aienergyscore
from llem.errors import DatasetError
from llem_hub import official, snapshot

GENUINE = os.environ.get("LLEM_AIENERGYSCORE_OFFICIAL")


def test_our_own_prompts_are_refused_as_the_genuine_ones() -> None:
    config = DatasetConfig(name="aienergyscore:official", path=str(aienergyscore.FILE), n=10)
    with pytest.raises(DatasetError, match="not the genuine AIEnergyScore set: the SHA-256"):
        official.load(config, "")
    assert aienergyscore.load_builtin(DatasetConfig(n=3), "/nowhere").sha256 != official.SHA256


def test_a_file_of_another_length_is_refused_as_the_genuine_set(tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    config = DatasetConfig(name="aienergyscore:official", path="few.jsonl", n=1)
    with pytest.raises(DatasetError, match="it has 2 prompts, not 1,000"):
        official.load(config, str(tmp_path))


def test_the_genuine_set_is_recognised_or_a_changed_copy_refused(tmp_path: Path) -> None:
    """With the genuine file in LLEM_AIENERGYSCORE_OFFICIAL: it loads, and one changed letter is found. Else ours stands in."""
    source = Path(GENUINE) if GENUINE else aienergyscore.FILE
    if GENUINE:
        config = DatasetConfig(name="aienergyscore:official", path=GENUINE, n=1_000)
        loaded = official.load(config, "")
        assert loaded.sha256 == official.SHA256
        assert official.COMMIT in loaded.provenance
        assert not {prompt.text for prompt in loaded.prompts} & set(aienergyscore.prompts())
    head, first, *rest = source.read_text().splitlines()
    record = json.loads(first)
    record["prompt"] += "x"
    (tmp_path / "changed.jsonl").write_text("\n".join([head, json.dumps(record), *rest]))
    with pytest.raises(DatasetError, match="not the genuine"):
        official.load(DatasetConfig(path="changed.jsonl", n=1), str(tmp_path))


def in_cache(cache: Path) -> Path:
    """The folder in which the hub's cache holds the pinned commit."""
    name = "datasets--" + official.REPOSITORY.replace("/", "--")
    folder = cache / name / "snapshots" / official.COMMIT / "data"
    folder.mkdir(parents=True)
    return folder


def load_offline(cache: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "from llem.config.experiment import DatasetConfig; from llem_hub import official\n"
        "try: print(official.load(DatasetConfig(n=1), '').provenance)\n"
        "except official.DatasetError as error: print(error)"
    )
    env = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)


@pytest.mark.process
def test_what_the_hub_gave_is_checked_too(tmp_path: Path) -> None:
    table = pyarrow.table({"text": aienergyscore.prompts()})
    pyarrow.parquet.write_table(table, in_cache(tmp_path) / "train-00000-of-00001.parquet")
    assert "not the genuine AIEnergyScore set: the SHA-256" in load_offline(tmp_path).stdout


@pytest.mark.process
def test_without_network_and_cache_the_message_names_the_way_out(tmp_path: Path) -> None:
    told = load_offline(tmp_path).stdout
    assert "AIEnergyScore/text_generation cannot be fetched" in told
    assert "dataset.path" in told


def texts_in(path: Path) -> list[str | None]:
    return [prompt.text for prompt in snapshot.read_prompts(path, None)]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_one_file_or_a_folder_of_several_gives_all_prompts_in_order(tmp_path: Path, kind: str) -> None:
    for i, texts in enumerate((["a", "b"], ["c"])):
        file = tmp_path / f"part-{i}.{kind}"
        if kind == "parquet":
            pyarrow.parquet.write_table(pyarrow.table({"text": texts, "id": texts}), file)
        else:
            file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert texts_in(tmp_path / f"part-0.{kind}") == ["a", "b"]
    assert texts_in(tmp_path) == ["a", "b", "c"]


def test_a_broken_parquet_file_and_a_folder_without_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \.parquet and no \.jsonl file"):
        snapshot.read_prompts(tmp_path, None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match="no Parquet file"):
        snapshot.read_prompts(tmp_path, None)
