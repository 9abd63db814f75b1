"""The figures of the window that are not energy: tokens, throughput, memory, FLOPs.

Pure functions over what happened; nothing here runs while anything is measured.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Collection, Mapping, Sequence

from llem.errors import ModelError
from llem.measure.latency import Timing
from llem.measure.series import Series
from llem.results.models import Flops, Memory, Throughput, Tokens
from llem.specs.backend import LoadReport, MemoryReading


def count_tokens(rows: Sequence[Timing]) -> Tokens:
    """Tokens of all requests of the window."""
    return Tokens(
        requests=len(rows),
        input=sum(row.record.input_tokens for row in rows),
        output=sum(row.record.output_tokens for row in rows),
    )


def throughput(tokens: Tokens, window_s: float) -> Throughput:
    """Tokens and requests over the window; null where there were none, as a window of an overloaded server may have it."""

    def per_s(count: int | None) -> float | None:
        return count / window_s if count else None

    return Throughput(
        tokens_per_s=per_s(tokens.output),
        total_tokens_per_s=per_s((tokens.input or 0) + (tokens.output or 0)),
        requests_per_s=per_s(tokens.requests),
    )


def memory(
    loaded: MemoryReading, peak: MemoryReading, series: Series, open_ns: int, close_ns: int, devices: Collection[str]
) -> Memory:
    """Memory in MiB.

    Args:
        loaded: the engine's allocator right after load; peak: right after the window, its peak reset as it opened.
        series: what the meters read, for the devices' used memory.
        open_ns, close_ns: the window.
        devices: ids of the devices that the experiment uses.
    """
    return Memory(
        peak_memory_mb=peak.peak_mb,
        peak_memory_source=peak.source if peak.peak_mb is not None else None,
        model_memory_mb=loaded.allocated_mb,
        device_memory_mb=device_memory_mb(series, open_ns, close_ns, devices),
        host_peak_rss_mb=host_peak_rss_mb(),
    )


def device_memory_mb(series: Series, open_ns: int, close_ns: int, devices: Collection[str]) -> float | None:
    """The most that each of the devices in use said was used inside the window, added up.

    None where one GPU in use said nothing: a part is not the whole.
    """
    most: dict[str, float] = {}
    for track in series.tracks:
        for t_ns, telemetry in zip(track.t_ns, track.telemetry, strict=True):
            used = telemetry.get("memory_used_mb")
            if used is not None and open_ns <= t_ns <= close_ns and track.device.id in devices:
                most[track.device.id] = max(used, most.get(track.device.id, 0.0))
    gpus = {device for device in devices if device.startswith(("GPU-", "MIG-"))}
    return sum(most.values()) if most and gpus <= set(most) else None


def host_peak_rss_mb() -> float:
    """The most resident memory of this process so far, from getrusage: KiB on Linux, bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def arithmetic(
    report: LoadReport, rows: Sequence[Timing], window_s: float, device_names: Mapping[str, str]
) -> Flops | None:
    """FLOPs that the window's tokens asked for, and the share of the devices' peak; None where the model's shape is unknown,
    or how many of its parameters are active.

    Args:
        report: what the engine loaded.
        rows: the window's requests.
        window_s: its length.
        device_names: product names of the metered devices by id; a device in use that is not among them has no
            known peak, and then there is no MFU.
    """
    if report.architecture is None:
        return None
    from llem.models.flops import flops, parameter_count
    from llem.models.peak import peak_flops

    active = report.active_parameters
    if active is None:
        try:
            active = parameter_count(report.architecture)[1]
        except ModelError:
            return None  # a family whose parameters cannot be counted, and the engine did not count them either
    counted = flops(report.architecture, active, ((r.record.input_tokens, r.record.output_tokens) for r in rows))
    peaks = [
        peak_flops(device_names[device], report.dtype) if report.dtype and device in device_names else None
        for device in report.devices
    ]
    known = [peak for peak in peaks if peak is not None]
    peak_per_s = sum(known) if known and len(known) == len(peaks) else None
    total = counted.prefill + counted.decode
    return Flops(
        prefill=counted.prefill,
        decode=counted.decode,
        total=total,
        per_s=total / window_s,
        active_parameters=active,
        mfu=total / window_s / peak_per_s if peak_per_s else None,
        peak_per_s=peak_per_s,
    )
