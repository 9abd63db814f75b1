"""A replication for people: the verdict, a table of figures, and what to know about them."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import NOTHING, one_line, table
from llem_analysis.equivalence import Verdict
from llem_analysis.replicas import JudgedFigure, Replication
from llem_analysis.wording import amount, change, change_span, counted

_SAID: dict[Verdict, str] = {"equivalent": "equivalent", "different": "different", "undecided": "cannot tell"}


def verdict_text(found: Replication) -> str:
    """The verdict as a sentence."""
    of, count = counted(len(found.figures), "figure"), found.count
    what = f"within {_margin(found)} of the original"
    if found.unlike:
        what = f"{what}, as ratios between configurations"
    if found.verdict == "equivalent":
        return f"equivalent: {of} of {len(found.figures):,} {_verb(len(found.figures))} {what}."
    if found.verdict == "different":
        return f"different: {count['different']} of {of} {_verb(count['different'])} not {what}."
    parts = [f"{count['equivalent']} of {of} {_verb(count['equivalent'])} {what}"]
    if count["different"]:
        parts.append(
            f"{count['different']} {_verb(count['different'])} not, which may be chance among {len(found.figures)}"
        )
    if count["undecided"]:
        parts.append(f"{count['undecided']} {'is' if count['undecided'] == 1 else 'are'} undecided")
    if found.missing:
        parts.append(f"the replica lacks {counted(len(found.missing), 'configuration')}")
    return f"cannot tell: {', '.join(parts)}."


def replication_lines(found: Replication) -> Iterator[str]:
    """All of it."""
    yield verdict_text(found)
    if found.unlike:
        yield (
            f"The hardware is another ({'; '.join(found.unlike)}): its figures are not judged by themselves, only the ratios between "
            "configurations."
        )
    yield ""
    headers = [
        "configuration",
        "figure",
        "original",
        "replica",
        "change",
        f"{found.level * 100:g} % interval",
        "verdict",
    ]
    yield table(headers, [_row(figure) for figure in found.figures], left=2)
    for figure in found.figures:
        if figure.reason is not None:
            yield f"{one_line(figure.name, 60)}, {figure.label}: {figure.reason}."
    for name in found.missing:
        yield f"{one_line(name, 60)}: the replica has no run of it that is done."
    if found.added:
        yield f"note: only the replica has {'; '.join(found.added[:5])}{'; …' if len(found.added) > 5 else ''}"
    if found.changed:
        yield f"note: also other than there: {'; '.join(found.changed)}."
    yield from (f"warning: {text}" for text in found.warnings)
    if any(figure.estimated for figure in found.figures):
        yield "note: ~ is an estimate (CPU utilisation times rated power), not a measurement."
    yield (
        f"note: matched by {found.matched_by}; each of the two errors, to call equivalent what is {_margin(found)} apart and to call it "
        f"different, has a chance of {found.error * 100:g} % at the most."
    )


def _margin(found: Replication) -> str:
    return f"{found.margin * 100:.6g} %"


def _verb(count: int) -> str:
    return "lies" if count == 1 else "lie"


def _row(figure: JudgedFigure) -> list[str]:
    judged, mark = figure.judged, "~" if figure.estimated else ""
    name = one_line(figure.name, 60)
    if figure.against is not None:
        label, name = f"{figure.label}, ratio", f"{name} / {one_line(figure.against, 60)}"
    else:
        label = f"{figure.label}, {figure.unit}"
    if judged is None:
        return [name, label, NOTHING, NOTHING, NOTHING, NOTHING, _SAID[figure.verdict]]
    return [
        name,
        label,
        f"{mark}{amount(judged.base_mean)}",
        f"{mark}{amount(judged.other_mean)}",
        NOTHING if judged.ratio is None else f"{mark}{change(judged.ratio, 1)}",
        NOTHING if judged.interval is None else f"{mark}{change_span(judged.interval)}",
        _SAID[figure.verdict],
    ]
