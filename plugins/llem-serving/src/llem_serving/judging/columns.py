"""Requests read back from the columns of `requests.parquet`, and judged again. Needs neither pandas nor numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from llem.plugin_api import ResultError
from llem_serving.config import SloConfig
from llem_serving.judging.judgement import Judgement, judge
from llem_serving.judging.latency import ANSWERED
from llem_serving.requests import ServedRequest

NEEDED = ("arrival_s", "first_token_s", "end_s", "output_tokens", "finish")
"""Columns without which nothing can be judged."""

COLUMNS = (*NEEDED, "id", "release_s", "sent_s", "input_tokens", "error", "token_s", "itl_s", "e2e_s", "window_tokens")
"""All that are read, where they are there."""

TOKEN_TIMES = ("token_s", "itl_s")
"""Columns with a value for each token."""

FINISHES = ANSWERED | {"error", "unanswered"}

_FURTHEST_S = 1e9
"""Seconds from the opening of the window beyond which a time cannot be: thirty years."""


def rejudge(
    rows: Mapping[str, Sequence[Any]],
    slo: SloConfig,
    *,
    window_s: float,
    parts: int,
    where: str | None = None,
    requests: Sequence[ServedRequest] | None = None,
) -> Judgement:
    """Judge a load again from its table.

    Args:
        rows: column to its values: seconds since the window opened. `release_s` may be `sent_s`; the times of tokens are `token_s`,
            or `first_token_s` with the gaps `itl_s`, or left out. `window_tokens`, where it is there, tells the tokens inside.
        slo: limits, and the attainment that is wanted.
        window_s: length of the window.
        parts: its equal parts.
        where: the file, for errors.
        requests: of the table, where they have been read already.

    Raises:
        ResultError: a column is missing, or a value cannot be; with its row.
    """
    if not (math.isfinite(window_s) and 0 < window_s < _FURTHEST_S):
        raise ResultError(f"a window cannot be {window_s!r} s long.", where=where)
    found = requests_of(rows, where) if requests is None else requests
    return judge(found, slo, 0, _ns(window_s), parts, tokens=window_tokens_of(rows, found, where))


def window_tokens_of(
    rows: Mapping[str, Sequence[Any]], found: Sequence[ServedRequest], where: str | None = None
) -> list[int] | None:
    """Output tokens inside the window, of each request, where the table tells them. Raises ResultError as `rejudge`."""
    return _window_tokens(rows["window_tokens"], found, where) if "window_tokens" in rows else None


def requests_of(rows: Mapping[str, Sequence[Any]], where: str | None = None) -> list[ServedRequest]:
    """The requests of a table, with the window's opening at 0. Raises ResultError as `rejudge`."""
    missing = [name for name in NEEDED if name not in rows]
    if missing:
        raise ResultError(f"this table of requests has no column {' and no column '.join(missing)}.", where=where)
    lengths = {len(values) for values in rows.values()}
    if len(lengths) > 1:
        raise ResultError("the columns of this table of requests have different lengths.", where=where)
    names = [name for name in COLUMNS if name in rows]
    found = []
    for number, values in enumerate(zip(*(rows[name] for name in names), strict=True), start=1):
        try:
            found.append(_request(dict(zip(names, values, strict=True)), number - 1))
        except ValueError as error:
            raise ResultError(f"row {number}: {error}.", where=where) from error
    return found


def _request(row: Mapping[str, Any], place: int) -> ServedRequest:
    arrival = _time(row, "arrival_s")
    if arrival is None:
        raise ValueError("arrival_s is null, and every request arrives")
    released, first = (
        _time(row, "release_s") if "release_s" in row else _time(row, "sent_s"),
        _time(row, "first_token_s"),
    )
    finish = row["finish"]
    if not isinstance(finish, str) or finish not in FINISHES:
        raise ValueError(f"finish is {_shown(finish)}, and neither {', '.join(sorted(FINISHES))}")
    tokens = _token_times(row, first)
    last = tokens[-1] if tokens else _last(row, arrival)
    failed = _time(row, "end_s") if finish == "error" else None
    if first is not None and first < arrival:
        raise ValueError("first_token_s is before arrival_s")
    if first is not None and last is not None and last < first:
        raise ValueError("its last token is before first_token_s")
    if last is not None and last < arrival:
        raise ValueError("end is before arrival_s")
    number = row.get("id")
    return ServedRequest(
        id=place if number is None else _count(row, "id"),
        scheduled_ns=arrival,
        released_ns=released,
        first_ns=first,
        last_ns=last,
        token_ns=tokens,
        input_tokens=None if row.get("input_tokens") is None else _count(row, "input_tokens"),
        output_tokens=_count(row, "output_tokens"),
        finish=finish,
        error=None if row.get("error") is None else str(row["error"]),
        part=None,
        ended_ns=failed,
    )


def _token_times(row: Mapping[str, Any], first: int | None) -> list[int] | None:
    """The times of its tokens: as they stand there, else added up from the first one and the gaps; None where they were not seen."""
    if row.get("token_s") is not None:
        times = [_as_ns(value, "token_s") for value in _items(row, "token_s")]
    elif row.get("itl_s") is not None and first is not None:
        gaps = [_as_ns(value, "itl_s") for value in _items(row, "itl_s")]
        times = list(accumulate(gaps, initial=first))
    else:
        return None
    if any(later < earlier for earlier, later in pairwise(times)):
        raise ValueError("its tokens are not in the order of their times")
    return times or None


def _last(row: Mapping[str, Any], arrival: int) -> int | None:
    if row.get("e2e_s") is not None:
        return arrival + _as_ns(row["e2e_s"], "e2e_s")
    return _time(row, "end_s")


def _window_tokens(values: Sequence[Any], found: Sequence[ServedRequest], where: str | None) -> list[int]:
    counts = []
    for number, (value, request) in enumerate(zip(values, found, strict=True), start=1):
        try:
            counts.append(_count({"window_tokens": value}, "window_tokens"))
        except ValueError as error:
            raise ResultError(f"row {number}: {error}.", where=where) from error
        if counts[-1] > request.output_tokens:
            raise ResultError(f"row {number}: window_tokens is more than output_tokens.", where=where)
    return counts


def _items(row: Mapping[str, Any], name: str) -> Sequence[Any]:
    if not isinstance(row[name], (list, tuple)):
        raise ValueError(f"{name} is {_shown(row[name])}, and no list of seconds")
    items: Sequence[Any] = row[name]
    return items


def _time(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    return None if value is None else _as_ns(value, name)


def _as_ns(value: Any, name: str) -> int:
    if type(value) not in (int, float) or not -_FURTHEST_S <= value <= _FURTHEST_S:
        raise ValueError(f"{name} holds {_shown(value)}, and no time in seconds")
    return _ns(value)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _count(row: Mapping[str, Any], name: str) -> int:
    value = row[name]
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {_shown(value)}, and no number of 0 or more")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
