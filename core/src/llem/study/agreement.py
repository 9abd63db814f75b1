"""The study that goes on: the one that was started, or one that was changed since, where that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.config.layers import LoadedStudy
from llem.config.reading import MAX_BYTES
from llem.errors import ConfigError
from llem.files import read_file
from llem.plan import Plan, make_plan
from llem.study.changes import key_changes
from llem.study.continuation import Laid
from llem.study.folder import STUDY_FILE
from llem.study.manifest import StudyManifest
from llem.study.record import StudyRecord, as_edited, as_started, document_of

if TYPE_CHECKING:
    from llem.plugins import Registry

GAPS = ("execution.experiment_gap_s", "execution.cycle_gap_s")
"""Keys that `--no-gaps` sets to 0."""

_SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """The wishes of whoever resumes a study.

    Attributes:
        study: the study as it shall be now (`llem run STUDY.yaml --resume`); None for what it was started with.
        runner: where every backend shall run; None for what it was started with.
        retry_failed: run failed experiments again.
        allow_changes: go on although the study differs from the one that was started.
        as_started: go on as it was started, even where its file was changed since.
        cycles: so many in all; None for as many as before.
        allow_shared: do not wait for another llem that measures on this machine.
        no_gaps: no pauses between experiments and cycles.
    """

    study: LoadedStudy | None = None
    runner: str | None = None
    retry_failed: bool = False
    allow_changes: bool = False
    as_started: bool = False
    cycles: int | None = None
    allow_shared: bool = False
    no_gaps: bool = False


@dataclass(frozen=True)
class Agreement:
    """The study that goes on.

    Attributes:
        changes: keys that differ from the one that was started, and how; those that were asked for are left out.
        source: what was looked at, for people.
        notes: what to tell.
    """

    study: LoadedStudy
    plan: Plan
    runner: str | None
    changes: Sequence[tuple[str, str]]
    source: str
    notes: Sequence[str] = ()
    record_is_lost: bool = False

    def check(self, laid: Laid, manifest: StudyManifest, wishes: Wishes) -> None:
        """Raises ConfigError, which shows the difference, where the study was changed and that is not allowed."""
        if not self.changes and not laid.dropped and (wishes.cycles is not None or not laid.added):
            return
        if wishes.allow_changes:
            return
        lines = [f"  {key}: {text}" for key, text in self.changes[:_SHOWN]]
        if len(self.changes) > _SHOWN:
            lines.append(f"  … and {len(self.changes) - _SHOWN} more keys")
        if not self.changes:
            lines.append(f"  {self._unexplained(manifest, wishes)}")
        lines.append(f"  experiments: {_counts(laid, manifest)}")
        stay = "" if wishes.study is not None else "; `llem resume --as-started` goes on as it was started"
        raise ConfigError(
            "\n".join(
                [
                    "the study differs from the one that was started:",
                    *lines,
                    f"Nothing was changed. --allow-changes goes on with it as it is now{stay}.",
                ]
            ),
            where=self.source,
        )

    def _unexplained(self, manifest: StudyManifest, wishes: Wishes) -> str:
        """The reason why experiments differ although no key does."""
        if wishes.cycles is not None:
            return f"cycles: was {manifest.cycles}, is {wishes.cycles}"
        if self.record_is_lost:
            return "key by key it cannot be told: the record of how it was started is lost"
        return f"every key is the same, but llem {manifest.llem_version}, which planned it, gave it other identities"


def agree(folder: Path, before: StudyRecord | None, wishes: Wishes, registry: Registry) -> Agreement:
    """Find the study that shall go on, and how it differs from the one that was started.

    Raises:
        ConfigError, PluginError: it cannot be planned (any more).
    """
    if before is None:
        assert wishes.study is not None
        plan = make_plan(wishes.study, registry, runner=wishes.runner)
        return Agreement(wishes.study, plan, wishes.runner, (), str(wishes.study.path or "study"), record_is_lost=True)
    source, notes = str(folder), []
    edited = None if wishes.study is not None or wishes.as_started else edited_file(folder, before)
    asked = _asked(before, wishes)
    if wishes.study is not None:
        study, source = wishes.study, str(wishes.study.path or "command line")
    elif edited is not None:
        study, source = as_edited(before, edited, registry, asked), str(edited)
    else:
        study = as_started(before, registry, asked)
    runner = wishes.runner if wishes.runner is not None or wishes.study is not None else before.runner
    changes = [
        (key, text)
        for key, text in key_changes(before.document, document_of(study))
        if not (wishes.cycles is not None and key in {"execution.cycles", "execution.until.max_cycles"})
        and not (wishes.no_gaps and key in GAPS)
    ]
    if runner != before.runner:
        changes.append(("--runner", f"was {before.runner or 'not given'}, is {runner or 'not given'}"))
    if edited is not None and not changes:
        notes.append(f"{edited} was edited since the study was started; what it says is the same.")
    return Agreement(study, make_plan(study, registry, runner=runner), runner, changes, source, notes)


def edited_file(folder: Path, before: StudyRecord) -> Path | None:
    """The study file that was edited since the start: the copy in the folder, or else the user's own; None for neither."""
    if before.text is None:
        return None
    for path in (folder / STUDY_FILE, Path(before.path) if before.path is not None else None):
        try:
            if path is not None and read_file(path, MAX_BYTES).decode("utf-8-sig") != before.text:
                return path
        except FileNotFoundError:
            continue  # on another host, or tidied away: the record has its text
        except (OSError, ValueError):
            return path
    return None


def _asked(before: StudyRecord, wishes: Wishes) -> Mapping[str, Any]:
    asked: dict[str, Any] = dict.fromkeys(GAPS, 0.0) if wishes.no_gaps else {}
    if wishes.cycles is not None:
        until = (before.document.get("execution") or {}).get("until") or {}
        key = "execution.until.max_cycles" if until.get("ci_width") is not None else "execution.cycles"
        asked[key] = wishes.cycles
    return asked


def _counts(laid: Laid, manifest: StudyManifest) -> str:
    ended = sum(entry.ended_at is not None for entry in laid.dropped)
    stay = len(laid.runs) - len(laid.added)
    done = manifest.counts["done"] + manifest.counts["failed"] - ended
    parts = [f"{stay} of {len(manifest.experiments) - manifest.counts['dropped']} stay ({done} have ended)"]
    if laid.dropped:
        parts.append(f"{len(laid.dropped)} would be dropped ({ended} have ended; their results would be set aside)")
    parts.append(f"{len(laid.added)} are new")
    return ", ".join(parts)
