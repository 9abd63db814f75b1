"""Measures windows with CodeCarbon's offline tracker, each as a task: its way to measure one piece of a program.

A tracker has one task at a time, so there are as many trackers as windows are ever open at once.
"""

import os
import time

import protocol
from codecarbon import OfflineEmissionsTracker

J_PER_KWH = 3.6e6
TRACKERS = 40

os.chdir(protocol.folder())
free = [
    OfflineEmissionsTracker(
        country_iso_code="USA", measure_power_secs=1, log_level="error", output_methods=[], allow_multiple_runs=True
    )
    for _ in range(TRACKERS)
]
# The first task looks for hardware, which takes seconds; a user who wants accuracy has that behind before the window.
for tracker in free:
    tracker.start_task("first")
time.sleep(1)
first = [tracker.stop_task("first").gpu_energy for tracker in free]
if not all(first):
    raise SystemExit("CodeCarbon sees no GPU here: its figures would say nothing about its accuracy")
busy = {}
measured = {}


def begin(number: int) -> None:
    """Start a task."""
    busy[number] = free.pop()
    busy[number].start_task(f"window {number}")


def end(number: int) -> None:
    """Stop it."""
    tracker = busy.pop(number)
    measured[number] = tracker.stop_task(f"window {number}").gpu_energy * J_PER_KWH
    free.append(tracker)


for number, calls in protocol.measure(begin, end).items():
    protocol.tell(number, calls, measured[number], measured[number])
