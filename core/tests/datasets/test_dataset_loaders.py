"""Datasets of files, of the hub's formats, and of random tokens."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.config.experiment import DatasetConfig
from llem.datasets import jsonl, synthetic
from llem.datasets.selection import draw
from llem.errors import DatasetError


def jsonl_config(**fields: object) -> DatasetConfig:
    return DatasetConfig.model_validate({"name": "jsonl", "path": "p.jsonl", "n": 1, **fields})


def write(folder: Path, *lines: str) -> str:
    (folder / "p.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(folder)


def test_a_file_gives_its_prompts_as_they_stand(tmp_path: Path) -> None:
    base = write(tmp_path, '{"prompt": " café \\n"}', "", '{"prompt": "two"}')
    loaded = jsonl.load(jsonl_config(n=2), base)
    assert [prompt.text for prompt in loaded.prompts] == [" café \n", "two"]
    assert loaded.sha256 == hashlib.sha256((tmp_path / "p.jsonl").read_bytes()).hexdigest()
    assert loaded.provenance == "p.jsonl, field prompt"


def test_a_first_line_may_tell_the_provenance(tmp_path: Path) -> None:
    base = write(tmp_path, '{"_provenance": "from a friend"}', '{"text": "hello"}')
    loaded = jsonl.load(jsonl_config(), base)
    assert loaded.provenance == "p.jsonl, field text; from a friend"
    assert len(loaded.prompts) == 1


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(b'\xef\xbb\xbf{"prompt": "x"}\n')
    assert jsonl.load(jsonl_config(), str(tmp_path)).prompts[0].text == "x"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"prompt": "a"}', "not json"], r"p\.jsonl:2: this line is not JSON"),
        (['{"prompt": "a"}', "[1]"], r"p\.jsonl:2: this line is a JSON list, not an object"),
        (['{"prompt": "a"}', '{"prompt": "  "}'], r"p\.jsonl:2: `prompt` is empty"),
        (['{"prompt": "a"}', '{"prompt": ""}'], r"p\.jsonl:2: `prompt` is empty"),
        (['{"prompt": "a"}', '{"text": "b"}'], r"p\.jsonl:2: there is no field `prompt`; the fields here are: text"),
        (['{"prompt": "a"}', '{"prompt": 3}'], r"p\.jsonl:2: `prompt` holds no text but int"),
        (['{"number": 1, "id": "a"}'], r"p\.jsonl:1: no field looks like a prompt .* the fields here are: id, number"),
        (['{"prompt": "a", "text": "b"}'], r"several fields could be the prompt: prompt, text.*dataset\.field: prompt"),
        ([""], "it has no prompts"),
        (['{"_provenance": "x"}'], "it has no prompts"),
        (["{}"], r"the fields here are: none"),
        (
            ['{"prompt": "a"}', r'{"prompt": "half \ud83d of it"}'],
            r"p\.jsonl:2: `prompt` holds half of a character \(\\ud83d at place 6",
        ),
    ],
)
def test_a_bad_file_is_an_error_that_names_the_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DatasetError) as error:
        jsonl.load(jsonl_config(), write(tmp_path, *lines))
    assert re.search(message, str(error.value)), str(error.value)


def test_a_line_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(b'{"prompt": "a"}\n{"prompt": "\xff"}\n')
    with pytest.raises(DatasetError, match=r"this line is not JSON"):
        jsonl.load(jsonl_config(), str(tmp_path))


def test_a_missing_file_is_an_error_that_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as error:
        jsonl.load(jsonl_config(), str(tmp_path))
    assert str(tmp_path / "p.jsonl") in str(error.value)
    assert "no such file" in str(error.value)


def test_a_jsonl_dataset_without_a_path_says_that_it_needs_one() -> None:
    with pytest.raises(DatasetError, match="needs the path of its file"):
        jsonl.load(DatasetConfig(name="jsonl"), "")


def test_more_prompts_than_there_are_is_an_error_never_a_repetition(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="it has 1 prompt; 2 are asked for"):
        jsonl.load(jsonl_config(n=2), write(tmp_path, '{"prompt": "a"}'))


@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.data())
def test_a_shuffled_draw_repeats_nothing_and_depends_on_the_seed_alone(
    size: int, seed: int, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, size))
    config = DatasetConfig(n=n, shuffle=True, seed=seed)
    drawn = draw(range(size), config, "here")
    assert len(set(drawn)) == n
    assert drawn == draw(range(size), config, "here")
    assert drawn == draw(range(size), DatasetConfig(n=size, shuffle=True, seed=seed), "here")[:n]


def test_without_shuffle_the_first_are_drawn() -> None:
    assert draw("abcdef", DatasetConfig(n=3, seed=9), "here") == ["a", "b", "c"]


def test_seeds_shuffle_differently() -> None:
    draws = {tuple(draw(range(50), DatasetConfig(n=50, shuffle=True, seed=seed), "here")) for seed in range(5)}
    assert len(draws) == 5


def test_synthetic_prompts_have_exactly_the_length_and_a_seed_of_their_own() -> None:
    loaded = synthetic.load(DatasetConfig(name="synthetic", n=50, input_tokens=17, seed=3), "")
    assert {prompt.input_tokens for prompt in loaded.prompts} == {17}
    assert len({prompt.seed for prompt in loaded.prompts}) == 50
    assert all(prompt.text is None for prompt in loaded.prompts)


def test_synthetic_prompts_of_another_seed_share_none_and_of_another_n_share_the_first() -> None:
    one = synthetic.load(DatasetConfig(name="synthetic", n=20, input_tokens=8, seed=1), "")
    two = synthetic.load(DatasetConfig(name="synthetic", n=20, input_tokens=8, seed=2), "")
    five = synthetic.load(DatasetConfig(name="synthetic", n=5, input_tokens=8, seed=1), "")
    assert not {prompt.seed for prompt in one.prompts} & {prompt.seed for prompt in two.prompts}
    assert list(five.prompts) == list(one.prompts)[:5]
    assert one.sha256 == five.sha256 != two.sha256


def test_a_synthetic_dataset_needs_its_length() -> None:
    with pytest.raises(DatasetError, match="input_tokens"):
        synthetic.load(DatasetConfig(name="synthetic"), "")


@pytest.mark.process
def test_prompts_can_be_had_without_engine_arrow_or_network() -> None:
    code = (
        "import sys; from llem.datasets import aienergyscore; assert len(aienergyscore.prompts()) == 1000; "
        "print([m for m in ('torch', 'pyarrow', 'datasets', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
