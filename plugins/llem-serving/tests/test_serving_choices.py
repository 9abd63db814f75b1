"""Choices over studies of loads whose truth is known: `llem pick`, `compare`, `analyze`, `pareto`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from served_studies import energy_j, good_tokens, write_served_study

from llem.config.study import UntilConfig
from llem.errors import ConfigError, ResultError
from llem.plugins import default_registry
from llem.results.store import read_result
from llem_analysis import analyze, contrast, pareto, pick
from llem_analysis.candidates import candidates
from llem_analysis.commands.pick import pick as command
from llem_analysis.commands.show import show
from llem_analysis.loading import load_rows
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.metric_summary import MetricSummary
from llem_analysis.stopping import NarrowInterval
from llem_serving.config import SloConfig
from llem_serving.judging.again import rejudge_runs
from llem_serving.judging.study import judge_study

RATES = (2.0, 4.0, 8.0, 16.0)
SLOW = {2.0: 0.0, 4.0: 1 / 240, 8.0: 0.025, 16.0: 0.5}
OWN = {"ttft_s": 0.2, "attainment": 0.99}


def slow(_: Mapping[str, Any], rate: float) -> float:
    return SLOW[rate]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], obj=default_registry())


def test_figures_are_those_of_the_truth(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", RATES, slow=slow, slo=OWN)
    points = {p.settings["load.rate_rps"]: p for p in pareto(folder, ["j_per_good_token", "goodput_rps"]).points}
    for rate in RATES:
        true = energy_j(rate) / good_tokens(rate, SLOW[rate])
        assert points[rate].values["j_per_good_token"] == pytest.approx(true, rel=0.002)
        assert points[rate].values["goodput_rps"] == pytest.approx(rate * (1 - SLOW[rate]), rel=0.002)


def test_the_pick_is_the_best_rate_within_the_objectives(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", RATES, slow=slow, slo=OWN)
    # Without objectives more load is always less energy, until half of all requests are slow.
    assert pick(folder, "j_per_good_token").settings == {"load.rate_rps": 8.0}
    own = pick(folder, "j_per_good_token", objectives={})
    assert own.settings == {"load.rate_rps": 4.0}
    assert (own.kept, own.considered, own.lacking) == (2, 4, 0)
    assert "attainment 99.58 %" in str(own.objectives)
    assert "(asked: at least 99.00 % within TTFT 0.2 s)" in str(own.objectives)
    assert "keep the objectives and all limits, of 4" in own._repr_html_()
    assert "attainment 99.58 %" in own._repr_html_()
    looser = pick(folder, "j_per_good_token", objectives={"attainment": 0.95})
    assert looser.settings == {"load.rate_rps": 8.0}
    assert looser.kept == 3


def test_other_limits_are_judged_from_the_requests(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", RATES, slow=slow, slo=OWN)
    found = pick(folder, "j_per_good_token", objectives={"ttft_s": 0.6})
    assert found.settings == {"load.rate_rps": 16.0}
    # By this limit every token is good.
    assert found.figures["j_per_good_token"].measured == pytest.approx(energy_j(16.0) / good_tokens(16.0, 0), rel=0.002)
    # By one that half of all requests miss, in a study by whose own they are good, half as many tokens are.
    lenient = write_served_study(tmp_path / "t", [16.0], slow=slow, slo={"ttft_s": 0.6})
    missed = pick(lenient, "j_per_good_token", objectives={"ttft_s": 0.2, "attainment": 0.4})
    assert missed.figures["j_per_good_token"].measured == pytest.approx(
        energy_j(16.0) / good_tokens(16.0, 0.5), rel=0.002
    )
    judged = judge_study(folder, SloConfig(ttft_s=0.6)).configurations[-1]
    assert judged.j_per_good_token is not None
    assert found.figures["j_per_good_token"].measured == pytest.approx(judged.j_per_good_token.mean)


def test_one_limit_that_is_given_stands_for_all(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", RATES, slow=slow, slo={**OWN, "e2e_s": 0.55})
    assert pick(folder, "j_per_good_token", objectives={}).kept == 2
    assert pick(folder, "j_per_good_token", objectives={"ttft_s": 0.6}).kept == 4
    with pytest.raises(ResultError, match=r"no configuration keeps the objectives. load.rate_rps=2: attainment 0.00 %"):
        pick(folder, "j_per_good_token", objectives={"tpot_s": 0.05, "attainment": 0.5})


def test_a_saturated_rate_is_never_picked(tmp_path: Path) -> None:
    folder = write_served_study(
        tmp_path / "s",
        RATES,
        slo=OWN,
        warnings=lambda _, rate, cycle: {"saturated": "more and more wait"} if (rate, cycle) == (16.0, 2) else {},
    )
    found = pick(folder, "j_per_good_token", objectives={})
    assert found.settings == {"load.rate_rps": 8.0}
    assert (found.kept, found.considered) == (3, 4)
    assert any("1 of 9 runs were offered more than their engine can serve" in caution for caution in found.cautions)
    # All cycles of it are: nothing of it is left to conclude from, with objectives or without.
    whole = write_served_study(
        tmp_path / "t", RATES, slo=OWN, warnings=lambda _, rate, __: {"saturated": "…"} if rate == 16.0 else {}
    )
    assert pick(whole, "j_per_good_token").settings == {"load.rate_rps": 8.0}
    assert pick(whole, "j_per_good_token").lacking == 1
    with pytest.raises(
        ResultError, match=r"no configuration keeps the objectives. random:tiny-llama on testbed: 3 of 3 runs were"
    ):
        pick(_only(whole, 16.0), "j_per_good_token", objectives={})


def _only(folder: Path, rate: float) -> Path:
    """The study without its other rates."""
    import shutil

    for job in (folder / "experiments").iterdir():
        if json.loads((job / "result.json").read_text())["config"]["load"]["rate_rps"] != rate:
            shutil.rmtree(job)
    return folder


def test_at_a_load_that_there_is_the_best_setting_is_picked(tmp_path: Path) -> None:
    """Of two settings the second takes less energy for each token, and is slow at the higher rate."""
    folder = write_served_study(
        tmp_path / "s",
        [4.0, 8.0],
        settings=({"testbed.batch_size": 1}, {"testbed.batch_size": 2}),
        token_j=lambda s: 2.0 if s["testbed.batch_size"] == 1 else 1.6,
        slow=lambda s, rate: 0.1 if (s["testbed.batch_size"], rate) == (2, 8.0) else 0.0,
        slo=OWN,
    )
    for rate, size in ((4.0, 2), (8.0, 1)):
        found = pick(folder, "j_per_good_token", objectives={}, among=f"load.rate_rps={rate:g}")
        assert found.settings == {"load.rate_rps": rate, "testbed.batch_size": size}
        assert found.considered == 2
    done = run(folder, "--min", "j_per_good_token", "--where", "load.rate_rps=8,batch_size=2")
    assert done.output.startswith("# load.rate_rps=8, testbed.batch_size=2")
    assert isinstance(run(folder, "--where", "load.rate_rps=5").exception, ConfigError)


def test_objectives_that_a_narrow_margin_decides_are_a_caution(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [4.0, 8.0], slow=slow, slo=OWN, cycles=1)
    close = pick(folder, "j_per_good_token", objectives={"attainment": 0.97})
    assert close.settings == {"load.rate_rps": 8.0}
    assert close.cautions[0].startswith("another run may miss the objectives")
    assert not any("may miss" in c for c in pick(folder, "j_per_good_token", objectives={"attainment": 0.5}).cautions)


def test_picking_without_objectives_says_that_they_were_not_asked_for(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", RATES, slow=slow, slo=OWN)
    assert "--slo own leaves out" in pick(folder, "j_per_good_token").cautions[0]
    assert not any("--slo" in caution for caution in pick(folder, "j_per_output_token").cautions)


def test_the_command_prints_the_study_to_run_with_its_load(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", RATES, slow=slow, slo=OWN, noise=0.01)
    done = run(folder, "--min", "j_per_good_token", "--slo", "ttft_s=0.2,attainment=0.99")
    assert done.exit_code == 0, done.output
    assert "# has the lowest energy per good token of s: 2 of 4 configurations keep the objectives." in done.output
    assert "# attainment 99.58 %, 95 % interval " in done.output
    import yaml

    document = yaml.safe_load(done.output)
    assert document["load"] == {
        "arrival": "constant",
        "parts": 6,
        "ramp_s": 2.0,
        "rate_rps": 4.0,
    }
    assert document["slo"] == {"ttft_s": 0.2}
    assert document["measurement"] == {"scenario": "server"}
    assert "decoding" not in document, "natural is what the scenario takes by itself"
    told = json.loads(run(folder, "--min", "j_per_good_token", "--slo", "own", "--json").output)
    assert told["objectives"].startswith("attainment 99.58 %")
    assert told["judged_by"] == {"slo": {"ttft_s": 0.2, "tpot_s": None, "e2e_s": None, "attainment": 0.99}}
    # The study that is printed is judged as this one was.
    other = yaml.safe_load(run(folder, "--min", "j_per_good_token", "--slo", "e2e_s=3,attainment=0.9").output)
    assert other["slo"] == {"e2e_s": 3.0, "attainment": 0.9}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ttft=0.2", "objectives have no key `ttft`"),
        ("ttft_s", "`ttft_s` is no objective"),
        ("ttft_s=fast", "`ttft_s=fast` is no objective"),
        ("ttft_s=nan", "is no objective"),
        ("ttft_s=0.2,ttft_s=0.3", "`ttft_s=0.3` is no objective"),
        ("ttft_s=-1", "`slo.ttft_s` is -1.0"),
        ("ttft_s=0.2,attainment=2", "`slo.attainment` is 2.0"),
        ("attainment=0.9", "objectives take a limit"),
    ],
)
def test_objectives_that_are_none_are_refused(tmp_path: Path, words: str, said: str) -> None:
    folder = write_served_study(tmp_path / "s", [2.0], cycles=1)
    done = run(folder, "--min", "j_per_good_token", "--slo", words)
    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)


def test_runs_without_a_load_have_no_objectives(tmp_path: Path, write_design: Any) -> None:
    folder = write_design([{"a.x": 1}, {"a.x": 2}])
    with pytest.raises(ResultError, match="can be judged by objectives"):
        pick(folder, objectives={"ttft_s": 0.2})


def test_a_run_whose_requests_are_gone_is_not_judged_by_what_it_had(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [2.0, 4.0], slo=OWN, cycles=1)
    (folder / "experiments" / "00002" / "requests.parquet").unlink()
    assert pick(folder, "j_per_good_token", objectives={}).settings == {"load.rate_rps": 2.0}


def test_engines_are_compared_by_the_energy_of_good_tokens(tmp_path: Path) -> None:
    """Of two settings the second takes a fifth less for each token, and makes a tenth of requests slow."""
    settings = ({"testbed.batch_size": 1}, {"testbed.batch_size": 2})
    folder = write_served_study(
        tmp_path / "s",
        [4.0, 8.0],
        settings=settings,
        token_j=lambda s: 2.0 if s["testbed.batch_size"] == 1 else 1.6,
        slow=lambda s, _: 0.0 if s["testbed.batch_size"] == 1 else 0.1,
        slo=OWN,
        cycles=4,
        noise=0.005,
    )
    found = analyze(folder, figures=["j_per_good_token"]).figure("j_per_good_token")
    assert found is not None
    true = {
        (rate, size): energy_j(rate, joules) / good_tokens(rate, share)
        for rate in (4.0, 8.0)
        for size, joules, share in ((1, 2.0, 0.0), (2, 1.6, 0.1))
    }
    effects = {effect.parameter: effect.contrast for effect in found.effects}
    assert set(effects) == {"load.rate_rps", "testbed.batch_size"}
    by_rate = ((true[8.0, 1] * true[8.0, 2]) / (true[4.0, 1] * true[4.0, 2])) ** 0.5
    by_size = ((true[4.0, 2] * true[8.0, 2]) / (true[4.0, 1] * true[8.0, 1])) ** 0.5
    for name, ratio in (("load.rate_rps", by_rate), ("testbed.batch_size", by_size)):
        assert abs(math.log(effects[name].ratio)) == pytest.approx(abs(math.log(ratio)), abs=0.01)


def test_two_studies_are_compared(tmp_path: Path) -> None:
    before = write_served_study(tmp_path / "before", [4.0, 8.0], slo=OWN, cycles=4, noise=0.005)
    after = write_served_study(tmp_path / "after", [4.0, 8.0], slo=OWN, cycles=4, noise=0.005, token_j=lambda _: 1.0)
    found = contrast([before, after], figures=["j_per_good_token"])
    ratios = [pair.figures["j_per_good_token"].ratio for pair in found.pairs]
    for ratio, rate in zip(ratios, (4.0, 8.0), strict=True):
        assert ratio == pytest.approx(energy_j(rate, 1.0) / energy_j(rate), rel=0.02)


@pytest.mark.parametrize("figure", ["j_per_good_token", "goodput_rps", "attainment"])
def test_a_load_is_repeated_until_a_figure_of_it_is_told(tmp_path: Path, figure: str) -> None:
    folder = write_served_study(tmp_path / "s", [4.0], slow=slow, slo=OWN, cycles=6, noise=0.05)
    rule = NarrowInterval(UntilConfig(ci_width=0.1, figure=figure), default_registry())
    told = []
    for job in sorted((folder / "experiments").iterdir()):
        rule.add("a", "load.rate_rps=4.0", read_result(job))
        told.append(rule.is_met("a"))
    assert told[:2] == [None, None]
    # Energy varies by 5 % from cycle to cycle: three are too few. What does not vary is told by three.
    if figure == "j_per_good_token":
        assert told[2] is None
        width = next(summary.interval for summary in [_summary(folder)] if summary.interval is not None)
        assert (told[-1] is not None) is (width.width / _summary(folder).mean <= 0.1)
    else:
        assert told[2] is not None
        assert f"the 95 % interval of {figure} is 0 % of its mean wide after 3 cycles" in told[2][1]


def _summary(folder: Path) -> MetricSummary:
    (point,) = [
        one.figures["j_per_good_token"] for one in candidates(load_rows(folder), [METRIC_SPECS["j_per_good_token"]])
    ]
    return point


def test_saturated_cycles_are_not_repeated_for_a_figure_that_they_have_not(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [4.0], slo=OWN, warnings=lambda *_: {"saturated": "…"})
    rule = NarrowInterval(UntilConfig(ci_width=0.1, figure="j_per_good_token"), default_registry())
    for job in sorted((folder / "experiments").iterdir()):
        rule.add("a", "load.rate_rps=4.0", read_result(job))
    assert rule.is_met("a") == (
        "warning",
        "no interval of j_per_good_token: its first 3 cycles have none. It is not repeated.",
    )


def test_a_cycle_without_a_good_token_takes_the_figure_from_its_configuration_in_every_command(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [2.0, 4.0, 8.0], slo=OWN, all_slow={(8.0, 2)})
    other = write_served_study(tmp_path / "t", [2.0, 4.0, 8.0], slo=OWN)
    figure = "j_per_good_token"
    # Its other cycles are the best of all: a mean of these would be picked.
    assert pick(other, figure).settings == {"load.rate_rps": 8.0}
    picked = pick(folder, figure)
    assert (picked.settings, picked.lacking) == ({"load.rate_rps": 4.0}, 1)
    assert pick(folder, figure, objectives={"attainment": 0.5}).settings == {"load.rate_rps": 4.0}
    found = analyze(folder, figures=[figure]).figure(figure)
    assert found is not None
    assert found.configurations == 2
    assert [figure in pair.figures for pair in contrast([other, folder], figures=[figure]).pairs] == [True, True, False]
    shown = CliRunner().invoke(show, [str(folder), "--json"], obj=default_registry())
    configurations = json.loads(shown.stdout)["experiments"]
    assert [one["figures"].get(figure) is not None for one in configurations] == [True, True, False]
    judged = judge_study(folder, SloConfig(ttft_s=0.2))
    assert [one.j_per_good_token is not None for one in judged.configurations] == [True, True, False]
    assert any("1 configuration had a cycle without a good token" in note for note in judged.notes)
    rule = NarrowInterval(UntilConfig(ci_width=0.1, figure=figure), default_registry())
    for place in (3, 6, 9):
        rule.add("a", "load.rate_rps=8.0", read_result(folder / "experiments" / f"{place:05}"))
    said = "no interval of j_per_good_token: its first 3 cycles have one without any. It is not repeated."
    assert rule.is_met("a") == ("warning", said)


def test_objectives_are_kept_by_all_cycles_together(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [4.0], slo=OWN, cycles=3, all_slow={(4.0, 2)})
    jobs = sorted((folder / "experiments").iterdir())
    found = rejudge_runs(jobs, {"slo": {"attainment": 0.6}})
    assert (found.kept, found.judged_by["slo"]["attainment"]) == (True, 0.6)
    assert rejudge_runs(jobs, {"slo": {"attainment": 0.7}}).kept is False
    assert [one["attainment"] for one in found.metrics if one is not None] == [1.0, 0.0, 1.0]
