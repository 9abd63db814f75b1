"""`execution.until` as it is written, checked and layered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llem.config.identity import design_hash
from llem.config.layers import LoadedStudy, load_study
from llem.config.study import ExecutionConfig
from llem.errors import ConfigError
from llem.plan.schedule import RunOrder, gaps_s

NONE: dict[str, Any] = {}


def load(tmp_path: Path, execution: str, user: str = "", **options: Any) -> LoadedStudy:
    (tmp_path / "study.yaml").write_text(f"execution: {execution}\n")
    (tmp_path / "user.yaml").write_text(user or "{}")
    return load_study(
        tmp_path / "study.yaml", user_file=tmp_path / "user.yaml", environ={}, backends=NONE, complete=False, **options
    )


@pytest.mark.parametrize("written", ["0.02", "2 %", "2%", "2.0 %", "'2 %'"])
def test_a_width_is_a_share_or_a_percentage(tmp_path: Path, written: str) -> None:
    execution = load(tmp_path, f"{{until: {{ci_width: {written}}}}}").config.execution
    assert execution.until.ci_width == pytest.approx(0.02)
    assert execution.until.ci_width_text == "2 %"
    assert (execution.fewest_cycles, execution.most_cycles) == (3, 20)


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("{ci_width: 2}", "a number above 0 and at most 1"),
        ("{ci_width: 0}", "above 0"),
        ("{ci_width: 200 %}", "ci_width"),
        ("{ci_width: two}", "write a share such as 0.02, or 2 %"),
        ("{ci_width: 2 %, min_cycles: 2}", "from 3 to 100,000"),
        ("{ci_width: 2 %, min_cycles: 30}", "min_cycles (30) is above max_cycles (20)"),
        ("{ci_widht: 2 %}", "Did you mean `execution.until.ci_width`?"),
        ("{max_cycles: 5}", "without ci_width it has no effect"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, until: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"{{until: {until}}}")
    assert words in str(caught.value)
    assert "study.yaml:1:" in str(caught.value)


def test_cycles_and_until_exclude_each_other_in_one_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`cycles` and `until` both say how often"):
        load(tmp_path, "{cycles: 5, until: {ci_width: 2 %}}")


def test_cycles_of_the_command_line_replace_until_of_the_study(tmp_path: Path) -> None:
    loaded = load(tmp_path, "{until: {ci_width: 2 %}}", overrides={"execution.cycles": 4})
    assert (loaded.config.execution.fewest_cycles, loaded.config.execution.most_cycles) == (4, 4)
    assert loaded.notes == ("`execution.until` is left out: `execution.cycles` is given by command line.",)
    assert "execution.until.ci_width" not in loaded.origins


def test_until_of_the_study_replaces_cycles_of_the_user_file_and_the_command_line_refines_it(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "{until: {ci_width: 2 %}}",
        user="execution: {cycles: 9}\n",
        overrides={"execution.until.max_cycles": 5},
    )
    assert (loaded.config.execution.fewest_cycles, loaded.config.execution.most_cycles) == (3, 5)
    assert "execution.cycles" not in loaded.origins


def test_until_can_be_switched_off_from_the_command_line(tmp_path: Path) -> None:
    loaded = load(tmp_path, "{until: {ci_width: 2 %}}", settings=["execution.until.ci_width=null"])
    assert loaded.config.execution.most_cycles == 1


def test_until_is_part_of_the_design_and_changes_no_design_without_it() -> None:
    def design(**execution: Any) -> str:
        # The order that was the default then; a design that leaves it out now runs in another one, and is another.
        return design_hash([b"\xab" * 32], ExecutionConfig(**{"order": "interleaved", **execution}))

    plain = design()
    # Of the version before `until` was known.
    assert plain == PLAIN_DESIGN
    widths = [design(until={"ci_width": width}) for width in (0.02, 0.05)]
    bounds = [design(until={"ci_width": 0.02, name: 7}) for name in ("min_cycles", "max_cycles")]
    other = design(until={"ci_width": 0.02, "figure": "tokens_per_s"})
    assert len({plain, *widths, *bounds, other}) == 6
    assert design(until={"ci_width": "2 %"}) == widths[0]


PLAIN_DESIGN = "7cc4d045efde047d678c91819a9b8c0aa43f7d6bbb9b20b7417f798e6b128785"


def test_the_schedule_holds_as_many_cycles_as_there_can_be_and_gaps_as_there_must() -> None:
    execution = ExecutionConfig(until={"ci_width": 0.02}, order="latin_square", experiment_gap_s=1, cycle_gap_s=10)  # type: ignore[arg-type]
    schedule = RunOrder.of(execution, 3)
    assert len(schedule) == 60
    begins = [schedule[3 * cycle][1] for cycle in range(20)]
    assert sorted(begins[:3]) == [0, 1, 2], "balanced after the fewest cycles"
    assert gaps_s(execution, 3) == 2 * 10 + 6 * 1
