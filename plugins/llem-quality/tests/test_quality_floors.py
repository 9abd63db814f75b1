"""A floor under accuracy, by what stands beside a study."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ConfigError, ResultError
from llem_analysis.floors import Floor, floor_of
from llem_analysis.front import pareto
from llem_analysis.loading import load_rows
from llem_analysis.picking import pick

WriteDesign = Callable[..., Path]
DTYPES = [{"pytorch.dtype": name} for name in ("float32", "bfloat16", "int8", "int4")]
ACCURACY = {"float32": 0.80, "bfloat16": 0.796, "int8": 0.78, "int4": 0.30}
JOULES = {"float32": 4.0, "bfloat16": 3.0, "int8": 2.0, "int4": 1.0}


def study(write_design: WriteDesign, accuracy: Mapping[str, float] = ACCURACY, low: float = 0.05) -> Path:
    folder = write_design(DTYPES, energy=lambda p: JOULES[p["pytorch.dtype"]], name=f"study-{low}")
    found: dict[str, Any] = {}
    for row in load_rows(folder):
        if (value := accuracy.get(row["point.pytorch.dtype"])) is not None:
            found[row["config_hash"]] = {"accuracy": value, "accuracy_low": value - low, "accuracy_high": 1.0}
    (folder / "quality.json").write_text(json.dumps({"schema": 1, "configurations": found}))
    return folder


@pytest.mark.parametrize(
    ("words", "best"), [("99%", "bfloat16"), ("97 %", "int8"), ("100%", "float32"), ("0.3", "int4"), ("1%", "int4")]
)
def test_the_cheapest_that_is_good_enough_is_picked(write_design: WriteDesign, words: str, best: str) -> None:
    found = pick(study(write_design), floors=[floor_of("accuracy", words, None)])
    assert found.settings == {"pytorch.dtype": best}


def test_a_share_is_of_the_reference(write_design: WriteDesign) -> None:
    folder = study(write_design)
    first = pick(folder, floors=[floor_of("accuracy", "99%", None)])
    assert first.floors == ("accuracy: at least 0.99 of 0.800, that of pytorch.dtype=float32",)
    assert first.figures["accuracy"].bound == pytest.approx(0.792)
    other = pick(folder, floors=[floor_of("accuracy", "99%", "pytorch.dtype=int8")])
    assert other.settings == {"pytorch.dtype": "int8"}
    assert pick(folder, floors=[floor_of("accuracy", "0.5", None)]).floors == ()


def test_a_reference_is_one_configuration_that_has_an_accuracy(write_design: WriteDesign) -> None:
    folder = study(write_design, {"int8": 0.7})
    with pytest.raises(ConfigError, match="no configuration has the settings"):
        pick(folder, floors=[floor_of("accuracy", "99%", "pytorch.dtype=int2")])
    with pytest.raises(ResultError, match=r"the reference, pytorch\.dtype=float32, has no accuracy"):
        pick(folder, floors=[floor_of("accuracy", "99%", "pytorch.dtype=float32")])
    for reference in (None, "pytorch.dtype=int8"):
        picked = pick(folder, floors=[floor_of("accuracy", "99%", reference)])
        assert (picked.settings, picked.lacking) == ({"pytorch.dtype": "int8"}, 3)


def test_a_study_without_accuracy_has_no_floor(write_design: WriteDesign) -> None:
    folder = write_design(DTYPES, energy=lambda p: JOULES[p["pytorch.dtype"]])
    for words in ("99%", "0.5"):
        with pytest.raises(ResultError, match=r"no configuration has (an )?accuracy"):
            pick(folder, floors=[floor_of("accuracy", words, None)])


def test_the_reference_is_the_most_accurate_in_whatever_order_the_study_ran(write_design: WriteDesign) -> None:
    accuracy = {**ACCURACY, "bfloat16": 0.9}
    found = pick(study(write_design, accuracy), floors=[floor_of("accuracy", "99%", None)])
    assert found.settings == {"pytorch.dtype": "bfloat16"}


def test_a_floor_within_the_interval_over_questions_is_a_caution(write_design: WriteDesign) -> None:
    floor = [Floor("accuracy", 0.77)]
    unsure = pick(study(write_design, low=0.05), floors=floor)
    assert any("interval over questions, which begins at 0.73" in one for one in unsure.cautions)
    sure = pick(study(write_design, low=0.001), floors=floor)
    assert not any("accuracy" in one for one in sure.cautions)


@pytest.mark.parametrize("words", ["much", "0", "-1%", "1.5", "101%", "nan", "%"])
def test_what_is_no_share_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="no share of answers"):
        floor_of("accuracy", words, None)


def test_a_reference_goes_with_a_part_of_it() -> None:
    with pytest.raises(ConfigError, match="does not depend on one"):
        floor_of("accuracy", "0.5", "dtype=float32")


def test_accuracy_is_weighed_against_energy(write_design: WriteDesign) -> None:
    accuracy = {**ACCURACY, "int8": 0.2}
    front = pareto(study(write_design, accuracy), ["j_per_output_token", "accuracy"])
    assert {p.settings["pytorch.dtype"] for p in front.points if p.on_front} == {"float32", "bfloat16", "int4"}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"schema": 2, "configurations": {}}',
        '{"schema": 1}',
        '{"schema": 1, "configurations": {"a": {"accuracy": 2}}}',
    ],
)
def test_a_file_that_is_damaged_is_named(write_design: WriteDesign, text: str) -> None:
    folder = study(write_design)
    (folder / "quality.json").write_text(text)
    with pytest.raises(ResultError, match=r"quality\.json"):
        load_rows(folder)
