"""The sampling process: reads all meters on a schedule, where no engine's GIL can starve it.

`python -m llem.measure.sampling JOB_DIR`, started by `Meter`. Its first line of standard input is its order as JSON;
further lines are `mark N` (read now and answer), `edge N TIMEOUT_S ASKED_NS` (answer when every counter has ticked, see
`llem.measure.edges`), `note TIMEOUT_S ASKED_NS` (the same without an answer), `follow [ID, …]` (tell the power of these, see `llem.measure.power_now`), `own [PID, …]` (these are the experiment's too) and `stop`. It ends when told, on SIGTERM, and when its worker dies in
whatever way: standard input ends then, and the kernel sends a signal. Readings are appended line by line, unbuffered.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import pkgutil
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.errors import SamplerUnavailable
from llem.measure.edges import Edges
from llem.measure.power_now import PowerNow
from llem.measure.readings import counters_of, rows_of
from llem.measure.series import FORMAT, device_as_data
from llem.measure.tenants import foreign_processes
from llem.results.job_files import EVENTS, READINGS
from llem.specs.sampler import Device, QuickPowerSampler, Sampler, TickingSampler, WatchingSampler

PR_SET_PDEATHSIG = 1
SUSPEND_NOTICED_NS = 10_000_000
"""Time that passed while the host slept is told from here on."""

WATCH_NS = 1_000_000_000
"""Time between two questions who else uses the devices."""


def die_with(parent: int) -> bool:
    """Have the kernel end this process when its parent dies. False where the parent is already gone."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the end of standard input still tells
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


class SamplingSchedule:
    """Instants at a fixed rate from a fixed start, so that delays never add up."""

    def __init__(self, start_ns: int, hz: float) -> None:
        self.start_ns, self._hz = start_ns, hz
        self.slot = 0

    @property
    def due_ns(self) -> int:
        """The time at which the current slot is due."""
        return self.start_ns + round(self.slot * 1e9 / self._hz)

    def advance(self, now_ns: int) -> None:
        """Go to the next slot that is not past; slots that were missed are left out, never caught up on."""
        self.slot = max(self.slot + 1, math.floor((now_ns - self.start_ns) * self._hz / 1e9) + 1)


class Recorder:
    """Opens samplers, and writes what they say.

    Args:
        stream: descriptor that readings are appended to.
        power: told each reading.
    """

    def __init__(self, stream: int, power: PowerNow) -> None:
        self._stream = stream
        self._power = power
        self._samplers: list[tuple[str, Sampler, dict[str, int]]] = []
        self._complained: set[str] = set()
        self._last_ns: dict[int, int] = {}
        self._slept_ns = _slept_ns()
        self._told_ns = 0
        self._worker = 0
        self._own: Sequence[int] = ()
        self._foreign: dict[int, dict[int, str]] = {}
        self._watch_due_ns = 0

    def open(self, order: Mapping[str, Any]) -> dict[str, str]:
        """Open the ordered samplers and write the header; returns why some do not open."""
        self._worker = order["worker"]
        self._own = (self._worker,)
        refused: dict[str, str] = {}
        described: list[dict[str, Any]] = []
        metered: list[Device] = []
        for name, path in order["samplers"]:
            try:
                sampler: Sampler = pkgutil.resolve_name(path)()
                devices = sampler.open(order["settings"])
            except SamplerUnavailable as error:
                refused[name] = str(error)
                continue
            except Exception as error:  # noqa: BLE001 - one sampler's fault must not silence the others
                refused[name] = f"{type(error).__name__}: {error}"
                continue
            self._samplers.append((name, sampler, {d.id: len(metered) + i for i, d in enumerate(devices)}))
            metered += devices
            described.append({"name": name, "devices": [device_as_data(d) for d in devices]})
        self._power.open(metered)
        self.write(
            {
                "format": FORMAT,
                "clock": "CLOCK_MONOTONIC",
                "hz": order["hz"],
                "start_ns": order["start_ns"],
                "samplers": described,
            }
        )
        return refused

    def own(self, pids: Sequence[int]) -> None:
        """Take these for the experiment's own, with all below them."""
        self._own = (self._worker, *pids)

    def read_all(self, slot: int | None) -> int:
        """Read every device once; returns the latest time of a reading. `slot` is None for a marked instant."""
        begun = latest = time.monotonic_ns()
        rows: list[list[Any]] = []
        for name, sampler, indices in self._samplers:
            try:
                asked_ns = time.monotonic_ns()
                told = sampler.read()
                found, wrong = rows_of(told, indices, self._last_ns, asked_ns, time.monotonic_ns())
            except Exception as error:  # noqa: BLE001 - a meter that fails leaves a gap; the rest goes on
                self._complain(name, "read", f"{type(error).__name__}: {error}")
                continue
            if wrong is not None:
                self._complain(name, "read", wrong)
            for row in found:
                rows.append(list(row))
                self._power.read(*row[:4])
                latest = max(latest, row[1])
        self.write({"k": slot, "t": begun, "r": rows})
        slept = _slept_ns() - self._slept_ns
        if slept - self._told_ns > SUSPEND_NOTICED_NS:
            self._told_ns = slept
            self.write({"suspended_ns": slept, "t": begun})
        if slot is not None:
            self._power.tell(latest)
            if begun >= self._watch_due_ns:
                self._watch(begun)
        return latest

    def _watch(self, now_ns: int) -> None:
        """Write who else uses the devices, whenever that has changed."""
        found: dict[int, dict[int, str]] = {}
        for name, sampler, indices in self._samplers:
            if isinstance(sampler, WatchingSampler):
                try:
                    holders = sampler.processes()
                except Exception as error:  # noqa: BLE001 - who else is there changes no reading
                    self._complain(name, "tell who uses its devices", f"{type(error).__name__}: {error}")
                    continue
                for device, pids in holders.items():
                    foreign = foreign_processes(pids, *self._own)
                    if foreign and device in indices:
                        found[indices[device]] = foreign
        if found != self._foreign:
            self._foreign = found
            self.write({"foreign": list(found.items()), "t": now_ns})
        took_ns = time.monotonic_ns() - now_ns
        self._watch_due_ns = now_ns + max(WATCH_NS, 10 * took_ns)

    def _complain(self, name: str, what: str, how: str) -> None:
        """Once for each sampler, to the log and to whoever tells of its figures."""
        if name not in self._complained:
            self._complained.add(name)
            print(f"sampler {name} fails to {what}: {how}", file=sys.stderr, flush=True)
            self.write({"complaint": [name, how[:200]]})

    def counters(self) -> dict[int, tuple[int, float]]:
        """Read the counters that tick, as fast as can be: index of the device to (monotonic ns, joules)."""
        found: dict[int, tuple[int, float]] = {}
        for _, sampler, indices in self._samplers:
            if isinstance(sampler, TickingSampler):
                with contextlib.suppress(Exception):  # told about by `read_all`, which asks the same meter
                    found |= counters_of(sampler.counters(), indices)
        return found

    def powers(self) -> dict[int, tuple[int, float]]:
        """Read the power of what ticks, as fast as can be: index of the device to (monotonic ns, watts)."""
        found: dict[int, tuple[int, float]] = {}
        for _, sampler, indices in self._samplers:
            if isinstance(sampler, TickingSampler):
                with contextlib.suppress(Exception):  # told about by `read_all`, which asks the same meter
                    told = sampler.powers() if isinstance(sampler, QuickPowerSampler) else _powers(sampler)
                    found |= {
                        indices[id_]: (t_ns, watts)
                        for id_, (t_ns, watts) in told.items()
                        if id_ in indices and math.isfinite(watts)
                    }
        return found

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line at once."""
        os.write(self._stream, json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the samplers."""
        for _, sampler, _ in self._samplers:
            sampler.close()


def _powers(sampler: Sampler) -> dict[str, tuple[int, float]]:
    return {r.device: (r.t_ns, r.power_w) for r in sampler.read() if r.power_w is not None}


def _slept_ns() -> int:
    """The time for which the host has been suspended since boot, up to a constant."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns() if hasattr(time, "CLOCK_BOOTTIME") else 0


class Commands:
    """The worker's orders, line by line; also notices the signal to end."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._buffer = b""
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the worker decides

    def first(self) -> bytes:
        """The first line; empty where there is none."""
        while b"\n" not in self._buffer:
            data = os.read(self._stream, 65536)
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def until(self, due_ns: int) -> Sequence[str]:
        """Wait until an instant or for something to do: nothing, `mark N`, `stop`, `gone` or `terminated`."""
        wait_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        ready, _, _ = select.select([self._stream, self._woken], [], [], wait_s)
        if self._woken in ready:
            return ["terminated"]
        if not ready:
            return []
        data = os.read(self._stream, 65536)
        if not data:
            return ["gone"]
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [line.decode() for line in lines]


def main(arguments: Sequence[str]) -> int:
    """Sample until told to stop; returns the exit code."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what a plugin prints goes to the log
    commands = Commands(0)
    first = commands.first()
    if not first:
        return 0
    order = json.loads(first)
    if not die_with(order["worker"]):
        return 0

    def answer(data: Mapping[str, Any]) -> None:
        os.write(answers, json.dumps(data).encode() + b"\n")

    stream = os.open(Path(arguments[0]) / READINGS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    power = PowerNow(os.open(Path(arguments[0]) / EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    recorder = Recorder(stream, power)
    schedule = SamplingSchedule(time.monotonic_ns(), order["hz"])
    edges = Edges(recorder.counters, recorder.powers, recorder.read_all, recorder.write, answer)
    ending: str | None = None
    try:
        refused = recorder.open({**order, "start_ns": schedule.start_ns})
        schedule.advance(time.monotonic_ns())
        recorder.read_all(None)
        answer({"ready": True, "refused": refused})
        while True:
            pause_s = edges.poll_s
            poll_ns = schedule.due_ns if pause_s is None else time.monotonic_ns() + round(pause_s * 1e9)
            for command in commands.until(min(schedule.due_ns, poll_ns)):
                word, _, rest = command.partition(" ")
                if word == "mark":
                    answer({"mark": int(rest), "t_ns": recorder.read_all(None)})
                elif word == "edge":
                    number, timeout_s, asked_ns = rest.split()
                    edges.begin(int(asked_ns), float(timeout_s), int(number))
                elif word == "note":
                    timeout_s, asked_ns = rest.split()
                    edges.begin(int(asked_ns), float(timeout_s))
                elif word == "follow":
                    power.follow(json.loads(rest))
                elif word == "own":
                    recorder.own(json.loads(rest))
                else:
                    ending = command
            if edges.poll_s is not None:
                edges.step()
            # The tick after the last edge is still wanted by who tells it to stop, and soon there.
            if ending is not None and (edges.poll_s is None or ending != "stop"):
                recorder.write({"end": ending})
                return 0
            if time.monotonic_ns() >= schedule.due_ns:
                recorder.read_all(schedule.slot)
                schedule.advance(time.monotonic_ns())
    except BrokenPipeError:
        return 0  # the worker is gone
    except OSError as error:
        print(f"sampling ends: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        recorder.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
