"""Experiments that are repeated further (`execution.until`), from results as they come."""

from __future__ import annotations

from typing import Any

import pytest

from llem.config.study import REPEATED_FIGURES, ExecutionConfig, UntilConfig
from llem.results.models import Failure
from llem_analysis.metric_summary import METRIC_COLUMNS
from llem_analysis.stopping import NarrowInterval

FAILED = Failure(type="Crash", message="gone", phase="window", exit_code=1, signal=None, log_tail="")


RUN, NOISY = "a" * 64, "b" * 64
LABEL = "testbed.batch_size=1"
TWO_PERCENT = UntilConfig(ci_width=0.02)


def test_every_figure_that_may_be_asked_for_is_one_that_is_summarised() -> None:
    assert set(REPEATED_FIGURES) <= set(METRIC_COLUMNS)
    assert UntilConfig().figure in REPEATED_FIGURES


def test_an_experiment_is_enough_at_the_first_cycle_whose_interval_is_narrow(make_result: Any) -> None:
    repetition = NarrowInterval(TWO_PERCENT)
    verdicts = []
    # t(0.975, df 2) = 4.303: the interval of 0.50, 0.50, 0.51 is 5.7 % wide; the ninth cycle's is the first below 2 %.
    for cycle, joules in enumerate([0.50, 0.50, 0.51, 0.504, 0.502, 0.503, 0.503, 0.503, 0.503], 1):
        repetition.add(RUN, LABEL, make_result(cycle=cycle, j_per_token=joules))
        verdicts.append(repetition.is_met(RUN))
    first = next(place for place, verdict in enumerate(verdicts) if verdict)
    assert first >= 3
    assert verdicts[2] is None
    assert all(verdicts[first:])
    verdict = verdicts[first]
    assert verdict is not None
    level, text = verdict
    assert level == "info"
    assert f"after {first + 1} cycles (2 % was asked for); it is not repeated" in text


def test_steady_cycles_are_enough_only_after_the_fewest(make_result: Any) -> None:
    repetition = NarrowInterval(UntilConfig(ci_width=0.02, min_cycles=5))
    seen = []
    for cycle in range(1, 7):
        repetition.add(RUN, LABEL, make_result(cycle=cycle, j_per_token=0.5))
        seen.append(repetition.is_met(RUN) is not None)
    assert seen == [False] * 4 + [True] * 2


def test_each_experiment_is_judged_by_itself(make_result: Any) -> None:
    repetition = NarrowInterval(UntilConfig(ci_width=0.02, figure="tokens_per_s"))
    for cycle, speed in enumerate((100.0, 130.0, 90.0), 1):
        repetition.add(RUN, LABEL, make_result(cycle=cycle, tokens_per_s=100.0 + cycle / 100))
        repetition.add(NOISY, "testbed.batch_size=8", make_result(cycle=cycle, config_hash=NOISY, tokens_per_s=speed))
    assert repetition.is_met(RUN)
    assert repetition.is_met(NOISY) is None
    (left,) = repetition.unfinished()
    assert left.startswith("testbed.batch_size=8: the 95 % interval of tokens_per_s is ")
    assert left.endswith("% wide after 3 cycles; 2 % was asked for.")


def test_a_failed_cycle_counts_as_a_cycle_and_not_as_a_value(make_result: Any) -> None:
    repetition = NarrowInterval(TWO_PERCENT)
    for cycle, failure in enumerate((None, None, FAILED, None), 1):
        assert repetition.is_met(RUN) is None
        repetition.add(RUN, LABEL, make_result(cycle=cycle, failure=failure))
    assert repetition.is_met(RUN), "three steady values after the fourth cycle"


@pytest.mark.parametrize("missing", [{"failure": FAILED}, {"j_per_token": None}])
def test_what_yields_no_figure_is_not_repeated_for_ever(make_result: Any, missing: dict[str, Any]) -> None:
    repetition = NarrowInterval(TWO_PERCENT)
    for cycle in (1, 2, 3):
        assert repetition.is_met(RUN) is None
        repetition.add(RUN, LABEL, make_result(cycle=cycle, **missing))
    verdict = repetition.is_met(RUN)
    assert verdict == (
        "warning",
        "no interval of j_per_output_token: its first 3 cycles have none. It is not repeated.",
    )


def test_energy_of_different_methods_has_no_interval(make_result: Any) -> None:
    repetition = NarrowInterval(TWO_PERCENT)
    for cycle, method in enumerate(("counter", "counter", "estimate"), 1):
        repetition.add(RUN, LABEL, make_result(cycle=cycle, method=method))
    verdict = repetition.is_met(RUN)
    assert verdict is not None
    assert verdict[0] == "warning"
    assert "differ in how energy was measured" in verdict[1]


def test_without_a_width_every_cycle_is_needed(make_result: Any) -> None:
    repetition = NarrowInterval(ExecutionConfig(cycles=50).until)
    for cycle in range(1, 6):
        repetition.add(RUN, LABEL, make_result(cycle=cycle))
    assert repetition.is_met(RUN) is None
    assert list(repetition.unfinished()) == []
