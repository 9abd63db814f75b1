"""The view, laid out for a width and a height: pure functions from a study's state to lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llem.plugin_api import duration, number
from llem_view.line import Part, line
from llem_view.state import Running, StudyState, told_number

BAR = 24
"""Columns of the bar."""

MOST_LANES = 12
"""Most experiments that are shown side by side, however tall the terminal."""

SMALL = 4
"""A terminal with fewer rows shows one line."""


@dataclass(frozen=True)
class Style:
    """The abilities of a terminal."""

    colours: bool = True
    unicode: bool = True


def frame(state: StudyState, now_s: float, width: int, height: int, style: Style, *, hint: str = "") -> list[str]:
    """The view's lines, the newest thing last; fewer than `height`, and none wider than `width`.

    Args:
        hint: stands behind a pause: how to end it.
    """

    def laid(*parts: Part) -> str:
        return line(parts, width, colours=style.colours)

    running, pause = list(state.running.values()), _pause(state, now_s, hint)
    left = _left(state, now_s)
    if height < SMALL:
        if pause and not running:
            return [laid(Part(pause))]
        return [laid(*_doing(one, state, now_s), Part(left, 3)) for one in running[-1:]]
    lines = [laid(*_study(state, left, style))]
    if len(running) == 1:
        (only,) = running
        lines += [
            laid(Part(_place(only, state), colour="bold"), Part(only.label)),
            laid(Part(""), *_doing(only, None, now_s)),
        ]
    else:
        room = min(MOST_LANES, height - 2 - bool(pause))
        shown = running if len(running) <= room else running[: max(1, room - 1)]
        lines += [laid(*_doing(one, state, now_s), Part(one.label)) for one in shown]
        if len(shown) < len(running):
            lines.append(laid(Part(f"and {len(running) - len(shown)} more", colour="dim")))
    if pause:
        lines.append(laid(Part(pause)))
    return lines[: height - 1]


def _study(state: StudyState, left: str, style: Style) -> list[Part]:
    parts = [Part(state.name, 2, "bold")]
    if state.total:
        filled = round(BAR * min(1.0, state.ended / state.total))
        full, empty = ("━", "─") if style.unicode else ("#", "-")
        parts.append(Part(full * filled + empty * (BAR - filled), 4, "green"))
    parts.append(Part(f"{state.ended}/{state.total} ended"))
    if len(state.running) > 1:
        parts.append(Part(f"{len(state.running)} running", 3))
    if state.failed:
        parts.append(Part(f"{state.failed} failed", 1, "red"))
    if state.interrupted:
        parts.append(Part(f"{state.interrupted} interrupted", 1))
    return [*parts, Part(left, 1)]


def _doing(one: Running, state: StudyState | None, now_s: float) -> list[Part]:
    """The phase with its figures; with the experiment's place where a study is given."""
    parts = [Part(_place(one, state), 0, "bold")] if state is not None else []
    parts.append(Part(one.phase, 0, "cyan"))
    parts.append(Part(_share(one.progress), 2))
    if (speed := _figure(one.progress, "tokens_per_s")) is not None:
        parts.append(Part(f"{number(speed)} tokens/s", 4))
    if (power_w := one.power_now_w(now_s)) is not None:
        parts.append(Part(f"{'~' if one.estimated else ''}{number(power_w)} W", 1))
    parts.append(Part(f"for {duration(now_s - one.since_s)}", 5, "dim"))
    return parts


def _place(one: Running, state: StudyState) -> str:
    return f"[{one.number}/{state.total}]"


def _left(state: StudyState, now_s: float) -> str:
    left_s = state.left_s(now_s)
    return "" if left_s is None else f"about {duration(left_s)} left" if left_s >= 1 else "nearly done"


def _pause(state: StudyState, now_s: float, hint: str) -> str:
    if (pause := state.pause) is None:
        return ""
    return f"pause of {duration(state.pause_s(now_s))} ({pause[1]}){hint}"


def _share(progress: Mapping[str, Any]) -> str:
    done, total = _figure(progress, "done"), _figure(progress, "total")
    if done is None:
        return ""
    unit = f" {progress['unit']}" if progress.get("unit") else ""
    return f"{done:g}/{total:g}{unit}" if total is not None else f"{done:g}{unit}"


def _figure(progress: Mapping[str, Any], key: str) -> float | None:
    return told_number(progress.get(key))
