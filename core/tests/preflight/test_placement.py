"""On which nodes cycles run (`execution.placement`): what it means, what a runner is told, and who is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.identity import design_hash
from llem.config.layers import load_study
from llem.config.study import ExecutionConfig
from llem.errors import ConfigError
from llem.plugin_api import Finding, Placement, PreflightContext
from llem.plugins import default_registry
from llem.preflight.run import run_checks
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem.study.schedule.placement import Placements

A, B = "a" * 64, "b" * 64


def findings(placement: str, runner: str = "local") -> list[Finding]:
    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(
        {
            "model": "random:tiny-llama",
            "backend": "testbed",
            "dataset": {"name": "synthetic", "n": 1, "input_tokens": 2},
        }
    )
    context = PreflightContext(
        registry=default_registry(), experiments=(config,), runners={"testbed": runner}, placement=placement
    )
    return [f for f in run_checks(context) if "placement" in f.message]


def test_anywhere_is_the_default_and_nothing_is_told_to_the_runner() -> None:
    assert ExecutionConfig().placement == "any"
    placements = Placements("any")
    placements.ended(A, {"node": "n1"})
    assert placements.of(A) is None


@pytest.mark.parametrize("rule", ["same_node", "spread"])
def test_a_job_is_told_where_the_cycles_before_it_ran(rule: Any) -> None:
    placements = Placements(rule)
    assert placements.of(A) == Placement(rule=rule, key=A)
    placements.ended(A, {"node": "n1"})
    placements.ended(B, {"node": "n2"})
    placements.ended(A, {})  # it failed before it was anywhere
    placements.ended(A, {"node": "n1"})
    assert placements.of(A) == Placement(rule=rule, key=A, nodes=("n1", "n1"))
    assert placements.of(B) == Placement(rule=rule, key=B, nodes=("n2",))


def test_this_machine_is_one_node_and_cannot_spread() -> None:
    assert findings("any") == []
    assert findings("same_node") == []
    (refused,) = findings("spread")
    assert refused.level == "error"
    assert "the runner `local` cannot place cycles by `execution.placement: spread`" in refused.message
    assert refused.remedy is not None
    assert "set execution.placement to any" in refused.remedy


def test_placement_is_part_of_the_design_and_changes_none_without_it() -> None:
    def design(**execution: Any) -> str:
        return design_hash([bytes.fromhex(A)], ExecutionConfig(**execution))

    assert design() == design(placement="any")
    assert len({design(placement=rule) for rule in ("any", "same_node", "spread")}) == 3


def test_a_rule_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    study, user = tmp_path / "study.yaml", tmp_path / "user.yaml"
    study.write_text("model: m\nexecution: {placement: same}\n")
    user.write_text("{}")
    with pytest.raises(ConfigError, match=r"any, same_node(,| or) spread"):
        load_study(study, environ={}, user_file=user, backends={}, complete=False)
