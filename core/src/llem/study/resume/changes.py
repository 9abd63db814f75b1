"""The study that goes on, and how it differs from the one that was started: key by key, and in its experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.config.layers import LoadedStudy
from llem.config.merging import leaves
from llem.config.problems import shorten
from llem.config.reading import MAX_BYTES
from llem.errors import ConfigError
from llem.files import read_file
from llem.plan import Plan, make_plan
from llem.study.folder import STUDY_FILE
from llem.study.manifest.manifest import StudyManifest
from llem.study.record import StudyRecord, as_edited, as_started, document_of
from llem.study.resume.plan import ResumePlan
from llem.study.resume.request import ResumeRequest

if TYPE_CHECKING:
    from llem.plugins import Registry

_SHOWN = 30
_NOTHING = object()


@dataclass(frozen=True)
class StudyToResume:
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

    def check(self, planned: ResumePlan, manifest: StudyManifest, request: ResumeRequest) -> None:
        """Raises ConfigError, which shows the difference, where the study was changed and that is not allowed."""
        if not self.changes and not planned.dropped and (request.cycles is not None or not planned.added):
            return
        if request.allow_changes:
            return
        lines = [f"  {key}: {text}" for key, text in self.changes[:_SHOWN]]
        if len(self.changes) > _SHOWN:
            lines.append(f"  … and {len(self.changes) - _SHOWN} more keys")
        if not self.changes:
            lines.append(f"  {self._unexplained(manifest, request)}")
        lines.append(f"  experiments: {_counts(planned, manifest)}")
        stay = "" if request.study is not None else "; `llem resume --as-started` goes on as it was started"
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

    def _unexplained(self, manifest: StudyManifest, request: ResumeRequest) -> str:
        """The reason why experiments differ although no key does."""
        if request.cycles is not None:
            return f"cycles: was {manifest.cycles}, is {request.cycles}"
        if self.record_is_lost:
            return "key by key it cannot be told: the record of how it was started is lost"
        return f"every key is the same, but llem {manifest.llem_version}, which planned it, gave it other identities"


def study_to_resume(
    folder: Path, before: StudyRecord | None, request: ResumeRequest, registry: Registry
) -> StudyToResume:
    """Find the study that shall go on, and how it differs from the one that was started.

    Raises:
        ConfigError, PluginError: it cannot be planned (any more).
    """
    if before is None:
        assert request.study is not None
        plan = make_plan(request.study, registry, runner=request.runner)
        return StudyToResume(
            request.study, plan, request.runner, (), str(request.study.path or "study"), record_is_lost=True
        )
    source, notes = str(folder), []
    edited = None if request.study is not None or request.as_started else edited_file(folder, before)
    asked = request.settings(before.document)
    if request.study is not None:
        study, source = request.study, str(request.study.path or "command line")
    elif edited is not None:
        study, source = as_edited(before, edited, registry, asked), str(edited)
    else:
        study = as_started(before, registry, asked)
    runner = request.runner if request.runner is not None or request.study is not None else before.runner
    changes = [
        (key, text) for key, text in key_changes(before.document, document_of(study)) if not request.explains(key)
    ]
    if runner != before.runner:
        changes.append(("--runner", f"was {before.runner or 'not given'}, is {runner or 'not given'}"))
    if edited is not None and not changes:
        notes.append(f"{edited} was edited since the study was started; what it says is the same.")
    return StudyToResume(study, make_plan(study, registry, runner=runner), runner, changes, source, notes)


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


def _counts(planned: ResumePlan, manifest: StudyManifest) -> str:
    ended = sum(entry.ended_at is not None for entry in planned.dropped)
    stay = len(planned.runs) - len(planned.added)
    done = manifest.counts["done"] + manifest.counts["failed"] - ended
    parts = [f"{stay} of {len(manifest.experiments) - manifest.counts['dropped']} stay ({done} have ended)"]
    if planned.dropped:
        parts.append(f"{len(planned.dropped)} would be dropped ({ended} have ended; their results would be set aside)")
    parts.append(f"{len(planned.added)} are new")
    return ", ".join(parts)


def key_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key whose value differs, dotted, and a clause that says what it was and is. Sweeps are compared axis by axis."""
    was, is_ = _flat(before), _flat(now)
    for key in sorted({*was, *is_}):
        old, new = was.get(key, _NOTHING), is_.get(key, _NOTHING)
        if old != new or type(old) is not type(new):
            yield key, f"was {_text(old)}, is {_text(new)}"


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in leaves({key: part for key, part in document.items() if key != "sweep"}):
        found[".".join(path)] = value
    for axis, values in (document.get("sweep") or {}).items():
        found[f"sweep: {axis}"] = values
    return found


def _text(value: Any) -> str:
    return "not given" if value is _NOTHING else shorten(value)
