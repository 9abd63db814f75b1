"""The bundled schema is what the installed vLLM says of itself, and every difference shows."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest

from llem_vllm.schema import load, versions
from llem_vllm.schema.review import Review, differences, judged

REVIEW = """
[[engine]]
energy = true
why = "it decides what is computed"
fields = ["dtype", "parts", "VLLM_CPU_*"]

[[engine]]
energy = false
why = "it only names"
fields = ["name", "parts.label", "VLLM_CPU_LOG"]
set_by = "write `model.source`"
"""


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_the_installed_vllm_and_its_schema_agree() -> None:
    command = [sys.executable, "-m", "llem_vllm.schema", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_difference_is_named() -> None:
    old = load(versions()[-1])
    new = copy.deepcopy(dict(old))
    dropped = new["engine"].pop(3)["name"]
    new["sampling"].append({"name": "brand_new", "type": "int", "default": 1, "description": "", "energy": None})
    changed = next(f for f in new["engine"] if f["name"] == "block_size")
    changed["default"] = 99
    lines = differences(old, new)
    assert f"engine: {dropped} was dropped" in lines
    assert "sampling: brand_new is new" in lines
    assert any(line.startswith("engine: block_size: default was") and line.endswith("is 99") for line in lines)
    assert differences(old, copy.deepcopy(dict(old))) == []


def test_an_option_that_nobody_judged_is_named() -> None:
    raw = {"vllm": "9", "engine": [{"name": "dtype"}, {"name": "fresh"}], "sampling": [], "environment": []}
    _, missing = judged(raw, Review(REVIEW))
    assert missing == ["engine: fresh"]


def test_a_part_is_judged_like_its_whole_unless_it_is_named() -> None:
    review = Review(REVIEW)
    whole, label = review.of("engine", "parts.size"), review.of("engine", "parts.label")
    assert whole is not None
    assert whole.energy
    assert label is not None
    assert not label.energy
    assert label.set_by == "write `model.source`"


def test_the_longest_name_decides() -> None:
    review = Review(REVIEW)
    threads, log = review.of("engine", "VLLM_CPU_THREADS"), review.of("engine", "VLLM_CPU_LOG")
    assert threads is not None
    assert threads.energy
    assert log is not None
    assert not log.energy
    assert review.of("engine", "VLLM_GPU") is None


def test_an_option_judged_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="dtype is judged twice"):
        Review(REVIEW + '\n[[engine]]\nenergy = true\nwhy = "x"\nfields = ["dtype"]\n')
