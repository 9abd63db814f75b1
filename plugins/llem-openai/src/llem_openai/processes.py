"""Processes of a server: which there are, whether one is alive, and how one ended."""

from __future__ import annotations

import signal

import psutil


def tree_of(process: psutil.Process) -> tuple[int, ...]:
    """Pids of a process and of all below it; empty where it has ended."""
    try:
        return (process.pid, *(child.pid for child in process.children(recursive=True)))
    except psutil.Error:
        return ()


def is_alive(process: psutil.Process) -> bool:
    """True while it runs; one that has ended and that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def ending_of(code: int) -> str:
    """The end of a process in words, by its return code as `subprocess` gives it."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def process_of(pid: int) -> psutil.Process | None:
    """The process of a pid; None where there is none."""
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None
