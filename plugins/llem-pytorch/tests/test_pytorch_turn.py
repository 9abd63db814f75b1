"""The lock between the batches: whoever asked first has it next."""

from __future__ import annotations

import threading
import time

from llem_pytorch.turn import Turn


def test_who_asks_again_at_once_comes_after_who_waits() -> None:
    turn, order = Turn(), []

    def wait() -> None:
        with turn:
            order.append("waited")

    with turn:
        other = threading.Thread(target=wait)
        other.start()
        while not turn._line.locked():
            time.sleep(0.001)
    with turn:
        order.append("asked again")
    other.join()
    assert order == ["waited", "asked again"]


def test_an_error_gives_it_back() -> None:
    turn = Turn()
    try:
        with turn:
            raise KeyError
    except KeyError:
        pass
    with turn:
        assert turn._held.locked()
