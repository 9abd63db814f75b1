"""Two results, and the environment that they must share to be compared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llem.plugin_api import Environment, differing
from llem_analysis.comparability import for_comparison, unlike

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
