"""The promises that every preflight check must keep: it finds the trouble, says what to do, and changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from llem.plugin_api import CHECKS, CheckSpec, Finding, PreflightContext, load_object
from llem_plugin_kit.processes import nothing_left
from llem_plugin_kit.registering import imported_by_registering, installed


class CheckConformance:
    """Subclass it in a test module; pytest collects the tests below for your check.

    Attributes:
        check: the name that your plugin registers.
    """

    check: ClassVar[str]

    @pytest.fixture
    def trouble(self) -> PreflightContext:
        """Override it: make what your check looks for, and return the context of a study that is in it."""
        pytest.fail("a check that never finds anything shows nothing. Override the fixture `trouble`.")

    @pytest.fixture
    def spec(self) -> CheckSpec:
        return installed()[CHECKS][self.check]

    def ask(self, spec: CheckSpec, context: PreflightContext) -> list[Finding]:
        """The findings of the check."""
        found = list(load_object(spec.check)(context))
        wrong = [type(f).__name__ for f in found if not isinstance(f, Finding)]
        assert not wrong, f"a check gives Findings, and this one gives {wrong}"
        return found

    def test_registering_imports_no_check(self, spec: CheckSpec) -> None:
        assert imported_by_registering(CHECKS, spec.name, spec.check) == []

    def test_the_spec_says_what_it_asks(self, spec: CheckSpec) -> None:
        assert spec.summary
        assert "\n" not in spec.summary

    def test_it_answers_llem_doctor_too(self, spec: CheckSpec) -> None:
        self.ask(spec, PreflightContext(registry=installed()))

    def test_it_finds_the_trouble(self, spec: CheckSpec, trouble: PreflightContext) -> None:
        levels = [finding.level for finding in self.ask(spec, trouble)]
        assert {"warning", "error"} & set(levels), f"it found {levels or 'nothing'}"

    def test_what_it_finds_says_what_to_do(self, spec: CheckSpec, trouble: PreflightContext) -> None:
        for finding in (*self.ask(spec, PreflightContext(registry=installed())), *self.ask(spec, trouble)):
            assert finding.level in ("ok", "warning", "error")
            assert finding.message.strip()
            assert "\n" not in finding.message, "one paragraph"
            assert finding.level == "ok" or finding.remedy, f"what is to be done about: {finding.message}"

    def test_asked_again_it_finds_the_same(self, spec: CheckSpec, trouble: PreflightContext) -> None:
        assert self._levels(self.ask(spec, trouble)) == self._levels(self.ask(spec, trouble))

    def test_it_changes_nothing(self, spec: CheckSpec, trouble: PreflightContext) -> None:
        before = _world(trouble)
        self.ask(spec, trouble)
        assert _world(trouble) == before, "a check looks, and leaves everything as it was"

    def test_it_leaves_nothing_running(self, spec: CheckSpec, trouble: PreflightContext) -> None:
        self.ask(spec, trouble)
        with nothing_left():
            self.ask(spec, trouble)

    @staticmethod
    def _levels(found: Sequence[Finding]) -> list[str]:
        return [finding.level for finding in found]


def _world(context: PreflightContext) -> str:
    """Everything that a check could change by mistake, as text that can be compared."""
    folders = [folder for folder in (context.output, context.base_dir) if folder is not None and folder.is_absolute()]
    # Of a folder only its name: one that was tried for writing has a new date.
    files = {str(p): None if p.is_dir() else p.lstat().st_mtime_ns for folder in folders for p in _below(folder)}
    return json.dumps([os.getcwd(), dict(os.environ), files], indent=1, sort_keys=True)  # noqa: PTH109


def _below(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")] if folder.exists() else []
