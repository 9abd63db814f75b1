"""No stage names a maker of accelerators or meters: what a machine has is asked through the hooks."""

from __future__ import annotations

import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import llem

CORE = Path(llem.__file__).parent
STAGES = (
    "accelerators",
    "cli",
    "config",
    "measure",
    "plan",
    "preflight",
    "progress",
    "runners",
    "study",
    "sweep",
)
MAKERS = re.compile(r"nvml|nvidia|cuda|rocm|rocr|amdsmi|\bamd\b|rapl\b|radeon|tesla", re.IGNORECASE)

KNOWN = {
    ("accelerators/facts.py", "cuda"): "the field of a result, called so since the first version",
    ("measure/resolution.py", "nvmlDeviceGetPowerUsage"): "the field by name, as results of every version tell it",
    (
        "measure/environment.toml",
        "CUDA_",
    ): "libraries below engines, whose variables are recorded wherever they are set",
    ("measure/environment.toml", "NVIDIA_"): "the same",
    ("measure/environment.toml", "ROCR_"): "the same",
}
"""Words that stay, each with its reason."""


def words(data: object) -> Iterator[str]:
    """Keys and strings of plain data."""
    if isinstance(data, dict):
        yield from data
        yield from words(list(data.values()))
    elif isinstance(data, list):
        for item in data:
            yield from words(item)
    elif isinstance(data, str):
        yield data


def texts(path: Path) -> set[str]:
    """Names and strings of a file's code or data; comments and docstrings may say for whom something is."""
    if path.suffix == ".toml":
        return set(words(tomllib.loads(path.read_text(encoding="utf-8"))))
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type not in (tokenize.NL, tokenize.COMMENT)
    ]
    alone = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
    found = set()
    for number, token in enumerate(tokens):
        first = number == 0 or tokens[number - 1].type in alone
        last = number + 1 == len(tokens) or tokens[number + 1].type in (*alone, tokenize.ENDMARKER)
        if token.type == tokenize.NAME or (token.type == tokenize.STRING and not (first and last)):
            found.add(token.string.strip("\"'"))
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_names_a_maker(stage: str) -> None:
    found = {
        (str(path.relative_to(CORE)), text)
        for path in sorted([*(CORE / stage).rglob("*.py"), *(CORE / stage).rglob("*.toml")])
        for text in texts(path)
        if MAKERS.search(text)
    }
    assert found - KNOWN.keys() == set()


def test_what_is_let_pass_is_still_there() -> None:
    for name, text in KNOWN:
        assert text in texts(CORE / name)


def test_a_name_and_a_string_are_seen_and_a_docstring_is_not(tmp_path: Path) -> None:
    file = tmp_path / "stage.py"
    file.write_text("'''For NVIDIA.'''\nfrom llem.samplers import nvml\nNAME = \"rocm\"\n# amdsmi\n")
    assert {text for text in texts(file) if MAKERS.search(text)} == {"nvml", "rocm"}
