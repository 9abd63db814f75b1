"""Findings before a study that backends over engines share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llem.config.compose import Composer
from llem.errors import ConfigError
from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_engines.names import EngineNames
from llem_engines.preflight import option_findings, version_findings
from llem_engines.schemas import OptionSchemas

NAMES = EngineNames("Mill", "mill", ("mill",), "mill.log", "flour cache", "mill.sack")


@pytest.mark.parametrize(
    ("installed", "level", "said"),
    [
        (None, "error", "Mill is not installed in this environment."),
        ("1.1", "ok", "Mill 1.1, with its own options."),
        ("1.0", "warning", "llem-mill was tried with Mill 1.1 only."),
        ("2.0", "warning", "llem-mill knows the options of 1.0, 1.1: those of 1.1 are taken."),
    ],
)
def test_the_version_here_is_held_against_those_whose_options_are_known(
    installed: str | None, level: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "1.1"):
        (tmp_path / f"{version}.json").write_text("{}")
    schemas = OptionSchemas(tmp_path, "1.1", ("engine",), NAMES)
    monkeypatch.setattr(schemas, "installed", lambda: installed)
    context = PreflightContext(registry=default_registry(), runners={"mill": "local"})
    (finding,) = version_findings(context, schemas, "Build one.")
    assert finding.level == level
    assert said in finding.message
    elsewhere = PreflightContext(registry=default_registry(), runners={"mill": "docker:x"})
    assert len(list(version_findings(elsewhere, schemas, "Build one."))) == (installed is not None)


def test_every_error_of_every_check_is_a_finding_and_other_backends_have_none() -> None:
    registry = default_registry()
    composer = Composer(registry[BACKENDS], registry[SCENARIOS])
    config = composer.compose({"model": "random:smollm2-135m", "backend": "vllm"})

    def raises(_: object) -> None:
        raise ConfigError("one.", remedy="First.")

    def gives(_: object) -> Iterator[ConfigError]:
        yield ConfigError("two.")
        yield ConfigError("three.")

    context = PreflightContext(registry=registry, experiments=[config])
    found = list(option_findings(context, "vllm", raises, lambda _: None, gives))
    assert [(one.level, one.message) for one in found] == [("error", "one."), ("error", "two."), ("error", "three.")]
    assert found[0].remedy == "First."
    assert list(option_findings(context, "mill", raises)) == []
