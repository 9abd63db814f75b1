"""The delivery beside a study: none waits for a target, and none is forgotten."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from llem_notify import courier as module
from llem_notify.config import EVENTS
from llem_notify.courier import Courier, Route
from llem_notify.delivery import NotDeliveredError, Webhook
from llem_notify.messages import Message, Study, failed, stalled, started
from llem_notify.watch import Watch

STUDY = Study(name="s", folder="s-1", experiments=1)


@dataclass
class Way:
    """Delivers, after so many tries that fail."""

    failures: int = 0
    final: bool = False
    holds: threading.Event | None = None
    after_s: float | None = 0.01
    tries: list[str] = field(default_factory=list)
    got: list[str] = field(default_factory=list)

    def deliver(self, message: Message) -> None:
        self.tries.append(message.id)
        if self.holds is not None:
            self.holds.wait(20)
        if len(self.tries) <= self.failures:
            raise NotDeliveredError("it is down", final=self.final, after_s=self.after_s)
        self.got.append(message.event)


def test_what_fails_is_tried_again_as_the_same_message_and_in_order():
    way = Way(failures=2)
    courier = Courier([Route("a", way, EVENTS, attempts=3)])
    courier.send(started(STUDY))
    courier.send(stalled(STUDY, 60))
    assert courier.close() == []
    assert way.got == ["study_started", "study_stalled"]
    assert len(way.tries) == 4
    assert len(set(way.tries)) == 2


@pytest.mark.parametrize(("final", "tries"), [(True, 1), (False, 3)])
def test_what_is_not_delivered_is_told(final, tries):
    way = Way(failures=99, final=final)
    courier = Courier([Route("a", way, EVENTS, attempts=3)])
    courier.send(started(STUDY))
    assert courier.close() == ["1 message did not reach `a`: it is down"]
    assert len(way.tries) == tries


def test_a_target_that_hangs_holds_up_neither_the_sender_nor_another():
    hang = threading.Event()
    stuck, well = Way(holds=hang), Way()
    courier = Courier([Route("stuck", stuck, EVENTS, 1), Route("well", well, EVENTS, 1)])
    begin = time.monotonic()
    for _ in range(100):
        courier.send(started(STUDY))
    assert time.monotonic() - begin < 1
    lost = courier.close(within_s=0.5)
    assert time.monotonic() - begin < 5
    assert lost == ["100 messages did not reach `stuck`: no answer in time"]
    assert len(well.got) == 100
    assert [one.daemon for one in threading.enumerate() if one.name == "notify-stuck"] == [True]
    hang.set()


def test_more_than_can_wait_is_let_go_and_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    hang = threading.Event()
    courier = Courier([Route("a", Way(holds=hang), EVENTS, 1)])
    for _ in range(50):
        courier.send(started(STUDY))
    (said,) = courier.close(within_s=0.1)
    assert said.startswith("50 messages")
    hang.set()


def test_a_target_is_told_of_its_events_only():
    way = Way()
    courier = Courier([Route("a", way, ["experiment_failed"], 1)])
    courier.send(started(STUDY))
    courier.send(failed(STUDY, "00001-a-c1", {"failure": {"type": "OutOfMemory", "message": "full"}}))
    assert courier.close() == []
    assert way.got == ["experiment_failed"]


def test_an_error_that_nobody_foresaw_ends_no_route_and_shows_no_address():
    class Broken:
        def __init__(self) -> None:
            self.got: list[str] = []

        def deliver(self, message: Message) -> None:
            if not self.got:
                self.got.append("raised")
                raise ZeroDivisionError("https://example.org/hunter2secret")
            self.got.append(message.event)

    way = Broken()
    courier = Courier([Route("a", way, EVENTS, 3)])
    courier.send(started(STUDY))
    courier.send(stalled(STUDY, 60))
    assert courier.close() == ["1 message did not reach `a`: ZeroDivisionError"]
    assert way.got == ["raised", "study_stalled"]


def test_a_server_that_comes_back_gets_the_message(receiver):
    receiver.answers, receiver.headers = [503, 500], {"Retry-After": "0"}
    courier = Courier([Route("a", Webhook(address=receiver.address, key=None, timeout_s=2), EVENTS, 3)])
    courier.send(started(STUDY))
    assert courier.close() == []
    assert [one.headers["webhook-id"] for one in receiver.posted] == [receiver.posted[0].headers["webhook-id"]] * 3


def test_a_silence_is_told_once_until_something_happens():
    told: list[float] = []
    watch = Watch(0.15, told.append)
    _await(lambda: len(told) == 1)
    time.sleep(0.4)
    assert len(told) == 1
    watch.happened()
    _await(lambda: len(told) == 2)
    watch.close()
    assert all(silent_s >= 0.15 for silent_s in told)


def test_nothing_is_told_while_things_happen_or_after_the_end():
    told: list[float] = []
    watch = Watch(5.0, told.append)
    for _ in range(10):
        watch.happened()
    watch.close()
    Watch(None, told.append).close()
    time.sleep(0.1)
    assert told == []


def _await(holds) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_pauses_double_up_to_a_minute_where_the_receiver_asks_for_none(monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    courier = Courier([Route("a", Way(failures=99, after_s=None), EVENTS, attempts=9)])
    courier.send(started(STUDY))
    assert courier.close(within_s=20) == ["1 message did not reach `a`: it is down"]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
