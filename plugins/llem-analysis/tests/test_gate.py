"""`llem gate`: its two errors over simulated studies, its verdict on written ones, what it refuses, and what a forge reads."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from llem.cli import main
from llem.errors import ConfigError, ResultError
from llem_analysis import accept_baseline, gate, holm
from llem_analysis.comparison import compare, p_above
from llem_analysis.gate_files import junit, summary
from llem_analysis.gate_limit import limit_of
from llem_analysis.gating import p_kept, verdict_of
from llem_analysis.metric_names import metric_specs

WriteDesign = Callable[..., Path]
SIZES = [{"pytorch.batch_size": size} for size in (1, 2, 4)]
PAIRS, CYCLES, NOISE, LIMIT = 1_000, 5, 0.01, 1.03
ROOT = Path(__file__).parents[3]
ACTION = ROOT / ".github" / "actions" / "gate"


@pytest.fixture(autouse=True)
def no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the summary of the step that may be running these tests."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def energy(point: Mapping[str, Any]) -> float:
    return 4.0 / float(point["pytorch.batch_size"])


def drawn(rng: random.Random, middle: float, cycles: int = CYCLES, noise: float = NOISE) -> dict[int, float]:
    return {cycle: rng.gauss(middle, noise * middle) for cycle in range(1, cycles + 1)}


def verdicts(change: float, better: Any = "lower", limit: float = LIMIT, seed: int = 1) -> Counter[str]:
    """Verdicts over so many pairs of studies whose true means differ by so much."""
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(PAIRS):
        p = p_kept(drawn(rng, 0.5), drawn(rng, 0.5 * (1 + change)), limit, better)
        found[verdict_of(p, p)] += 1
    return found


# --- The two errors.


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_at_the_limit_each_error_is_at_most_one_in_twenty(seed: int) -> None:
    found = verdicts(0.03, seed=seed)
    assert found["failed"] <= 0.05 * PAIRS
    assert found["passed"] <= 0.05 * PAIRS
    assert found["failed"] > 0, "a gate that never fails has no error either"
    assert found["passed"] > 0


def test_twice_the_limit_is_found() -> None:
    assert verdicts(0.06)["failed"] >= 0.9 * PAIRS


def test_no_change_passes() -> None:
    assert verdicts(0.0)["passed"] >= 0.9 * PAIRS


def test_of_a_metric_of_which_more_is_better_a_fall_is_found() -> None:
    assert verdicts(-0.06, "higher", 0.97)["failed"] >= 0.9 * PAIRS
    at_limit = verdicts(-0.03, "higher", 0.97)
    assert max(at_limit["failed"], at_limit["passed"]) <= 0.05 * PAIRS


def test_over_several_configurations_a_wrong_fail_is_no_more_likely() -> None:
    rng, wrong = random.Random(4), 0
    for _ in range(PAIRS):
        ps = [p_kept(drawn(rng, 0.5), drawn(rng, 0.515), LIMIT) or 0.0 for _ in range(4)]
        wrong += "failed" in [verdict_of(p, c) for p, c in zip(ps, holm.adjusted(ps), strict=True)]
    assert 0 < wrong <= 0.05 * PAIRS


def test_the_verdict_is_that_of_the_interval_that_compare_shows() -> None:
    rng, seen = random.Random(5), Counter[str]()
    for number in range(300):
        base, other = drawn(rng, 0.5, noise=0.03), drawn(rng, 0.46 + number / 3_000, noise=0.03)
        for order in ("sequential", "interleaved"):
            interval = compare(base, other, order).ratio_interval
            assert interval is not None
            p = p_kept(base, other, LIMIT, order=order)
            expected = "failed" if interval.low > LIMIT else "passed" if interval.high < LIMIT else "undecided"
            assert verdict_of(p, p) == expected
            seen[expected] += 1
    assert min(seen.values()) > 30
    assert len(seen) == 3


def test_values_that_do_not_vary_are_told_by_themselves() -> None:
    same = dict.fromkeys((1, 2, 3), 100.0)
    assert p_above(same, same, "sequential", 1.0) == 1.0
    assert verdict_of(*[p_kept(same, same, 1.0)] * 2) == "passed"
    assert verdict_of(*[p_kept(same, same, 1.0, "higher")] * 2) == "passed"
    assert verdict_of(*[p_kept(same, dict.fromkeys((1, 2, 3), 101.0), 1.0)] * 2) == "failed"
    assert p_kept({1: 1.0, 2: 1.0}, same, 1.0) is None


# --- Studies.


def pair_of_studies(write: WriteDesign, factor: float, cycles: int = 5, noise: float = 0.005) -> tuple[Path, Path]:
    before = write(SIZES, energy=energy, cycles=cycles, noise=noise, relative=True, name="before")
    after = write(
        SIZES, energy=lambda p: factor * energy(p), cycles=cycles, noise=noise, relative=True, name="after", seed=2
    )
    return before, after


@pytest.mark.parametrize(
    ("factor", "verdict", "code"), [(1.0, "passed", 0), (1.1, "failed", 1), (1.03, "undecided", 5)]
)
def test_a_study_is_held_against_another(write_design: WriteDesign, factor: float, verdict: str, code: int) -> None:
    before, after = pair_of_studies(write_design, factor)
    found = gate(before, after, max_increase=0.03)
    assert (found.verdict, found.exit_code, found.matched_by) == (verdict, code, "configuration")
    assert [pair.name for pair in found.pairs] == [f"pytorch.batch_size={size}" for size in (1, 2, 4)]
    assert main(["gate", str(before), str(after), "--max-increase", "3%"]) == code
    assert main(["gate", str(before), str(after), "--max-increase", "0.03"]) == code


def test_one_configuration_that_is_worse_fails_the_gate(write_design: WriteDesign) -> None:
    before, _ = pair_of_studies(write_design, 1.0)
    after = write_design(
        SIZES,
        energy=lambda p: energy(p) * (1.2 if p["pytorch.batch_size"] == 2 else 1),
        cycles=5,
        noise=0.005,
        relative=True,
        name="one",
        seed=3,
    )
    found = gate(before, after, max_increase=0.03)
    assert [pair.verdict for pair in found.pairs] == ["passed", "failed", "passed"]
    assert found.verdict == "failed"


def test_an_undecided_gate_says_how_many_cycles_would_decide_and_so_many_do(write_design: WriteDesign) -> None:
    before, after = pair_of_studies(write_design, 1.015, cycles=3, noise=0.02)
    found = gate(before, after, max_increase=0.03)
    undecided = [pair for pair in found.pairs if pair.verdict == "undecided" and pair.cycles is not None]
    assert undecided
    for pair in undecided:
        assert pair.comparison is not None
        assert pair.comparison.ratio is not None
        assert pair.cycles is not None
        assert pair.cycles > 3
        assert pair.reason is not None
        assert f"about {pair.cycles} cycles" in pair.reason
    rng, decided = random.Random(6), Counter[str]()
    (one, *_) = undecided
    assert one.comparison is not None
    ratio, cycles = one.comparison.ratio or 1.0, one.cycles or 3
    # The spread is that of six values, which may be off by half: the noise is taken from the same values.
    values = [side.by_cycle for side in _values(before, after, one.name)]
    spread = _pooled(values)
    for _ in range(300):
        p = p_kept(drawn(rng, 1.0, cycles, spread), drawn(rng, ratio, cycles, spread), LIMIT)
        decided[verdict_of(p, p)] += 1
    assert decided["undecided"] < 0.3 * 300


def _values(before: Path, after: Path, name: str) -> list[Any]:
    from llem_analysis.comparison_input import read_place
    from llem_analysis.metric_names import metric_specs

    specs = metric_specs(["j_per_output_token"])
    places = [read_place(path, specs) for path in (before, after)]
    return [
        side.candidate.figures["j_per_output_token"] for place in places for side in place.sides if side.name == name
    ]


def _pooled(sides: list[dict[int, float]]) -> float:
    from statistics import mean, variance

    return float(mean(variance(list(s.values())) / mean(s.values()) ** 2 for s in sides) ** 0.5)


def test_too_few_cycles_are_undecided(write_design: WriteDesign) -> None:
    before, after = pair_of_studies(write_design, 1.0, cycles=1, noise=0.0)
    found = gate(before, after, max_increase=0.03)
    assert found.verdict == "undecided"
    assert {pair.reason for pair in found.pairs} == {"it takes 3 cycles of each or more"}
    before, after = pair_of_studies_named(write_design, "two")
    reasons = [pair.reason or "" for pair in gate(before, after, max_increase=0.03).pairs]
    assert all("it takes 3 cycles of each or more; about" in reason for reason in reasons)


def pair_of_studies_named(write: WriteDesign, name: str) -> tuple[Path, Path]:
    made = [
        write(SIZES, energy=energy, cycles=2, noise=0.01, relative=True, name=f"{name}-{seed}", seed=seed)
        for seed in (7, 8)
    ]
    return made[0], made[1]


def test_a_configuration_that_the_candidate_lacks_is_never_passed_over(write_design: WriteDesign) -> None:
    before, _ = pair_of_studies(write_design, 1.0)
    fewer = write_design(SIZES[:2], energy=energy, cycles=5, noise=0.005, relative=True, name="fewer", seed=9)
    found = gate(before, fewer, max_increase=0.05)
    assert [pair.verdict for pair in found.pairs] == ["passed", "passed"]
    assert (found.verdict, found.missing) == ("undecided", ("pytorch.batch_size=4",))
    assert gate(fewer, before, max_increase=0.05).verdict == "passed"
    assert gate(fewer, before, max_increase=0.05).added == ("pytorch.batch_size=4",)


def test_configurations_of_one_study_are_paired_by_cycle(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, cycles=4, noise=0.01, relative=True)
    (folder / "manifest.json").write_text(json.dumps({"order": "interleaved"}))
    one, two = sorted((folder / "experiments").iterdir())[:2]
    found = gate(two, one, max_increase=0.03, anyway=True)
    assert found.pairs[0].comparison is not None
    assert found.pairs[0].comparison.paired
    assert found.verdict == "failed"


# --- No fair comparison.


def test_an_estimate_against_a_measurement_is_undecided_unless_it_is_wanted(write_design: WriteDesign) -> None:
    before, _ = pair_of_studies(write_design, 1.0)
    guessed = write_design(
        SIZES,
        energy=energy,
        cycles=5,
        noise=0.005,
        relative=True,
        name="guessed",
        each=lambda _p, _c: {"method": "estimate", "scope": "cpu"},
    )
    found = gate(before, guessed, max_increase=0.03)
    assert found.verdict == "undecided"
    assert "an estimate" in (found.pairs[0].reason or "")
    assert gate(before, guessed, max_increase=0.03, anyway=True).verdict == "passed"


def test_another_machine_is_undecided_unless_it_is_wanted(write_design: WriteDesign) -> None:
    machines = {
        name: write_design(
            SIZES,
            energy=energy,
            cycles=5,
            noise=0.005,
            relative=True,
            name=name,
            each=lambda _p, _c, model=name: {"environment": {"cpu": {"model": model}}},
        )
        for name in ("EPYC", "Xeon")
    }
    found = gate(machines["EPYC"], machines["Xeon"], max_increase=0.03)
    assert found.verdict == "undecided"
    assert {pair.reason for pair in found.pairs} == {"they ran on machines that differ in CPU"}
    assert gate(machines["EPYC"], machines["Xeon"], max_increase=0.03, anyway=True).verdict == "passed"


def test_other_work_is_undecided_and_voided_energy_is_no_figure(write_design: WriteDesign) -> None:
    before, after = pair_of_studies(write_design, 1.0)
    other = write_design(
        SIZES,
        energy=energy,
        cycles=5,
        noise=0.005,
        relative=True,
        name="other",
        each=lambda _p, _c: {"dataset_sha256": "e" * 64},
    )
    assert "other prompts" in (gate(before, other, max_increase=0.03).pairs[0].reason or "")
    void = write_design(
        SIZES,
        energy=energy,
        speed=lambda _: 100.0,
        cycles=5,
        noise=0.005,
        relative=True,
        name="void",
        each=lambda _p, _c: {"warnings": {"energy_unmeasured": "lost"}},
    )
    found = gate(after, void, max_increase=0.03)
    assert {pair.reason for pair in found.pairs} == {"the candidate has no energy per output token"}


def test_warnings_that_weigh_are_told_once_for_each_side(write_design: WriteDesign) -> None:
    before, _ = pair_of_studies(write_design, 1.0)
    hot = write_design(
        SIZES,
        energy=energy,
        cycles=5,
        noise=0.005,
        relative=True,
        name="hot",
        seed=2,
        each=lambda _p, c: {"warnings": {"thermal_throttle": "hot"} if c == 1 else {"machine_busy": "load"}},
    )
    found = gate(before, hot, max_increase=0.03)
    assert found.warnings == ("of the candidate 3 of 15 runs were throttled (`thermal_throttle`).",)
    assert found.verdict == "passed"


def test_nothing_in_common_is_an_error(write_design: WriteDesign) -> None:
    before, _ = pair_of_studies(write_design, 1.0)
    with pytest.raises(ResultError, match="no configuration and no settings in common"):
        gate(before, write_design([{"vllm.x": 1}, {"vllm.x": 2}], energy=lambda _: 1.0, name="vllm"), max_increase=0.03)


# --- Limits.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "there is no limit"),
        (["--max-decrease", "3%"], "limits what is welcome"),
        (["--max-increase", "3%", "--max-decrease", "3%"], "limits what is welcome"),
        (["--metric", "tokens_per_s", "--max-increase", "3%"], "Give --max-decrease alone"),
        (["--metric", "tokens_per_s", "--max-decrease", "150%"], "leaves nothing of throughput"),
        (["--metric", "nothing", "--max-increase", "3%"], "there is no figure `nothing`"),
        (["--max-increase", "3"], "write a share such as 3%"),
        (["--max-increase", "much"], "write a share such as 3%"),
        (["--max-increase", "nan"], "write a share such as 3%"),
    ],
)
def test_a_limit_that_cannot_be_taken_says_which_can(
    write_design: WriteDesign, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = pair_of_studies(write_design, 1.0)
    assert main(["gate", str(before), str(after), *options]) == 2
    assert says in capsys.readouterr().err


def test_the_limit_of_throughput_is_how_much_it_may_fall(write_design: WriteDesign) -> None:
    def study(name: str, factor: float, seed: int) -> Path:
        return write_design(
            SIZES,
            energy=lambda _: None,
            speed=lambda p: factor * 10 * p["pytorch.batch_size"],
            cycles=5,
            noise=0.005,
            relative=True,
            name=name,
            seed=seed,
        )

    before, slower = study("before", 1.0, 1), study("slower", 0.9, 2)
    assert gate(before, slower, "tokens_per_s", max_decrease=0.03).verdict == "failed"
    assert gate(slower, before, "tokens_per_s", max_decrease=0.03).verdict == "passed"
    with pytest.raises(ConfigError, match="of throughput more is better"):
        gate(before, slower, "tokens_per_s", max_increase=0.03)


def test_a_negative_limit_asks_for_an_improvement(write_design: WriteDesign) -> None:
    before, after = pair_of_studies(write_design, 0.9)
    found = gate(before, after, max_increase=-0.05)
    assert (found.verdict, found.rule) == ("passed", "energy per output token has to fall by 5 % at the least")
    assert gate(before, after, max_increase=-0.2).verdict == "failed"
    assert main(["gate", str(before), str(after), "--max-increase", "-5%"]) == 0


# --- What programs and forges read.


def test_the_json_document_holds_the_verdict(write_design: WriteDesign, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = pair_of_studies(write_design, 1.1)
    assert main(["gate", str(before), str(after), "--max-increase", "3%", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["exit_code"], document["error"]) == ("failed", 1, pytest.approx(0.025))
    assert document["limit"] == pytest.approx(1.03)
    assert document["pairs"][0]["comparison"]["ratio"] == pytest.approx(1.1, abs=0.02)


def test_junit_tells_failures_from_what_could_not_be_judged(write_design: WriteDesign, tmp_path: Path) -> None:
    before, _ = pair_of_studies(write_design, 1.0)
    factors = {1: 1.0, 2: 1.2, 4: 1.03}
    after = write_design(
        SIZES,
        energy=lambda p: energy(p) * factors[p["pytorch.batch_size"]],
        cycles=5,
        noise=0.005,
        relative=True,
        name="mixed",
        seed=2,
    )
    file = tmp_path / "gate.xml"
    assert main(["gate", str(before), str(after), "--max-increase", "3%", "--junit", str(file)]) == 1
    (suite,) = ElementTree.parse(file).getroot()
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert kinds == {
        "pytorch.batch_size=1": [],
        "pytorch.batch_size=2": ["failure"],
        "pytorch.batch_size=4": ["error"],
    }


@pytest.mark.parametrize("option", ["--junit", "--summary"])
def test_the_verdict_is_told_though_its_file_cannot_be_written(
    write_design: WriteDesign, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    before, after = (
        write_design([{"pytorch.batch_size": 1}], energy=lambda _: 1.0, cycles=3, noise=0.001, name=name, seed=seed)
        for name, seed in (("before", 1), ("after", 2))
    )
    assert main(["gate", str(before), str(after), "--max-increase", "3%", option, str(tmp_path / "no" / "file")]) == 2
    said = capsys.readouterr()
    assert "passed" in said.out
    assert str(tmp_path / "no" / "file") in said.err


def test_files_for_a_forge_hold_whatever_a_name_may_be(write_design: WriteDesign) -> None:
    points = [{"pytorch.note": "a|b\x00<c>\n`d`"}, {"pytorch.note": "plain"}]
    before, after = (
        write_design(points, energy=lambda _: 1.0, cycles=3, noise=0.001, name=name, seed=seed)
        for name, seed in (("before", 1), ("after", 2))
    )
    found = gate(before, after, max_increase=0.03)
    assert len(ElementTree.fromstring(junit(found)).findall("testsuite/testcase")) == 2
    rows = [line for line in summary(found).splitlines() if line.startswith("| pytorch")]
    assert len(rows) == 2
    assert all(len(row.replace("\\|", "").split("|")) == 6 for row in rows)


def test_the_summary_of_a_step_is_appended_to(
    write_design: WriteDesign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = pair_of_studies(write_design, 1.0)
    file = tmp_path / "summary.md"
    file.write_text("# earlier\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    assert main(["gate", str(before), str(after), "--max-increase", "3%"]) == 0
    text = file.read_text()
    assert text.startswith("# earlier\n### llem gate: ✅ passed")
    assert text.count("| pytorch.batch\\_size=") == 3


# --- The action.


def test_the_action_hands_each_input_to_its_script() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    step = next(one for one in action["runs"]["steps"] if one.get("id") == "gate")
    handed = set(step["env"].values())
    assert handed == {f"${{{{ inputs.{name} }}}}" for name in action["inputs"] if name != "install"}
    assert not any("${{" in one["run"] for one in action["runs"]["steps"]), "an input is no part of a script"
    script = (ACTION / "gate.sh").read_text()
    assert all(f"${name}" in script for name in step["env"])


@pytest.mark.process
@pytest.mark.parametrize(
    ("factor", "undecided", "stored", "code", "verdict"),
    [
        (1.0, "fail", False, 0, "passed"),
        (1.1, "fail", True, 1, "failed"),
        (1.03, "fail", False, 5, "undecided"),
        (1.03, "pass", False, 0, "undecided"),
    ],
)
def test_the_actions_script_ends_as_the_gate_does(
    write_design: WriteDesign, tmp_path: Path, factor: float, undecided: str, stored: bool, code: int, verdict: str
) -> None:
    before, after = pair_of_studies(write_design, factor)
    store = str(tmp_path / "store")
    if stored:
        accept_baseline(before, store, "gpu-1")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {
        "BASELINE": "gpu-1" if stored else str(before),
        "STORE": store if stored else "",
        "CANDIDATE": str(after),
        "METRIC": "j_per_output_token",
        "MAX_INCREASE": "3%",
    }
    more = {
        "MAX_DECREASE": "",
        "RELATIVE_TO": "",
        "JUNIT": str(tmp_path / "gate.xml"),
        "ANYWAY": "false",
        "UNDECIDED": undecided,
    }
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, str(ACTION / "gate.sh")],
        env={**os.environ, "PATH": path, **given, **more, **files},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert (tmp_path / "output").read_text() == f"verdict={verdict}\n"
    assert (tmp_path / "summary.md").read_text().startswith("### llem gate")
    assert (tmp_path / "gate.xml").is_file()


@pytest.mark.parametrize(
    ("name", "limit"), [("tokens_per_s", 1.0), ("tokens_per_s", 1.5), ("j_per_output_token", -1.0)]
)
def test_a_limit_that_leaves_nothing_of_the_metric_is_refused(name: str, limit: float) -> None:
    (spec,) = metric_specs([name])
    given = (limit, None) if spec.better == "lower" else (None, limit)
    with pytest.raises(ConfigError, match="leaves nothing of"):
        limit_of(spec, *given)
