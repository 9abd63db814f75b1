"""Preflight: which checks a plan meets, what a broken check does, and what the checks that llem brings find."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llem import distributions
from llem.config.compose import Composer
from llem.config.experiment import DatasetConfig, ExperimentConfig, ModelConfig
from llem.datasets.chat import check_template
from llem.errors import ConfigError, DatasetError, ModelError, PreflightError
from llem.plugins import Registry, default_registry
from llem.preflight import checks
from llem.preflight.run import run_checks
from llem.specs.check import CheckSpec, Finding, PreflightContext
from llem.specs.dataset import Message, Prompt
from llem.specs.kinds import BACKENDS, CHECKS, RUNNERS, SCENARIOS
from llem.specs.registry import HookKind, Plugin
from llem.study.reporter import SilentReporter
from llem.study.run import report_findings


def experiment(**sections: Any) -> ExperimentConfig:
    document = {
        "model": "random:tiny-llama",
        "backend": "testbed",
        "dataset": {"name": "synthetic", "n": 2, "input_tokens": 4, "output_tokens": 3},
    }
    return Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose({**document, **sections})


def planned(*experiments: ExperimentConfig, registry: Registry | None = None, **values: Any) -> PreflightContext:
    found = experiments or (experiment(),)
    runners = {e.backend: "local" for e in found}
    return PreflightContext(registry=registry or default_registry(), experiments=found, runners=runners, **values)


def by_level(findings: Iterable[Finding], level: str) -> list[str]:
    return [f"{f.message} {f.remedy or ''}" for f in findings if f.level == level]


# Checks of this module, registered by a registry of the test's own.


def fine(context: PreflightContext) -> Iterator[Finding]:
    yield Finding(level="ok", message="fine")


def raises(context: PreflightContext) -> Iterator[Finding]:
    yield Finding(level="error", message="said before it broke")
    raise RuntimeError("no idea")


def leaves(context: PreflightContext) -> list[Finding]:
    raise SystemExit(3)


def returns_text(context: PreflightContext) -> list[str]:
    return ["fine"]


def refuses(context: PreflightContext) -> list[Finding]:
    raise ModelError("it is too large.", remedy="Take a smaller one.")


def tells_a_password(context: PreflightContext) -> Iterator[Finding]:
    yield Finding(level="error", message="refused password=hunter2", remedy="Try https://me:hunter2@example.org.")


class Checks(Registry):
    """The installed plugins, with some checks of this module in the place of theirs."""

    def __init__(self, *functions: Callable[..., Any], **conditions: Any) -> None:
        super().__init__()
        self._checks = {
            f.__name__: CheckSpec(
                name=f.__name__, api_version=1, summary="", check=f"{__name__}:{f.__name__}", **conditions
            )
            for f in functions
        }

    def __getitem__(self, kind: HookKind[Any]) -> Mapping[str, Any]:
        return self._checks if kind is CHECKS else super().__getitem__(kind)

    def provider(self, kind: HookKind[Any], name: str) -> Plugin:
        return super().provider(RUNNERS, "local") if kind is CHECKS else super().provider(kind, name)


def test_a_check_that_breaks_is_a_warning_that_names_whose_it_is() -> None:
    for function, what in (
        (raises, "RuntimeError: no idea"),
        (leaves, "SystemExit: 3"),
        (returns_text, "a str, not a Finding"),
    ):
        (found,) = run_checks(planned(registry=Checks(function)))
        assert (found.level, found.check) == ("warning", function.__name__)
        assert what in found.message
        assert f"--skip-preflight {function.__name__}" in (found.remedy or "")


def test_a_password_is_neither_in_what_a_check_found_nor_in_its_remedy() -> None:
    (found,) = run_checks(planned(registry=Checks(tells_a_password)))
    assert (found.message, found.remedy) == ("refused password=***", "Try https://***@example.org.")


def test_an_error_that_a_check_raises_for_the_user_is_an_error() -> None:
    (found,) = run_checks(planned(registry=Checks(refuses)))
    assert found == Finding(level="error", message="it is too large.", remedy="Take a smaller one.", check="refuses")


@pytest.mark.parametrize(
    ("conditions", "runs"),
    [
        ({}, True),
        ({"backends": frozenset({"testbed"})}, True),
        ({"backends": frozenset({"vllm"})}, False),
        ({"runners": frozenset({"local"})}, True),
        ({"runners": frozenset({"docker"})}, False),
    ],
)
def test_only_checks_that_the_plan_touches_run_and_doctor_runs_all(conditions: dict[str, Any], runs: bool) -> None:
    registry = Checks(fine, **conditions)
    assert bool(run_checks(planned(registry=registry))) == runs
    assert run_checks(PreflightContext(registry=registry))


def test_a_check_can_be_left_out_by_its_name_and_only_by_a_name_that_is_known() -> None:
    registry = Checks(fine)
    assert run_checks(planned(registry=registry), ["fine"]) == []
    with pytest.raises(ConfigError, match="Did you mean `fine`"):
        run_checks(planned(registry=registry), ["fien"])


def test_all_errors_are_told_at_once_and_warnings_are_said() -> None:
    said: list[str] = []

    class Listener(SilentReporter):
        def message(self, level: Any, text: str) -> None:
            said.append(f"{level}: {text}")

    bad = [Finding(level="error", message=f"bad {n}", remedy="Mend it.", check=f"c{n}") for n in (1, 2)]
    doubtful = Finding(level="warning", message="doubtful", check="c3")
    with pytest.raises(PreflightError) as caught:
        report_findings([*bad, doubtful, Finding(level="ok", message="fine", check="c4")], Listener())
    assert said == ["warning: c3: doubtful."]
    assert str(caught.value).splitlines() == [
        "2 preflight checks failed; nothing has run:",
        "  c1: bad 1. Mend it.",
        "  c2: bad 2. Mend it.",
    ]
    with pytest.raises(PreflightError) as caught:
        report_findings(bad[:1], Listener())
    assert str(caught.value) == "preflight c1: bad 1. Mend it."


def test_a_results_folder_below_one_that_is_missing_is_judged_by_the_nearest_that_exists(tmp_path: Path) -> None:
    (found,) = checks.check_output(planned(output=tmp_path / "a" / "b" / "c"))
    assert found.level == "ok"
    assert str(tmp_path) in found.message
    assert list(tmp_path.iterdir()) == []


def test_a_study_larger_than_the_free_room_is_warned_of(tmp_path: Path) -> None:
    (found,) = checks.check_output(planned(output=tmp_path, planned=10**12))
    assert found.level == "warning"
    assert "1,000,000,000,000 experiments" in found.message


def test_the_largest_n_of_a_dataset_is_the_one_that_is_checked(tmp_path: Path) -> None:
    (tmp_path / "two.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    data = {"name": "jsonl", "path": "two.jsonl", "output_tokens": 2}
    small, large = experiment(dataset={**data, "n": 2}), experiment(dataset={**data, "n": 3})
    assert by_level(checks.check_datasets(planned(small, base_dir=tmp_path)), "error") == []
    (error,) = by_level(checks.check_datasets(planned(small, large, base_dir=tmp_path)), "error")
    assert "two.jsonl" in error


@pytest.mark.parametrize(
    ("kept", "level", "says"),
    [
        ([], "ok", "not visible"),
        (["performance", "performance"], "ok", "is performance"),
        (["performance", "powersave"], "warning", "powersave"),
    ],
)
def test_a_governor_that_lets_clocks_vary_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[str], level: str, says: str
) -> None:
    for number, governor in enumerate(kept):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    found = next(f for f in checks.check_governor(planned()) if "governor" in f.message)
    assert found.level == level
    assert says in found.message


@pytest.mark.parametrize(("load", "level"), [(0.1, "ok"), (64.0, "warning")])
def test_other_load_is_a_warning_by_its_own_name(monkeypatch: pytest.MonkeyPatch, load: float, level: str) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    (found,) = [f for f in run_checks(planned()) if f.check == "load"]
    assert found.level == level
    assert f"load average {load:.1f} on 8 processors" in found.message


def test_what_is_not_registered_is_not_reported() -> None:
    bare = Registry(entry_points=[])  # llem by itself, without a backend
    found = run_checks(PreflightContext(registry=bare))
    (error,) = by_level(found, "error")
    assert error.startswith("no backend is installed Install one: pip install llem-pytorch")
    assert not [f.message for f in found if "can run here" in f.message]
    assert run_checks(PreflightContext(registry=Registry(entry_points=[], builtin=False))) == []


def test_a_backend_without_what_it_needs_is_a_warning_to_doctor_only() -> None:
    assert by_level(checks.check_requirements(planned()), "error") == []
    assert by_level(checks.check_requirements(PreflightContext(registry=default_registry())), "error") == []
    assert any(
        "testbed can run here" in text
        for text in by_level(checks.check_requirements(PreflightContext(registry=default_registry())), "ok")
    )


def test_chats_for_a_random_model_without_a_tokenizer_are_refused_and_no_other_model() -> None:
    chats, data = [Prompt(messages=(Message("user", "hi"),))], DatasetConfig(n=1)
    with pytest.raises(DatasetError, match="prompt 0 of the dataset is a chat, and the model random:tiny-llama has no"):
        check_template(chats, data, ModelConfig(source="random:tiny-llama"))
    check_template(chats, data, ModelConfig(source="random:tiny-llama", tokenizer="org/name"))
    check_template(chats, data, ModelConfig(source="org/name"))
    check_template([Prompt(text="hi")], data, ModelConfig(source="random:tiny-llama"))


def test_a_chat_template_for_a_random_model_without_a_tokenizer_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"prompt": "hi"}\n')
    data = {"name": "jsonl", "path": "texts.jsonl", "n": 1, "output_tokens": 2}
    plain = experiment(dataset=data)
    wrapped = experiment(dataset={**data, "chat_template": True})
    (error,) = by_level(checks.check_datasets(planned(plain, wrapped, base_dir=tmp_path)), "error")
    assert "`dataset.chat_template` is true" in error


def test_devices_that_nothing_here_measures_are_told_with_what_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = distributions.Distribution("llem-odd", "llem_odd", "llem-odd", devices=("odd GPUs", str(tmp_path)))
    absent = replace(there, devices=("other GPUs", str(tmp_path / "nothing")))
    known = replace(there, package="llem")
    monkeypatch.setattr(distributions, "DISTRIBUTIONS", (there, absent, known))
    (told,) = [text for text in by_level(checks.check_meters(planned()), "warning") if "which measures them" in text]
    assert f"this machine has odd GPUs ({tmp_path}), and llem-odd, which measures them, is not installed here" in told
    assert told.endswith("pip install llem-odd.")
