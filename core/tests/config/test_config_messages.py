"""Mistakes in a study, in words: place, key, value, what is accepted, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_backends import BACKENDS

from llem.config.compose import not_installed
from llem.config.layers import load_study
from llem.config.problems import ABSENT, MOST_LISTED, Problem, listed, raise_all, shorten
from llem.errors import ConfigError, LlemError, PluginError

HEAD = "model: random:tiny-llama\nbackend: other\n"


def complaint(tmp_path: Path, text: str) -> str:
    """The text that the user reads, with the file's name without its folder."""
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(LlemError) as caught:
        load_study(path, backends=BACKENDS, environ={}, user_file=_no_user_file(tmp_path))
    return str(caught.value).replace(f"{tmp_path}/", "")


def _no_user_file(tmp_path: Path) -> Path:
    path = tmp_path / "user.yaml"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("datset: {n: 3}", "study.yaml:3:1: `datset` is an unknown key. Did you mean `dataset`?"),
        (
            "dataset: {output-tokens: 3}",
            "study.yaml:3:11: `dataset.output-tokens` is an unknown key. Did you mean `dataset.output_tokens`?",
        ),
        ("temperature: 0.8", "study.yaml:3:1: `temperature` is an unknown key. Did you mean `decoding.temperature`?"),
        ("cycles: 3", "study.yaml:3:1: `cycles` is an unknown key. Did you mean `execution.cycles`?"),
        (
            "other: {compile: {enable: true}}",
            "study.yaml:3:19: `other.compile.enable` is an unknown key. Did you mean `other.compile.enabled`?",
        ),
        (
            "dataset: {n: -5}",
            "study.yaml:3:11: `dataset.n` is not accepted: found -5. Accepted: a whole number from 1 to 10,000,000.",
        ),
        (
            "other: {share: 0}",
            "study.yaml:3:9: `other.share` is not accepted: found 0. Accepted: a number above 0 and at most 1.",
        ),
        (
            "other: {blocks: 17}",
            (
                "study.yaml:3:9: `other.blocks` is not accepted: found 17. "
                "Accepted: a whole number from 16 to 4,096 in steps of 16, or null."
            ),
        ),
        (
            "other: {eager: true, compile: {enabled: true}}",
            "study.yaml:3:1: `other` is not accepted: eager contradicts compile.enabled.",
        ),
        (
            "warmup: {min_prompts: 10, max_prompts: 5}",
            "study.yaml:3:1: `warmup` is not accepted: max_prompts (5) is below min_prompts (10).",
        ),
        ("other.share: 0.5", "study.yaml:3:1: `other.share` stands outside `sweep`: write `other: {share: …}`."),
        ("dataset:", "study.yaml:3:1: `dataset` is empty: give it a value, or remove the line."),
        ("sweep:", "study.yaml:3:1: `sweep` is empty: give it a value, or remove the line."),
        (
            "sweep: {execution.cycles: [1, 2]}",
            (
                "study.yaml:3:9: `sweep.execution.cycles` belongs to the study, not to an experiment: "
                "write it at the top level."
            ),
        ),
        ("sweep: {share: [0.5]}", "study.yaml:3:9: `sweep.share` is an unknown key. Did you mean `other.share`?"),
        (
            "testbed: {batch_size: 3}",
            "study.yaml:3:1: `testbed` is the section of a backend that no experiment uses. Accepted: sections of other.",
        ),
        (
            "runners: {vllm: local}",
            "study.yaml:3:11: `runners.vllm` is no backend that is installed. Accepted: other, testbed.",
        ),
        (
            "dataset: synthetic",
            (
                "study.yaml:3:1: `dataset.input_tokens` is missing: the dataset synthetic needs it. "
                "Accepted: how many tokens each prompt has, such as 128."
            ),
        ),
    ],
)
def test_a_mistake_is_told_in_one_sentence(tmp_path: Path, line: str, expected: str) -> None:
    assert complaint(tmp_path, HEAD + line + "\n") == expected


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("dataset: {n: '10'}", "In quotes it is text: leave the quotes out."),
        ("dataset: {n: 10.0}", "Write it without a fraction or exponent: 10."),
        ("dataset: {n: 1e3}", "Write it without a fraction or exponent: 1000."),
        ("execution: {experiment_gap_s: 30s}", "Write a plain number, without unit"),
        ("execution: {experiment_gap_s: 1:30}", "Write a plain number, without unit"),
        ("warmup: {cv_threshold: 5%}", "Write a plain number, without unit"),
        ("other: {eager: 'yes'}", "In quotes it is text: leave the quotes out."),
        ("name: yes", "put quotes around the word"),
        ("name: 2024", "put quotes around them"),
        ("model: {source: x, revision: 1234567}", "put quotes around them"),
        ("measurement: {samplers: nvml}", "Put brackets around it: [nvml]."),
        ("other: {dtype: fp16}", "Did you mean `float16`?"),
        ("other: {dtype: bf16}", "Did you mean `bfloat16`?"),
        ("other: {dtype: Float32}", "Did you mean `float32`?"),
        ("other: {share: [0.5, 0.9]}", "`sweep: {other.share: [0.5, 0.9]}`"),
        ("other: {blocks: {pow2: [16, 64]}}", "`sweep: {other.blocks: {pow2: [16, 64]}}`"),
        ("backend: [testbed, other]", "`sweep: {backend: [testbed, other]}`"),
        ("model: [a, b]", "`sweep: {model: [a, b]}`"),
        ("dataset:\n- n: 3", "A dash begins a list: leave it out."),
        ("dataset: {n:3}", "`dataset.n:3` is an unknown key: a space is missing after the colon."),
        ("vllm: {x: 1}", "no backend of that name is installed (installed: other, testbed)"),
        ("experiments: [{vllm.x: 3}]", "no backend of that name is installed (installed: other, testbed)"),
        ("sweep: {groups: [[{dataset.m: 3}], [{dataset.n: 3}]]}", "`sweep.groups[0][0].dataset.m` is an unknown key."),
        (
            "sweep: {groups: [[{testbed.batch_size: 2}], [{dataset.n: 3}]]}",
            "belongs to a backend that no experiment uses",
        ),
    ],
)
def test_a_common_mistake_gets_the_words_that_mend_it(tmp_path: Path, line: str, hint: str) -> None:
    key = line.partition(":")[0]
    head = "".join(text + "\n" for text in HEAD.splitlines() if not text.startswith(f"{key}:"))
    assert hint in complaint(tmp_path, f"{head}{line}\n")


def test_a_loose_guess_stands_beside_the_keys_that_there_are(tmp_path: Path) -> None:
    text = complaint(tmp_path, HEAD + "dataset: {num: 3}\n")
    assert "Accepted: name, n, input_tokens" in text
    assert "Did you mean `dataset.name`?" in text


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = complaint(tmp_path, HEAD + "dataset: {n: 0, foo: 1}\nexecution: {cycles: x}\nsweep: {dataset.m: [1]}\n")
    lines = text.splitlines()
    assert lines[0] == "4 problems in the configuration:"
    assert [line.split(": ")[0].strip() for line in lines[1:]] == [
        "study.yaml:3:11",
        "study.yaml:3:17",
        "study.yaml:4:13",
        "study.yaml:5:9",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("backend: other\n", "`model` is missing. Accepted: a hub id"),
        ("model: {revision: main}\nbackend: other\n", "`model` is missing"),
        ("model: ''\nbackend: other\n", "`model.source` is not accepted: found"),
        ("model: x\n", "`backend` is missing. Accepted: other, testbed"),
        ("model: x\nbackend: 3\n", "`backend` is not accepted: found 3"),
        ("model: x\nbackend: ''\n", "`backend` is not accepted"),
    ],
)
def test_a_study_needs_a_model_and_a_backend(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("model: x\nbackend: testbd\n", "study.yaml:2:1"),
        ("model: x\nsweep: {backend: [other, testbd]}\n", "study.yaml:2:26"),
        ("model: x\nbackend: other\nexperiments: [{backend: testbd}]\n", "study.yaml:3:16"),
        ("model: x\nsweep: {groups: [{backend: testbd, testbd.x: 1}]}\n", "study.yaml:2:19"),
    ],
)
def test_a_backend_that_is_not_installed_is_named_where_it_is_asked_for(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(PluginError) as caught:
        load_study(path, backends=BACKENDS, environ={}, user_file=_no_user_file(tmp_path))
    assert caught.value.exit_code == 4
    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        f"{where}: no backend `testbd` is installed; there is: other, testbed. Did you mean `testbed`?"
    )


def test_a_backend_far_from_any_name_says_what_to_install() -> None:
    with pytest.raises(PluginError, match="pip install llem-vllm"):
        load_study(document={"model": "x", "backend": "vllm"}, backends=BACKENDS, environ={"XDG_CONFIG_HOME": "/none"})


def test_no_package_is_guessed_for_a_backend_that_is_not_llems_own() -> None:
    with pytest.raises(PluginError, match="Install the plugin that brings it") as caught:
        load_study(document={"model": "x", "backend": "qqqq"}, backends=BACKENDS, environ={"XDG_CONFIG_HOME": "/none"})
    assert "pip install" not in str(caught.value)


def test_every_backend_of_this_repository_is_told_with_its_package() -> None:
    plugins = (Path(__file__).parents[3] / "plugins").glob("*/src/*/plugin.py")
    names = {path.parents[2].name for path in plugins if "def llem_backends" in path.read_text()}
    assert {"llem-pytorch", "llem-vllm"} <= names
    for name in names:
        assert f"Install it: pip install {name}." in str(not_installed(name.removeprefix("llem-"), ()))


def test_many_problems_are_capped_and_repetitions_told_once() -> None:
    problems = [Problem(("dataset", str(i)), i) for i in range(MOST_LISTED + 7)]
    with pytest.raises(ConfigError) as caught:
        raise_all(problems * 2, lambda key: "x")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{MOST_LISTED + 7} problems")
    assert len(lines) == MOST_LISTED + 2
    assert lines[-1].strip() == "… and 7 more"


def test_no_problem_raises_nothing() -> None:
    raise_all([], lambda key: "x")


def test_long_values_are_cut_and_null_is_a_value() -> None:
    assert shorten("x" * 1000) == f'"{"x" * 40}…" (1,000 characters)'
    assert len(shorten(list(range(1000)))) == 60
    assert "found null" in Problem(("a",), None).text
    assert "found" not in Problem(("a",), ABSENT).text
    asked = Problem(("experiments", 0, "dataset", "n"), 1)
    assert asked.text == "`experiments[0].dataset.n` is not accepted: found 1."


def test_a_long_list_of_what_is_accepted_is_cut_and_counted(tmp_path: Path) -> None:
    accepted = "a mapping with the keys " + ", ".join(f"KEY_{i:03}" for i in range(150))
    text = Problem(("a",), 1, accepted=accepted).text
    assert len(text) < 400
    assert "KEY_000" in text
    shown = text.count("KEY_")
    assert f"… and {150 - shown} more" in text


def test_a_place_is_told_once_and_a_message_has_an_end() -> None:
    same = [("s.yaml:1:1", "is wrong")] * 12
    assert listed(same) == ["  s.yaml:1:1: is wrong"]
    many = [(f"s.yaml:{i}:1", "x" * 5_000) for i in range(200)]
    lines = listed(many, 7)
    assert sum(map(len, lines)) < 13_000
    assert max(map(len, lines)) <= 2_001
    assert lines[-1] == f"  … and {207 - (len(lines) - 1)} more"


def test_a_key_of_a_megabyte_is_cut(tmp_path: Path) -> None:
    text = complaint(tmp_path, HEAD + "? " + "k" * 100_000 + "\n: 1\n")
    assert len(text) < 3_000


def test_an_error_has_an_end_whatever_it_quotes() -> None:
    error = LlemError("x" * 1_000_000, where="y" * 1_000_000, remedy="\n".join(["z" * 900] * 5_000))
    assert len(str(error)) < 25_000
    assert str(LlemError("short.", where="here")) == "here: short."


def test_backends_that_are_missing_hide_nothing_else_that_is_wrong(tmp_path: Path) -> None:
    text = "model: x\nsweep: {backend: [testbd, vlm]}\ndatset: {n: 3}\ndecoding: {length: long}\n"
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(PluginError) as caught:
        load_study(path, backends=BACKENDS, environ={}, user_file=_no_user_file(tmp_path))
    first, *lines = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert first == "4 problems in the study:"
    assert lines == [
        "  study.yaml:2:19: no backend `testbd` is installed; there is: other, testbed. Did you mean `testbed`?",
        "  study.yaml:2:27: no backend `vlm` is installed; there is: other, testbed. Did you mean `vllm`?",
        "  study.yaml:3:1: `datset` is an unknown key. Did you mean `dataset`?",
        '  study.yaml:4:12: `decoding.length` is not accepted: found "long". Accepted: one of fixed, natural.',
    ]
