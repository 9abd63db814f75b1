"""Measures windows with CodeCarbon's offline tracker, each as a task: its way to measure one piece of a program."""

import os
import time

import protocol
from codecarbon import OfflineEmissionsTracker

J_PER_KWH = 3.6e6

os.chdir(protocol.folder())
tracker = OfflineEmissionsTracker(
    country_iso_code="USA", measure_power_secs=1, log_level="error", output_methods=[], allow_multiple_runs=True
)
# The first task looks for hardware, which takes seconds; a user who wants accuracy has that behind before the window.
tracker.start_task("first")
time.sleep(1)
if not tracker.stop_task("first").gpu_energy:
    raise SystemExit("CodeCarbon sees no GPU here: its figures would say nothing about its accuracy")
for number, wait in protocol.windows():
    begin = [time.monotonic_ns()]
    tracker.start_task(f"window {number}")
    begin.append(time.monotonic_ns())
    wait()
    end = [time.monotonic_ns()]
    measured = tracker.stop_task(f"window {number}")
    end.append(time.monotonic_ns())
    protocol.tell(number, measured.gpu_energy * J_PER_KWH, tuple(begin), tuple(end))
