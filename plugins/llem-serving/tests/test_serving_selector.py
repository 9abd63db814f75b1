"""The wait of a load generator's event loop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from llem_serving.loop import Loop
from llem_serving.selector import AT_ONCE, PromptSelector

COUNT = 5 * AT_ONCE


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with ExitStack() as open_ones:
        found = [socket.socketpair() for _ in range(COUNT)]
        for one in found:
            for end in one:
                open_ones.enter_context(end)
        yield found


def test_what_has_come_due_goes_between_a_few_sockets(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    seen: list[str] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()

        def read(one: socket.socket) -> None:
            one.recv(1)
            seen.append("socket")
            if len(seen) == 1:
                loop.call_later(0, seen.append, "due")

        for ours, theirs in pairs:
            loop.add_reader(ours, read, ours)
            theirs.send(b"x")
        while len(seen) < COUNT + 1:
            await asyncio.sleep(0)

    loop = Loop()
    loop.run(work())
    loop.close()
    assert seen.index("due") <= 2 * AT_ONCE
    assert seen.count("socket") == COUNT


def test_all_sockets_come_to_their_turn_and_none_that_is_watched_no_more(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    selector = PromptSelector()
    for ours, theirs in pairs:
        selector.register(ours, 1)
        theirs.send(b"x")
    first = [key.fileobj for key, _ in selector.select(0)]
    left = [ours for ours, _ in pairs if ours not in first]
    selector.unregister(left[0])
    selector.modify(left[1], 1, data="another")
    found = list(first)
    for _ in range(COUNT):
        for key, _ in selector.select(0):
            if key.fileobj not in found:
                found.append(key.fileobj)
                key.fileobj.recv(1)  # type: ignore[union-attr]
        for one in first:
            if one in selector.get_map():
                selector.unregister(one)
    assert left[0] not in found
    assert set(found) == {ours for ours, _ in pairs} - {left[0]}
    selector.close()


def test_a_wait_is_over_no_earlier_than_asked_and_at_once_where_something_comes(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    with PromptSelector() as selector:
        ours, theirs = pairs[0]
        selector.register(ours, 1)
        for wait_s in (0.0003, 0.0103):
            begun = time.monotonic()
            assert selector.select(wait_s) == []
            assert time.monotonic() - begun >= wait_s
        theirs.send(b"x")
        assert [key.fileobj for key, _ in selector.select(None)] == [ours]
