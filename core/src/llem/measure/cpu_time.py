"""CPU time of the machine, of one experiment and of everybody else, as `/proc` tells it at one instant.

Two such instants give the CPU seconds that others used in between. Nothing is read while time passes: at each edge of a
phase `/proc/stat` is read once, and `/proc/PID/stat` of every process that is to be seen.

An experiment's own are its worker with all descendants and what they waited for, whatever carries its mark (an engine's
process that lost its parent), a server that does its work and was there before, and the llem that started it. Time is conserved: what a process used goes to its parent when
that waits for it, so a sum over the tree misses nobody who came and went in between.

Interrupts are nobody's, and stolen time ran on another virtual machine: neither counts as use. Guests of this machine are
in `user` already.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llem.measure.tenants import MARK, PROC

HOST_PID = "LLEM_HOST_PID"
"""The variable in which a runner names the pid of the llem that started the experiment, on the same machine."""

Key = tuple[int, int]
"""A process: its pid, and when it started (ticks since boot), since pids are used again."""


@dataclass(frozen=True, slots=True)
class Process:
    """Content of `/proc/PID/stat` for one process, in clock ticks.

    Attributes:
        name: the program's, as the kernel keeps it (15 characters at most).
        parent: pid.
        used: its own CPU time; waited: that of the children that it has waited for, theirs included.
    """

    pid: int
    name: str
    parent: int
    used: int
    waited: int
    started: int

    @property
    def key(self) -> Key:
        """Pid and start, which tell it from a later process of the same pid."""
        return (self.pid, self.started)


@dataclass(frozen=True, kw_only=True)
class Instant:
    """CPU time up to one instant, in clock ticks.

    Attributes:
        t_ns: when (monotonic).
        cores: logical CPUs that are online.
        busy: of all processes together; counted: of everything, idleness included; stolen: that other machines took.
        tree: the experiment's own processes.
        hosts: the llem that started it and its template, of which only their own time counts.
        others: every other process that is to be seen.
        also: roots of further processes of the experiment, as `look` was told.
    """

    t_ns: int
    cores: int
    busy: int
    counted: int
    stolen: int
    tree: Mapping[Key, Process]
    hosts: Mapping[Key, Process]
    others: Mapping[Key, Process] = field(default_factory=dict)
    also: tuple[int, ...] = ()


def look(
    worker: int, environ: Mapping[str, str] = os.environ, proc: Path = PROC, also: Collection[int] = ()
) -> Instant | str:
    """CPU time up to now, or why it cannot be told, in a few words.

    Args:
        worker: the experiment's first process.
        environ: its variables; `LLEM_JOB_ID` marks what is the experiment's, `LLEM_HOST_PID` names llem.
        proc: where the kernel's figures stand.
        also: processes that are the experiment's with all below them, and were there before it.
    """
    t_ns = time.monotonic_ns()
    try:
        machine = (proc / "stat").read_bytes()
        cores, busy, counted, stolen = _machine(machine)
    except (OSError, ValueError) as error:
        return f"{proc / 'stat'} cannot be read ({error})"
    processes = {process.pid: process for process in _processes(proc)}
    if worker not in processes:
        return f"{proc} does not show the processes of this experiment"
    mark = environ.get(MARK)
    top, hosts = _ancestors(processes, worker, mark, environ.get(HOST_PID), proc)
    tree = _below(processes, top).union(*(_below(processes, pid) for pid in also if pid in processes))
    if mark is not None:
        # What lost its parent is younger than the first of the experiment; only those are asked for their variables.
        first = processes[top].started
        for process in processes.values():
            if process.pid not in tree and process.started >= first and _is_marked(process.pid, mark, proc):
                tree |= _below(processes, process.pid)
    hosts -= tree
    own = tree | hosts
    return Instant(
        t_ns=t_ns,
        cores=cores,
        busy=busy,
        counted=counted,
        stolen=stolen,
        tree={processes[pid].key: processes[pid] for pid in tree},
        hosts={processes[pid].key: processes[pid] for pid in hosts},
        others={process.key: process for pid, process in processes.items() if pid not in own},
        also=tuple(also),
    )


def own_ticks(before: Instant, after: Instant) -> int:
    """CPU time of the experiment between two instants."""
    new = [process for key, process in after.tree.items() if key not in before.tree]
    stayed = [(before.tree[key], process) for key, process in after.tree.items() if key in before.tree]
    gone = sum(p.used + p.waited for key, p in before.tree.items() if key not in after.tree)
    # Who waited for what is gone was given its time, what it had used before included; nobody waits for some, and theirs
    # is lost: then nothing is taken away for them.
    waited = sum(now.waited - then.waited for then, now in stayed) + sum(p.waited for p in new)
    used = sum(now.used - then.used for then, now in stayed) + sum(p.used for p in new)
    hosts = sum(now.used - before.hosts[key].used for key, now in after.hosts.items() if key in before.hosts)
    return used + max(0, waited - gone) + hosts


def busiest(before: Instant, after: Instant) -> dict[str, int]:
    """Ticks that others used between two instants, by program, the busiest first; only what lived at the end is seen."""
    found: dict[str, int] = {}
    for key, process in after.others.items():
        then = before.others.get(key)
        if (ticks := process.used - (then.used if then is not None else 0)) > 0:
            found[process.name] = found.get(process.name, 0) + ticks
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _machine(stat: bytes) -> tuple[int, int, int, int]:
    """Cores, and the ticks of processes, of everything, and stolen. Raises ValueError where it is no such text."""
    lines = stat.split(b"\n")
    fields = lines[0].split()
    if len(fields) < 9 or fields[0] != b"cpu":
        raise ValueError("it does not begin with the line `cpu`")
    cores = sum(line.startswith(b"cpu") for line in lines) - 1
    ticks = [int(word) for word in fields[1:9]]
    user, nice, system, _idle, _iowait, _irq, _softirq, stolen = ticks
    if cores < 1 or not any(ticks):
        raise ValueError("it counts no CPU time")
    return cores, user + nice + system, sum(ticks), stolen


def _processes(proc: Path) -> Iterable[Process]:
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if (process := _process(text)) is not None:
                yield process


def _process(stat: bytes) -> Process | None:
    """The name stands in brackets and may hold anything, brackets too."""
    head, _, rest = stat.rpartition(b")")
    pid, _, name = head.partition(b" (")
    words = rest.split()
    if len(words) < 20 or not pid.isdigit():
        return None
    used, waited = int(words[11]) + int(words[12]), int(words[13]) + int(words[14])
    return Process(int(pid), name.decode(errors="replace"), int(words[1]), used, waited, int(words[19]))


def _ancestors(
    processes: Mapping[int, Process], worker: int, mark: str | None, host: str | None, proc: Path
) -> tuple[int, set[int]]:
    """The uppermost of the worker's ancestors that carries the mark, and those from there up to llem."""
    top = worker
    while mark is not None and (above := processes[top].parent) in processes and _is_marked(above, mark, proc):
        top = above
    between: set[int] = set()
    pid = processes[top].parent
    while pid in processes and pid not in between:
        between.add(pid)
        if str(pid) == host:
            return top, between
        pid = processes[pid].parent
    return top, set()


def _below(processes: Mapping[int, Process], top: int) -> set[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, queue = {top}, [top]
    while queue:
        fresh = [pid for pid in children.get(queue.pop(), ()) if pid not in found]
        found.update(fresh)
        queue += fresh
    return found


def _is_marked(pid: int, mark: str, proc: Path) -> bool:
    try:
        return f"{MARK}={mark}".encode() in (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it has ended, or belongs to another user
