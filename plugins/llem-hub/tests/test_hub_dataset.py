"""The hub loader on local Parquet files: read by the real package `datasets` where it is installed, else refused by name."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from llem.specs.dataset import Prompt
from llem_hub.hub_dataset import hash_of

pytestmark = pytest.mark.process

TEXTS = ["one", "two", "three"]
INSTALLED = importlib.util.find_spec("datasets") is not None
MISSING = "needs the package `datasets`"


def load(folder: Path, **fields: object) -> str:
    """The yield of loading, as JSON, or the error; in a process of its own, without network, with a cache of its own."""
    code = (
        "import json, sys; from llem.config.experiment import DatasetConfig; from llem_hub import hub_dataset as hub\n"
        "config = DatasetConfig.model_validate(json.loads(sys.argv[1]))\n"
        "try: found = hub.load(config, sys.argv[2])\n"
        "except hub.DatasetError as error: print(error)\n"
        "else: print(json.dumps([found.provenance, found.sha256, [p.text for p in found.prompts]]))"
    )
    config = json.dumps({"name": "hub", "path": "set", "n": 2, **fields})
    env = {**os.environ, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, config, str(folder)], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`set/` has two splits, with a prompt and a number in each row."""
    (tmp_path / "set").mkdir()
    for split in ("train", "test"):
        table = pyarrow.table({"text": TEXTS, "id": [1, 2, 3]})
        pyarrow.parquet.write_table(table, tmp_path / "set" / f"{split}-00000-of-00001.parquet")
    return tmp_path


def test_a_split_of_a_folder_gives_its_prompts_and_the_digest_of_all(folder: Path) -> None:
    told = load(folder, split="train")
    assert (
        json.loads(told) == ["set, split train, field text", hash_of([Prompt(text=text) for text in TEXTS]), TEXTS[:2]]
        if INSTALLED
        else MISSING in told
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "it has several splits. Choose one of: train, test."),
        ({"split": "dev"}, "it has no split `dev`. Choose one of: train, test."),
        ({"split": "test", "field": "prompt"}, "there is no field `prompt`; the fields are: text, id."),
        ({"split": "test", "field": "id"}, "`id` holds no text but int."),
        ({"split": "test", "n": 4}, "it has 3 prompts; 4 are asked for."),
        ({"path": "no/such-set"}, "`no/such-set` cannot be loaded"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_what_can(
    folder: Path, fields: dict[str, object], message: str
) -> None:
    assert (message if INSTALLED else MISSING) in load(folder, **fields)
