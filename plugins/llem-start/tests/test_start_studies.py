"""The studies that `llem init` writes and the axes that it offers, apart from the command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from llem.config.keys import Vocabulary
from llem.config.reading import read_yaml
from llem.config.section import Section
from llem.errors import ConfigError
from llem.hookspecs import API_VERSION
from llem.plugins import default_registry
from llem.specs.backend import BackendSpec
from llem.specs.kinds import BACKENDS, RUNNERS, SCENARIOS
from llem_start.answers import CARE, Answers
from llem_start.axes import read_axes
from llem_start.offers import offers_of, preferred_backend
from llem_start.writing import study_document, study_text

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
VALUES = st.one_of(TEXT, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False))


@given(
    model=TEXT,
    dataset=TEXT.filter(lambda text: text != "synthetic"),
    care=st.sampled_from(list(CARE)),
    fail=st.lists(VALUES, min_size=1, max_size=3),
    extra=VALUES,
    inside=st.dictionaries(TEXT, VALUES, max_size=2),
)
def test_the_text_says_what_was_checked(
    model: str, dataset: str, care: Any, fail: list[Any], extra: Any, inside: dict[str, Any]
) -> None:
    registry = default_registry()
    answers = Answers(
        backends=("testbed",),
        model=model,
        dataset=dataset,
        care=care,
        vary={"testbed.fail": fail},
        settings={"decoding.top_p": extra, "testbed.deep.down": inside, "execution.seed": 1},
    )
    document = study_document(answers, Vocabulary(registry[BACKENDS], registry[RUNNERS]))
    written = read_yaml(study_text(answers, registry), "study").data
    assert written.pop("model") == document.pop("model")["source"]
    assert written == document


@pytest.mark.parametrize("name", default_registry()[BACKENDS])
def test_every_offer_is_of_values_that_the_backend_takes(name: str) -> None:
    spec = default_registry().find(BACKENDS, name)
    for offer in offers_of(spec, default_registry()[SCENARIOS]):
        assert len(offer.values) > 1
        assert offer.key.startswith(f"{name}.")
        assert offer.about


class Options(Section):
    """Options of a backend that says nothing of what is worth varying."""

    kind: str = Field("a", description="any text")
    batch_size: int = Field(4, ge=1, le=6, description="requests in a batch")
    threads: int = Field(2, ge=1, description="threads")
    fast: bool = Field(False, description="be fast")


def backend(name: str, worth: dict[str, Sequence[Any]] | None = None, **facts: Any) -> BackendSpec:
    return BackendSpec(
        name=name,
        api_version=API_VERSION,
        summary="",
        config=Options,
        engine="none:None",
        worth_varying=worth or {},
        **facts,
    )


def test_without_a_word_of_the_backend_what_its_model_shows_is_offered() -> None:
    found = {offer.key: list(offer.values) for offer in offers_of(backend("own"), default_registry()[SCENARIOS])}
    assert found == {"own.threads": [2, 4], "own.fast": [False, True]}


def test_what_a_backend_calls_worth_varying_comes_first_without_what_it_does_not_take() -> None:
    spec = backend("own", {"batch_size": (1, 6, 7), "threads": (0, 1), "gone": (1, 2), "fast": (True, False)})
    assert {offer.key: list(offer.values) for offer in offers_of(spec, default_registry()[SCENARIOS])} == {
        "own.batch_size": [1, 6],
        "own.fast": [True, False],
    }


def test_a_backend_that_can_run_here_is_preferred_and_a_server_comes_last() -> None:
    server = backend("a-server", capabilities=frozenset({"online"}))
    missing = backend("b-missing", requires=("no_such_package",))
    here = backend("c-here", requires=("json",))
    assert preferred_backend([server, missing, here]) == "c-here"
    assert preferred_backend([server, missing]) == "b-missing"
    assert preferred_backend([server]) == "a-server"
    assert preferred_backend([]) is None


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("testbed.batch_size=1,8", [1, 8]),
        ("testbed.batch_size = 1 , 8", [1, 8]),
        ("testbed.batch_size=[1, 8]", [1, 8]),
        ("testbed.batch_size={pow2: [1, 8]}", {"pow2": [1, 8]}),
        ("testbed.fail=no,raise", ["no", "raise"]),
        ("testbed.token_s=1e-3", [0.001]),
        ("model.revision=123,main", ["123", "main"]),
        ("testbed.gpus=null,1", [None, 1]),
    ],
)
def test_an_axis_is_read_by_the_rules_of_a_study(typed: str, values: Any) -> None:
    vocabulary = Vocabulary(default_registry()[BACKENDS])
    ((_, found),) = read_axes([typed], vocabulary).items()
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]


@pytest.mark.parametrize("typed", ["", "a", "a=", "=1", "a..b=1", "a=[1", "a={"])
def test_what_is_no_axis_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="--vary"):
        read_axes([typed], Vocabulary(default_registry()[BACKENDS]))
