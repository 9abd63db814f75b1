"""Whatever a study, a variable or an option says, it is taken or refused in words; nothing else is ever raised."""

from __future__ import annotations

import itertools
from typing import Any

from config_backends import BACKENDS, SCENARIOS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llem.config.environment import variable_of
from llem.config.keys import STUDY_KEYS, Vocabulary
from llem.config.layers import load_study
from llem.errors import LlemError
from llem.sweep.expansion import Sweep

VOCABULARY = Vocabulary(BACKENDS)
NOWHERE = {"XDG_CONFIG_HOME": "/nonexistent"}

KEYS = st.sampled_from(
    [
        *VOCABULARY.study_keys,
        *VOCABULARY.settings,
        "groups",
        "",
        ".",
        "a..b",
        "vllm",
        "vllm.x",
        "min",
        "max",
        "num",
        "log",
    ]
) | st.text(max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.integers()
    | st.floats(allow_nan=True)
    | st.sampled_from(["testbed", "other", "vllm", "x", "", "p.jsonl", "synthetic", "docker:x", "a\0b", "30s"])
    | st.text(max_size=6)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
AXES = st.lists(SCALARS, max_size=3) | st.fixed_dictionaries(
    {"min": st.integers(-2, 3), "max": st.integers(-2, 9), "num": st.integers(-1, 4)}
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """Studies that are nearly right, so that every stage is reached."""
    study: dict[str, Any] = {"model": "random:tiny-llama", "backend": draw(st.sampled_from(sorted(BACKENDS)))}
    study |= draw(st.dictionaries(st.sampled_from(VOCABULARY.study_keys), VALUES, max_size=2))
    if draw(st.booleans()):
        study["sweep"] = draw(st.dictionaries(st.sampled_from(VOCABULARY.settings) | KEYS, AXES | VALUES, max_size=3))
    if draw(st.booleans()):
        study["experiments"] = draw(st.lists(st.dictionaries(KEYS, VALUES, max_size=3) | VALUES, max_size=3))
    return study


def attempt(document: dict[str, Any], **given_too: Any) -> None:
    """Load and expand; a refusal must say something."""
    try:
        loaded = load_study(document=document, backends=BACKENDS, **{"environ": NOWHERE, **given_too})
        points = Sweep(loaded.config, BACKENDS, SCENARIOS, loaded.locate)
        for point in itertools.islice(points, 20):
            assert len(point.config_hash) == 64
    except LlemError as error:
        assert len(str(error)) > 10  # noqa: PT017 - both outcomes are right; only a third one is not


@settings(max_examples=200, deadline=None)
@given(studies())
def test_any_study_is_taken_or_refused_in_words(study: dict[str, Any]) -> None:
    attempt(study)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_mapping_is_taken_or_refused_in_words(document: dict[str, Any]) -> None:
    attempt(document)


@settings(max_examples=80, deadline=None)
@given(studies(), st.dictionaries(KEYS, VALUES, max_size=3))
@example({"model": "x", "backend": "other"}, {"execution.timeout_s": {"name": None}})
def test_any_override_is_taken_or_refused_in_words(study: dict[str, Any], overrides: dict[str, Any]) -> None:
    attempt(study, overrides=overrides)


@settings(max_examples=80, deadline=None)
@given(
    studies(),
    st.dictionaries(st.sampled_from(VOCABULARY.settings).map(variable_of), st.text(max_size=12), max_size=3),
    st.lists(st.text(max_size=12) | st.sampled_from(VOCABULARY.settings).map(lambda k: f"{k}=[1"), max_size=2),
)
def test_any_variable_and_setting_is_taken_or_refused_in_words(
    study: dict[str, Any], variables: dict[str, str], lines: list[str]
) -> None:
    attempt(study, environ={**NOWHERE, **variables}, settings=lines)


def test_the_keys_of_a_study_are_no_keys_of_an_experiment() -> None:
    assert not set(STUDY_KEYS) & set(VOCABULARY.experiment_keys)
