"""Readings of a worker that ended without its tables: kept, and put into the table of every other result."""

from __future__ import annotations

import sys
from pathlib import Path

from llem.measure.phases import WINDOW
from llem.measure.series import Series, SeriesReader, report_rate
from llem.results.job_directory import EVENTS, READINGS, TIMESERIES, EventReader
from llem.results.models import SamplerReport


def keep_series(directory: Path) -> list[SamplerReport]:
    """Turn the streamed readings of a job into its `timeseries.parquet`; returns what each sampler had achieved.

    Times in the table count from the opening of the window, or from the first reading where it never opened. Readings that
    cannot be turned into a table stay where they are; where there are none, nothing happens.
    """
    path = directory / READINGS
    try:
        series = SeriesReader(path).update()
        start_ns = _start_ns(directory, series)
        if start_ns is None:
            return []
        from llem.measure.timeseries import write_timeseries

        write_timeseries(series, directory / TIMESERIES, start_ns)
        path.unlink()
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"llem: {path} is kept as it is: {type(error).__name__}: {error}", file=sys.stderr)
        return []
    return _reports(series)


def _start_ns(directory: Path, series: Series) -> int | None:
    """The opening of the window, else the first reading; None where nothing was read."""
    firsts = [track.t_ns[0] for track in series.tracks if track.t_ns]
    if not firsts:
        return None
    opened = [
        event.get("t_ns")
        for event in EventReader(directory / EVENTS).new()
        if event.get("event") == "phase" and event.get("name") == WINDOW and event.get("state") == "start"
    ]
    return next((t_ns for t_ns in opened if isinstance(t_ns, int)), min(firsts))


def _reports(series: Series) -> list[SamplerReport]:
    names = dict.fromkeys(track.sampler for track in series.tracks)
    return [
        report_rate(
            series,
            SamplerReport(name=name, used=True, devices=[t.device.id for t in series.tracks if t.sampler == name]),
        )
        for name in names
    ]
