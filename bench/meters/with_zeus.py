"""Measures windows with Zeus, as its documentation shows: `begin_window`, `end_window`, the energy of all GPUs."""

import time

import protocol
from zeus.monitor import ZeusMonitor

# Nothing runs on the simulated cards that would have to be waited for; CPUs are no part of the comparison.
monitor = ZeusMonitor(cpu_indices=[])
if not monitor.gpu_indices:
    raise SystemExit("Zeus sees no GPU here: its figures would say nothing about its accuracy")
for number, wait in protocol.windows():
    begin = [time.monotonic_ns()]
    monitor.begin_window("window", sync_execution=False)
    begin.append(time.monotonic_ns())
    wait()
    end = [time.monotonic_ns()]
    measured = monitor.end_window("window", sync_execution=False)
    end.append(time.monotonic_ns())
    protocol.tell(number, sum(measured.gpu_energy.values()), tuple(begin), tuple(end))
