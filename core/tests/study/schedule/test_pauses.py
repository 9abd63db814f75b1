"""Pauses between experiments, and what ends them."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from llem.runners.oom import oom_kills
from llem.study.interrupts import AtOnce, Interrupts
from llem.study.reporter import SilentReporter
from llem.study.schedule.pauses import Pause


class Watcher(SilentReporter):
    def __init__(self, skip_after: int = 10**9) -> None:
        self.told: list[tuple[float, str]] = []
        self._asked = 0
        self._skip_after = skip_after

    def gap(self, remaining_s: float, why: str) -> None:
        self.told.append((remaining_s, why))

    def skip_gap(self) -> bool:
        self._asked += 1
        return self._asked > self._skip_after


def test_a_pause_is_counted_down_once_a_second() -> None:
    watcher = Watcher()
    pause = Pause(watcher)
    skipped = [pause.is_skipped(remaining, "between cycles") for remaining in (1.3, 1.1, 0.9, 0.3, 0.1)]
    assert not any(skipped)
    assert watcher.told == [(1.3, "between cycles"), (0.3, "between cycles")]


def test_the_user_skips_a_pause() -> None:
    pause = Pause(Watcher(skip_after=2))
    assert [pause.is_skipped(3600, "between experiments") for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_handlers_are_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), number)
        assert interrupts.asked
    assert signal.getsignal(number) is before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not interrupts.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_only_the_second_interrupt_ends_what_is_urgent() -> None:
    with Interrupts() as interrupts:
        with interrupts.urgent():
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(AtOnce), interrupts.urgent():
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(AtOnce), interrupts.urgent():
            pass
        os.kill(os.getpid(), signal.SIGINT)  # outside, and a third time: counted only
        assert interrupts.count == 3


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def enter() -> None:
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_the_count_of_out_of_memory_kills_never_falls() -> None:
    first, second = oom_kills(), oom_kills()
    assert first is not None  # every Linux that llem runs on counts them in /proc/vmstat
    assert second is not None
    assert 0 <= first <= second
