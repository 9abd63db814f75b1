"""Measures windows with Zeus, as its documentation shows: `begin_window`, `end_window`, the energy of all GPUs."""

import protocol
from zeus.monitor import ZeusMonitor

# Nothing runs on the simulated cards that would have to be waited for; CPUs are no part of the comparison.
monitor = ZeusMonitor(cpu_indices=[])
if not monitor.gpu_indices:
    raise SystemExit("Zeus sees no GPU here: its figures would say nothing about its accuracy")
measured = {}


def begin(number: int) -> None:
    """Begin a window."""
    monitor.begin_window(f"window {number}", sync_execution=False)


def end(number: int) -> None:
    """End it."""
    measured[number] = sum(monitor.end_window(f"window {number}", sync_execution=False).gpu_energy.values())


for number, calls in protocol.measure(begin, end).items():
    protocol.tell(number, calls, measured[number], measured[number])
