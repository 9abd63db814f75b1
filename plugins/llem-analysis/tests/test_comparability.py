"""Two results, and the environment that they must share to be compared."""

from __future__ import annotations

from designed_studies import designed_result
from hypothesis import given
from hypothesis import strategies as st

from llem.plugin_api import Environment, differing
from llem.results.models import Phase
from llem_analysis.comparability import for_comparison, objections, unlike

TEXTS = st.dictionaries(st.sampled_from(["GPU", "driver", "torch", "governor"]), st.sampled_from("abc"), max_size=4)


@given(TEXTS, TEXTS)
def test_a_sentence_says_where_environments_are_not_alike_and_none_where_nothing_differs(
    one: dict[str, str], other: dict[str, str]
) -> None:
    first, second = Environment(tuple(one.items())), Environment(tuple(other.items()))
    assert (unlike(first, second) is None) == (not differing(first, second))
    assert unlike(first, Environment()) is None


def test_of_another_backend_the_machine_and_llem_have_to_agree_and_of_the_same_its_versions_too() -> None:
    facts = {"GPU": "H200", "driver": "550.1", "llem": "0.1.0", "torch": "2.8", "dataset": "ab", "GPUs in use": "1"}
    environment = Environment(tuple(facts.items()))
    assert dict(for_comparison(environment, same_backend=True).facts).keys() == {"GPU", "driver", "llem", "torch"}
    assert dict(for_comparison(environment, same_backend=False).facts).keys() == {"GPU", "driver", "llem"}


def test_a_run_says_nothing_about_itself_and_another_one_of_the_same_figures_does() -> None:
    plain = designed_result({"batch": 1}, energy=1.0)
    run = plain.model_copy(update={"phases": [Phase(name="window", start_ns=17, end_ns=1017)]})
    later = plain.model_copy(update={"phases": [Phase(name="window", start_ns=18, end_ns=1018)]})
    assert [(one.code, one.refused) for one in objections(run, run.model_copy(), same_study=False)] == [
        ("same_run", "all")
    ]
    assert objections(run, later, same_study=False) == ()
    assert objections(plain, plain, same_study=False) == ()  # nothing is known of when they ran
