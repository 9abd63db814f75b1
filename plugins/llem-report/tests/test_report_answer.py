"""The report's first screen: one sentence, the choice that follows from it, and what that choice costs."""

from __future__ import annotations

import pytest

from llem_report.document import document
from llem_report.gather import gather


@pytest.fixture
def study_of(make_result, write_study):
    """A study of batch 1 and 8 in so many cycles, of 10 and 2 J per token; batch 8 takes four times as long to begin."""

    def write(cycles: int, j_of_8: float = 2.0):
        results = []
        for cycle in range(1, cycles + 1):
            for size, joules in ((1, 10.0), (8, j_of_8)):
                results.append(
                    make_result(
                        config_hash=str(size) * 64,
                        point={"testbed.batch_size": size},
                        cycle=cycle,
                        position=len(results) + 1,
                        tokens_per_s=100.0 * size + cycle,
                        j_per_token=joules * (1 + (0.01 * ((cycle * size) % 3 - 1) if cycles > 1 else 0.0)),
                    )
                )
        return gather(write_study(*results))

    return write


def test_the_answer_holds_a_sentence_with_its_interval_a_choice_and_its_costs(study_of):
    answer = study_of(3).answer
    assert answer.sentence is not None
    assert "95 % interval" in answer.sentence
    assert answer.choice is not None
    assert answer.choice.startswith("Lowest energy per output token: testbed.batch_size=8, with 2.00 J (95 % interval ")
    assert any(cost.startswith("Throughput: ") and cost.endswith("the best of all.") for cost in answer.costs)
    assert answer.no_choice is None


def test_one_cycle_describes_and_chooses_nothing(study_of):
    answer = study_of(1).answer
    assert answer.choice is None
    assert answer.costs == ()
    assert answer.no_choice is not None
    assert "ran once, so none is called best" in answer.no_choice
    assert "2.00 J, with testbed.batch_size=8" in answer.no_choice


def test_a_choice_that_is_not_told_from_another_names_it(study_of):
    answer = study_of(3, j_of_8=9.99).answer
    assert answer.equal is not None
    assert "testbed.batch_size=1" in answer.equal


def test_the_page_has_the_answer_once_and_first(study_of):
    study = study_of(3)
    shown = document(study)["fragments"]
    assert shown["answer"][0] == study.answer.sentence
    assert study.answer.sentence not in str(shown["findings"])


def test_what_a_search_found_stands_before_all_else(make_result, write_study):
    folder = write_study(make_result(config_hash="1" * 64, point={"load.rate_rps": 2.0}))
    assert gather(folder).answer.searched == ()
    (folder / "search.json").write_text('{"said": ["capacity is 56.5 requests/s.", "1 run failed."]}')
    study = gather(folder)
    assert study.answer.searched == ("capacity is 56.5 requests/s.", "1 run failed.")
    assert document(study)["fragments"]["answer"][:2] == list(study.answer.searched)
    for damaged in ("{", '{"said": 3}'):
        (folder / "search.json").write_text(damaged)
        assert gather(folder).answer.searched == ()
